"""Anthropic's batches of messages: the job counts requests only, and its results say what they used."""

from __future__ import annotations

from typing import Any

from token_meter.providers.anthropic.messages import MESSAGES
from token_meter.providers.api import Api
from token_meter.providers.jobs import Job, read_answer
from token_meter.types import Reading
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object


def _locate_usage(job: Object) -> UsageLocation:
    if job.get("type") != "message_batch":
        return UsageLocation(None, {})
    return UsageLocation(None, {**job, "status": job.get("processing_status")})


def _files(job: Object) -> tuple[str, ...]:
    """The results have the job's own id; a job of which no request succeeded costs nothing."""
    counts: Any = job.get("request_counts")
    succeeded = counts.get("succeeded") if isinstance(counts, dict) else None
    name = job.get("id")
    return (name,) if isinstance(name, str) and succeeded != 0 else ()


def _line(line: Object) -> Reading | None:
    result: Any = line.get("result")
    if "custom_id" not in line or not isinstance(result, dict):
        return None
    message = result.get("message")
    if not isinstance(message, dict):
        return Reading(error="error")  # errored, canceled, expired: not billed
    return read_answer(MESSAGES.format, message)


BATCHES = Api(
    "message_batches",
    Format(
        locate_usage=_locate_usage,
        statuses={"in_progress": "pending", "canceling": "pending", "ended": "complete"},
        keys=("processing_status", "request_counts", "id", "type"),
    ),
    paths=("v1/messages/batches",),
    retrieves=(
        ("GET", "v1/messages/batches/{}"),
        ("POST", "v1/messages/batches/{}/cancel"),
        ("GET", "v1/messages/batches/{}/results"),
    ),
    runs_in_background=True,
    needs_sign=True,
    job=Job(_files, _line),
)
