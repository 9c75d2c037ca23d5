"""Jobs that are paid and end later: the later requests that show their end, and the files of their results.

A job counts once, in the meters that were open when it was created; one that was created elsewhere, in those that are
open when its end is first seen in this process. Until then it is open.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from token_meter._failures import internal_error
from token_meter.call.attempt import Attempt
from token_meter.call.background import BACKGROUND, BackgroundPoll, response_id
from token_meter.context.scope import SCOPES
from token_meter.context.stack import CONTEXT_STACK
from token_meter.providers.jobs import Job, Results, may_be_paid, silent
from token_meter.transports.ports import NO_HEADERS
from token_meter.types import Reading
from token_meter.wire import read_body
from token_meter.wire.json_scan import parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from token_meter.call.ports import BackgroundAttempt
    from token_meter.context.endpoint import Endpoint
    from token_meter.transports.ports import ObservedAttempt, OutgoingRequest
    from token_meter.types import Call, Outcome

_LIMIT = 10_000
_SHOWN = 4


class _Bounded(dict[tuple[str, str], Any]):
    """By host and id; bounded, the oldest goes."""

    __slots__ = ()

    def put(self, key: tuple[str, str], value: Any) -> None:
        self[key] = value
        while len(self) > _LIMIT:
            with suppress(StopIteration, RuntimeError, KeyError):  # another thread did it at the same time
                del self[next(iter(self))]


ENDED = _Bounded()
"""Jobs that were counted, and the files of their results, which say the same again."""
RESULTS = _Bounded()
"""Files of results that say what a job has used, which has ended and did not say it: the job's base URL and id."""


def later_look(endpoint: Endpoint, request: OutgoingRequest) -> ObservedAttempt | None:
    """What observes a later look at something that was started before; `None` where nobody waits for it."""
    path = request.key[4]
    name = response_id(path)
    background = BACKGROUND.get((endpoint.base_url, name)) if BACKGROUND else None
    job = endpoint.route.api.job
    if job is None:
        return None if background is None else BackgroundPoll(background, name)
    file = _file_of(path)
    key = (endpoint.host, file or name)
    if file is not None:
        parent = RESULTS.get(key, (endpoint.base_url, file))  # some results have the job's own id
        if (waiting := BACKGROUND.get(parent)) is not None:
            return ResultsPoll(waiting, parent, key, job)
    elif (background := background or _same_host(endpoint.host, name)) is not None:
        return JobPoll(background, name)
    scope = SCOPES.of(CONTEXT_STACK.get())
    if key in ENDED or not scope.meters:
        return None
    return (JobLook if file is None else FileLook).unsigned(endpoint, request, scope, None)


def _same_host(host: str, name: str) -> BackgroundAttempt | None:
    """A job of that host, whose later looks have another prefix than its creation."""
    found = (attempt for (_, each), attempt in tuple(BACKGROUND.items()) if each == name)
    return next((attempt for attempt in found if attempt.endpoint.host == host), None)


def open_jobs(meter: object) -> list[str]:
    """The ids of jobs that have not ended, of one meter."""
    found = [
        name for (_, name), attempt in tuple(BACKGROUND.items())
        if attempt.endpoint.route.api.job is not None and any(each is meter for each in attempt.meters)
    ]  # fmt: skip
    return found[:_SHOWN]


def _file_of(path: str) -> str | None:
    """The id of the file, or of the job, whose results are fetched."""
    parts = path.rstrip("/").split("/")
    if parts[-1] in ("content", "results"):
        return parts[-2]
    return parts[-1].removesuffix(":download") if parts[-1].endswith(":download") else None


class JobPoll(BackgroundPoll):
    """A later look at a job that was created in this process."""

    def body(self, data: bytes) -> None:
        if not self.wants_body:
            return
        try:
            self._look(data)
        except Exception:
            internal_error("job")

    def _look(self, data: bytes) -> None:
        endpoint = self._attempt.endpoint
        key = endpoint.base_url, self._id
        job = endpoint.route.api.job
        reading = read_body(endpoint.route.api.format, data)
        if job is None or reading.status in (None, "pending"):
            return
        found = parse_object(data) or {}
        files = job.files(found)
        host = endpoint.host
        if any((host, file) in ENDED for file in files):
            _end(self._attempt, key, None, (self._id,))  # its results were read before, and counted then
            return
        if reading.usage is not None:
            _end(self._attempt, key, reading, (self._id, *files))
        elif files:
            for file in files:
                RESULTS.put((host, file), key)
        else:
            _end(self._attempt, key, silent(reading.model) if may_be_paid(found, reading) else None, (self._id,))


