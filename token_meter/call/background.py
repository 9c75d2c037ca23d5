"""Background responses and runs: what waits for its end, and the later look that shows it. No meter is known."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from token_meter._failures import internal_error
from token_meter.context.stack import ATTEMPT
from token_meter.transports.ports import NO_HEADERS, takes_nothing
from token_meter.types import Source
from token_meter.wire import read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from token_meter.call.ports import BackgroundAttempt

_LIMIT = 10_000


class BackgroundCalls(dict[tuple[str, str], "BackgroundAttempt"]):
    """Background responses and runs under way, by base URL and id; bounded, the oldest goes.

    Threads and finalizers park: every step is one operation that a dictionary does whole, and none waits for a lock.
    """

    __slots__ = ()

    def track(self, attempt: BackgroundAttempt, response_id: str) -> None:
        """Remember *attempt* until a later request shows its end."""
        key = attempt.endpoint.base_url, response_id
        while self.setdefault(key, attempt) is not attempt:  # a gateway that gives an id twice
            before = self.pop(key, None)
            if before is not None:
                before.expire()
        while len(self) > _LIMIT:
            with suppress(StopIteration, RuntimeError):  # another thread parked at the same time: look again
                oldest = self.pop(next(iter(self)), None)
                if oldest is not None:
                    oldest.expire()

    def expire_all(self) -> None:
        """Wait for none of them any longer."""
        with suppress(KeyError):
            while True:
                self.popitem()[1].expire()


BACKGROUND = BackgroundCalls()


class BackgroundPoll:
    """A later look at a background response: it counts for the call that started it, once, at its end."""

    kind = ATTEMPT
    wants_body = False
    is_local = is_shown = False
    stand_in: Source | None = None
    inner = replacement_request = chunk_filter = None
    takes = staticmethod(takes_nothing)

    def __init__(self, background: BackgroundAttempt, response_id: str) -> None:
        self._attempt = background
        self._id = response_id
        self._chunks: list[bytes] = []

    def respond(
        self, status: int, content_type: str, *, streamed: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        self.wants_body = 200 <= status < 300

    def body(self, data: bytes) -> None:
        if not self.wants_body:
            return
        try:
            reading = read_body(self._attempt.endpoint.route.api.format, data)
            if reading.usage is None and reading.status in (None, "pending"):
                return
            attempt = BACKGROUND.pop((self._attempt.endpoint.base_url, self._id), None)  # once
            if attempt is not None:
                attempt.resume(reading)
        except Exception:
            internal_error("return")

    def feed(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def exhausted(self) -> None:
        chunks, self._chunks = self._chunks, []
        if chunks:
            self.body(b"".join(chunks))

    closed = abandoned = exhausted

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        self.exhausted()

    @property
    def has_pending_events(self) -> bool:
        """Whether the call that this is a look at has ended, and handlers wait to be told."""
        return self._attempt.has_pending_events

    def dispatch(self) -> None:
        self._attempt.dispatch()

    async def adispatch(self) -> None:
        await self._attempt.adispatch()


def response_id(path: str) -> str:
    """The id in `/responses/{id}`, `/responses/{id}/cancel` and `/threads/{id}/runs/{id}/submit_tool_outputs`."""
    parts = path.rstrip("/").split("/")
    return parts[-2] if parts[-1] in ("cancel", "submit_tool_outputs") else parts[-1]
