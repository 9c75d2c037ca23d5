"""Batches of OpenAI's apis: one paid job, which names its model and its usage when it has ended."""

from __future__ import annotations

from token_meter.providers.api import Api
from token_meter.providers.jobs import STATUSES, Job, line_of, locate_batch, output_files, single
from token_meter.providers.openai.chat import CHAT
from token_meter.providers.openai.responses import RESPONSES
from token_meter.providers.usage import usage_of
from token_meter.wire.format import Format
from token_meter.wire.json_scan import Object


def _layout(body: Object) -> Format:
    """How the answer in a line is laid out: of embeddings and images too, usage stands where chats have it."""
    return RESPONSES.format if body.get("object") == "response" else CHAT.format


BATCHES = Api(
    "batches",
    Format(
        usage=usage_of,
        locate_usage=locate_batch,
        complete=single,
        statuses=STATUSES,
        keys=("usage", "model", "status", "id", "object", "request_counts", "output_file_id", "output_file"),
    ),
    paths=("batches", "batch/jobs"),
    retrieves=(
        ("GET", "batches/{}"),
        ("POST", "batches/{}/cancel"),
        ("GET", "batch/jobs/{}"),
        ("POST", "batch/jobs/{}/cancel"),
        ("GET", "files/{}/content"),
    ),
    runs_in_background=True,
    needs_sign=True,
    job=Job(output_files, line_of(_layout)),
)