class ResultsPoll(BackgroundPoll):
    """The results of a job that has ended and did not say what it used."""

    def __init__(self, attempt: BackgroundAttempt, parent: tuple[str, str], key: tuple[str, str], job: Job) -> None:
        super().__init__(attempt, parent[1])
        self._parent = parent
        self._key = key
        self._results = Results(job)

    def feed(self, chunk: bytes) -> None:
        try:
            if self.wants_body:
                self._results.feed(chunk)
        except Exception:
            internal_error("job")

    def body(self, data: bytes) -> None:
        self.feed(data)
        self.exhausted()

    def exhausted(self) -> None:
        try:
            reading = self._results.finish()
            if self.wants_body and (reading.usage is not None or self._results.is_failed):
                found = reading if reading.usage is not None else None
                _end(self._attempt, self._parent, found, (self._parent[1], self._key[1]))
        except Exception:
            internal_error("job")

    def closed(self) -> None:
        """Left before its end: the job stays open."""

    abandoned = closed

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """Its end did not arrive: the job stays open."""


def _end(attempt: BackgroundAttempt, key: tuple[str, str], reading: Reading | None, names: tuple[str, ...]) -> None:
    """End a job, once; without a reading it costs nothing."""
    if BACKGROUND.pop(key, None) is None:
        return
    for name in names:
        ENDED.put((attempt.endpoint.host, name), True)
        RESULTS.pop((attempt.endpoint.host, name), None)
    if reading is not None:
        attempt.resume(reading)
    else:
        attempt.dismiss()
        for meter in attempt.meters:
            meter.closed_stream()


class NewJob(Attempt):
    """The creation of a job. One that has ended at once, as some gateways answer, counts now or with its results."""

    def _end(
        self,
        reading: Reading,
        end: Outcome,
        *,
        error: BaseException | None = None,
        unsent: bool = False,
        body: bytes | None = None,
    ) -> None:
        job, name, host = self.endpoint.route.api.job, reading.response_id, self.endpoint.host
        if self._is_ok and job is not None and name is not None and reading.status not in (None, "pending"):
            found = parse_object(body or (b"" if self._reader is None else self._reader._joined())) or {}
            files = job.files(found)
            if reading.usage is None and files and self._track(reading):
                for file in files:
                    RESULTS.put((host, file), (self.endpoint.base_url, name))
                return
            if reading.usage is None and may_be_paid(found, reading):
                reading = silent(reading.model)
            for each in (name, *files):
                ENDED.put((host, each), True)
        super()._end(reading, end, error=error, unsent=unsent, body=body)


class JobLook(Attempt):
    """A look at a job that was not created in this process: its end counts, once."""

    _names: tuple[str, ...] = ()

    def body(self, data: bytes) -> None:
        job, found = self.endpoint.route.api.job, parse_object(data)
        self._names = job.files(found) if job is not None and found is not None else ()
        if self._is_ok and found is not None and not self._names:
            reading = read_body(self.endpoint.route.api.format, data)
            is_over = reading.usage is None and reading.status not in (None, "pending")
            if is_over and may_be_paid(found, reading):
                self._end(silent(reading.model), "complete")
                return
        super().body(data)

    def _deliver(self, call: Call, error: BaseException | None, body: bytes | None, *, is_ended: bool) -> None:
        name = "" if self._request is None else self._request.key[4]
        for each in (_file_of(name) or response_id(name), *self._names):
            ENDED.put((self.endpoint.host, each), True)
        super()._deliver(call, error, body, is_ended=is_ended)


class FileLook(JobLook):
    """A file that may hold the results of a job that was not created in this process."""

    _results: Results | None = None

    def respond(
        self, status: int, content_type: str, *, streamed: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        super().respond(status, content_type, streamed=streamed, headers=headers)
        self._reader = None
        job = self.endpoint.route.api.job
        if job is not None and self._is_ok and not content_type.startswith(("audio/", "image/", "video/")):
            self._results, self.wants_body = Results(job), True

    def body(self, data: bytes) -> None:
        self.feed(data)
        self.exhausted()

    def feed(self, chunk: bytes) -> None:
        try:
            if self._results is not None:
                self._results.feed(chunk)
        except Exception:
            internal_error("job")

    def exhausted(self) -> None:
        try:
            self._end(self._results.finish() if self._results is not None else Reading(), "complete")
        except Exception:
            internal_error("job")

    def _leave(self, end: Any) -> None:
        """Left before its end, it says nothing."""
        self.dismiss()
