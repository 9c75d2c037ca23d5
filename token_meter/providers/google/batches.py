"""Gemini's batches: a long-running operation with its answers inside, or with a file of them."""

from __future__ import annotations

from typing import Any

from token_meter.providers.api import Api
from token_meter.providers.google.generate_content import GENERATE_CONTENT, paths
from token_meter.providers.jobs import Job, Results, objects_in, read_answer
from token_meter.types import Reading, Usage
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader

_VERSIONS = ("v1beta", "v1alpha")
_STATES = {
    "PENDING": "pending", "RUNNING": "pending", "UNSPECIFIED": "pending", "SUCCEEDED": "complete",
    "PARTIALLY_SUCCEEDED": "complete", "FAILED": "failed", "CANCELLED": "failed", "EXPIRED": "failed",
}  # fmt: skip


def _output(job: Object) -> Object:
    found: Any = job.get("response") or _metadata(job).get("output")
    return found if isinstance(found, dict) else {}


def _metadata(job: Object) -> Object:
    found: Any = job.get("metadata")
    return found if isinstance(found, dict) else {}


def _locate_usage(job: Object) -> UsageLocation:
    name, about = job.get("name"), _metadata(job)
    if not (isinstance(name, str) and name.startswith("batches/")):
        return UsageLocation(None, {})
    state = str(about.get("state", "")).removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")
    if job.get("error"):
        state = "FAILED"
    status = state if state in _STATES else "SUCCEEDED" if job.get("done") is True else "PENDING"
    model = about.get("model")
    holder = {"id": name.partition("/")[2], "status": status, "model": model}
    lines = list(objects_in(_output(job).get("inlinedResponses")))
    return UsageLocation({"lines": lines} if lines else None, holder)


def _usage(reported: Object, numbers: NumberReader) -> Usage:
    results = Results(JOB)
    for line in reported["lines"]:
        results.take(line)
    found = results.finish()
    numbers.doubts += found.anomalies
    return found.usage or Usage()


def _files(job: Object) -> tuple[str, ...]:
    name = _output(job).get("responsesFile")
    return (name.rpartition("/")[2],) if isinstance(name, str) and name else ()


def _line(line: Object) -> Reading | None:
    answer = line.get("response")
    if isinstance(answer, dict) and "usageMetadata" in answer:
        return read_answer(GENERATE_CONTENT.format, answer)
    return Reading(error="error") if "error" in line or "key" in line else None


JOB = Job(_files, _line)
BATCHES = Api(
    "content_batches",
    Format(usage=_usage, locate_usage=_locate_usage, statuses=_STATES, keys=("name", "metadata", "response", "done")),
    paths=paths("batchGenerateContent"),
    retrieves=(
        *(("GET", f"{version}/batches/{{}}") for version in _VERSIONS),
        *(("GET", f"download/{version}/files/{{model}}:download") for version in _VERSIONS),
    ),
    runs_in_background=True,
    needs_sign=True,
    job=JOB,
)
