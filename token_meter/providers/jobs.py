"""Jobs that are paid and end later, such as batches: where their results stand, and how a line of them is read.

OpenAI's batches, which Azure, Groq, Together and others serve too, and Mistral's jobs (SDK's types and references,
2026-11). A batch that was made since 2025-09 names its model and its usage when it has ended; of any other, the file of
its results says what was used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from token_meter._fees import LARGEST, Fees
from token_meter.prices import contradicts
from token_meter.types import Reading, Usage
from token_meter.wire.body import reading_of
from token_meter.wire.fees import with_fees_of
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import text_of

_PARTS = {
    "cached_input": "cached_tokens", "cache_write": "cache_write_tokens", "cache_write_long": "cache_write_long_tokens",
}  # fmt: skip


_SILENT = Usage(fees=Fees({"requests without usage": None}))


_SUCCEEDED = ("completed", "succeeded", "succeeded_requests", "successfulRequestCount")


def silent(model: str | None) -> Reading:
    """What a job has used that ended, and of which nothing tells how much."""
    return Reading(_SILENT, model, status="complete", ended=True)


def may_be_paid(job: Object, reading: Reading) -> bool:
    """Whether a job that ended without a usage, or results, was paid: some request succeeded, or nothing counts them.

    Each is billed, also where the job was cancelled or has expired: OpenAI's and Anthropic's `request_counts`, what
    Mistral calls it, and Gemini's `batchStats` (their SDKs' types, 2026-11).
    """
    about = job.get("metadata")
    holders = (job.get("request_counts"), job, about.get("batchStats") if isinstance(about, dict) else None)
    numbers = NumberReader()
    counts = [
        count for holder in holders if isinstance(holder, dict)
        for name in _SUCCEEDED if (count := numbers.count(holder.get(name))) is not None
    ]  # fmt: skip
    return any(counts) or (not counts and reading.status == "complete")


class Job(NamedTuple):
    """What sets a job apart from an answer.

    Attributes:
        files: the ids under which the results of an ended job can be fetched.
        line: reads one object of these results; `None`: it is none.
        processing: how its requests are processed, where that changes their price.
    """

    files: Callable[[Object], tuple[str, ...]]
    line: Callable[[Object], Reading | None]
    processing: str = "batch"


class Results:
    """The usage of a job's results, added up line by line as they pass. Nothing of a line is kept."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._rest = b""
        self._by_model: dict[str | None, Usage] = {}
        self._largest = self._read = self._anomalies = 0
        self._is_silent = False
        self._kinds: set[tuple[str, bool]] = set()
        self.is_foreign = False
        """What passes is no file of results."""

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the file."""
        if self.is_foreign:
            return
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._take(line)

    def finish(self) -> Reading:
        """What all lines say together."""
        self.feed(b"\n")
        if self.is_foreign or self.is_failed or not self._read:
            return Reading()
        if not self._by_model:
            return silent(None)
        (model, usage), *others = sorted(self._by_model.items(), key=lambda each: -(each[1].total_tokens or 0))
        usage = with_largest(usage, None if self._is_silent else self._largest)
        for name, other in others:
            usage += _elsewhere(name, other)
        if self._is_silent:
            usage += _SILENT
        self._anomalies += any({(kind, True), (kind, False)} <= self._kinds for kind in ("image", "audio"))
        return Reading(usage, model, None, None, "complete", ended=True, anomalies=self._anomalies)

    @property
    def is_failed(self) -> bool:
        """Whether every request failed, which costs nothing."""
        return bool(self._read) and not (self._by_model or self._is_silent)

    def take(self, found: Object) -> None:
        """Take one line as an object."""
        reading = self._job.line(found)
        if reading is None:
            self.is_foreign = self.is_foreign or not self._read
            return
        self._read += 1
        self._anomalies += reading.anomalies
        if reading.usage is not None:
            self._look(reading.usage)
        usage = reading.usage
        if usage is None or usage.prompt_tokens is None:
            self._is_silent = self._is_silent or reading.error is None
            return
        self._largest = max(self._largest, usage.prompt_tokens)
        before = self._by_model.get(reading.model)
        self._by_model[reading.model] = usage if before is None else before + usage

    def _look(self, usage: Usage) -> None:
        """Remember what the sum of all lines would hide: one that contradicts itself, or does not tell its images."""
        self._anomalies += contradicts(usage)
        for kind, made in (("image", usage.output_image_tokens), ("audio", usage.output_audio_tokens)):
            if made or (made is None and usage.completion_tokens):
                self._kinds.add((kind, made is not None))

    def _take(self, line: bytes) -> None:
        if line.strip():
            found = parse_object(line)
            if found is None:
                self.is_foreign = self.is_foreign or not self._read
                self._is_silent = True
            else:
                self.take(found)


def with_largest(usage: Usage, largest: int | None) -> Usage:
    """*usage* of a job with the largest of its prompts, where that is known."""
    return usage if largest is None else usage + Usage(fees=Fees({LARGEST: largest}))


def _elsewhere(model: str | None, usage: Usage) -> Usage:
    """The tokens of another model than most requests had, as what stands beside."""
    parts = {unit: getattr(usage, name) or 0 for unit, name in _PARTS.items()}
    parts["cache_write"] -= parts["cache_write_long"]
    counts = {
        "input": (usage.prompt_tokens or 0) - sum(parts.values()),
        **parts,
        "output": usage.completion_tokens or 0,
    }
    fees: dict[str, int | None] = {f"{unit}@{model}": count for unit, count in counts.items() if count > 0}
    return Usage(tool_usage_tokens=usage.total_tokens, fees=Fees({**fees, **dict(usage.fees or ())}))


def locate_batch(job: Object) -> UsageLocation:
    """The usage of a batch as OpenAI names it; nothing in any other object."""
    if job.get("object") != "batch":
        return UsageLocation(None, {})
    usage = job.get("usage")
    has_ended = STATUSES.get(text_of(job.get("status")), "pending") != "pending"  # until then it says nothing, or 0
    is_said = isinstance(usage, dict) and any(type(count) is int and count for count in usage.values())
    return UsageLocation(usage if has_ended and is_said else None, job)


def single(usage: Usage, job: Object, numbers: NumberReader) -> Usage:
    """*usage* of a batch: of one with a single request, the largest prompt is its own."""
    counts = job.get("request_counts")
    total = counts.get("total") if isinstance(counts, dict) else None
    return with_largest(usage, usage.prompt_tokens) if total == 1 else usage


def output_files(job: Object) -> tuple[str, ...]:
    """The file of a batch's results, under OpenAI's name or Mistral's."""
    names = (job.get(name) for name in ("output_file_id", "output_file"))
    return tuple(name for name in names if isinstance(name, str) and name)


def line_of(layouts: Callable[[Object], Format]) -> Callable[[Object], Reading | None]:
    """Read a line as OpenAI writes it: `{"custom_id": ..., "response": {"status_code": 200, "body": {...}}}`."""

    def read(line: Object) -> Reading | None:
        response: Any = line.get("response")
        if "custom_id" not in line:
            return None
        body = response.get("body") if isinstance(response, dict) else None
        if not isinstance(body, dict) or response.get("status_code") not in (None, 200):
            return Reading(error="error")
        return read_answer(layouts(body), body)

    return read


def read_answer(layout: Format, answer: Object) -> Reading:
    """Read an answer among the results of a job, with what it shows beside its usage."""
    return with_fees_of(layout, answer, reading_of(layout, [answer], is_whole=True))


STATUSES = {
    "validating": "pending", "in_progress": "pending", "finalizing": "pending", "cancelling": "pending",
    "completed": "complete", "expired": "incomplete", "cancelled": "incomplete", "failed": "failed",
    # Mistral
    "QUEUED": "pending", "RUNNING": "pending", "CANCELLATION_REQUESTED": "pending", "SUCCESS": "complete",
    "TIMEOUT_EXCEEDED": "incomplete", "CANCELLED": "incomplete", "FAILED": "failed",
}  # fmt: skip


def objects_in(value: Any) -> Iterator[Object]:
    """The objects of a list, or of a list in an object under the same name (Gemini's inlined responses)."""
    while isinstance(value, dict) and len(value) == 1:
        value = next(iter(value.values()))
    yield from (each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()
