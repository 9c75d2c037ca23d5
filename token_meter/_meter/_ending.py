"""How a call ends, and who is told. It knows no seam and no totals.

The meters are decided once, at departure, and told at arrival, wherever the arrival happens: in another task, another
thread, the garbage collector, after the block. The first way to end wins; the others find nothing left to do.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from token_meter._meter._chain import FLIGHT
from token_meter._meter._record import answer_of, call_of, guess_of, new_id
from token_meter._wire import read_request
from token_meter.types import Call, End, Reading, Source, Usage

if TYPE_CHECKING:
    from token_meter._meter._asking import UsageSieve
    from token_meter._meter._gatekeeper import Gate
    from token_meter._meter._guess import Guess
    from token_meter._meter._hub import Hub
    from token_meter._meter._listener import Listener
    from token_meter._meter._meter import Meter
    from token_meter._meter._news import News
    from token_meter._meter._places import Place
    from token_meter._meter._plan import Plan
    from token_meter._wire import StreamReader

NOTHING = Reading()
_CANCELLED = frozenset({"CancelledError", "Cancelled"})  # asyncio, trio
_ALWAYS_BEHIND = frozenset({"runs"})
"""Flavours whose calls go on in the background unasked."""


class Ending:
    """One call as those see it who wait for its end: meters, sinks, handlers, its gate."""

    # What most calls never set is on the class: making one takes half the time.
    kind = FLIGHT
    gate: Gate | None = None
    instead: Any | None = None
    sieve: UsageSieve | None = None
    inner: list[tuple[str | None, Usage | None]] | None = None
    news: News | None = None
    wants_body = False
    _reader: StreamReader | None = None
    _status: int | None = None
    _is_ok = False
    _streamed = False
    _first_token_s: float | None = None
    _fed = 0
    _left = False  # counted as an open stream in its meters
    _parked = False  # a background response: its usage comes with a later request
    _body: bytes | None = None  # put off until somebody reads a number
    _asked: bytes | None = None  # what the request said, of a body that was put off
    _attempt = 0
    _ended: float | None = None
    _settled: Call | Guess | None = None
    _id: str | None = None  # given when somebody takes single calls
    _marks: tuple[Any, ...] = ()
    is_replay = False  # a cassette answered
    stand_in: Source | None = None  # what else answered instead of a server, as far as the seam can tell

    def __init__(self, hub: Hub, place: Place, request: Any, client: Any, plan: Plan, outer: Ending | None) -> None:
        self.hub = hub
        self.place = place
        self.plan = plan
        self.outer = outer
        self.client = client
        self._request = request
        self._open = [True]  # popped by whoever ends the flight: atomic, also between threads and a finalizer
        self._started_s = time()
        self._t0 = perf_counter()

    @property
    def meters(self) -> tuple[Meter, ...]:
        """The meters that it belongs to, decided at departure."""
        return self.plan.meters

    @property
    def is_local(self) -> bool:
        """Whether this machine is asked."""
        return self.place.is_loopback

    @property
    def tags(self) -> tuple[str, ...]:
        """The labels of the meters that the call belongs to."""
        return self.plan.tags

    def listen(self, heard: tuple[Listener, ...]) -> None:
        """Tell handlers of this call."""
        from token_meter._meter._listener import unique
        from token_meter._meter._news import News

        self.news = News(self, unique(heard), self.gate, self._id or new_id())

    # Who is told.

    def enrol(self) -> None:
        """Tell the sinks that the call departs."""
        self._id = new_id()
        try:
            model = self.place.route.deployment or self.request_says().model
            self._marks = tuple(sink.departs(self._id, model) for sink in self.plan.sinks)
        except Exception:
            self.hub.internal_error("sink")

    def _drop(self) -> None:
        for sink in self.plan.sinks if self._marks else ():
            try:
                sink.dropped(self._id or "")
            except Exception:
                self.hub.internal_error("sink")

    @property
    def has_news(self) -> bool:
        """Whether handlers wait to be told."""
        return self.news is not None and bool(self.news.pending)

    def tell(self) -> None:
        """Tell handlers what happened, in the caller's thread."""
        if self.news is not None:
            self.news.tell()

    async def atell(self) -> None:
        """Tell handlers what happened, in the caller's task."""
        if self.news is not None:
            await self.news.atell()

    def _deliver(self, call: Call, error: BaseException | None, body: bytes | None, *, is_ended: bool) -> None:
        guess = guess_of(self, call, body, is_ended=is_ended)
        if guess is not None and (self.news is not None or self._marks):
            call, guess = guess.resolve(), None
        for meter in self.meters:
            meter.add(call if guess is None else guess)
        for sink, mark in zip(self.plan.sinks, self._marks, strict=False):
            try:
                sink.ended(call, mark)
            except Exception:
                self.hub.internal_error("sink")
        if self.news is not None:
            self.news.ended(call, error, lambda: answer_of(self, body))

    # How it ends.

    def dismiss(self) -> None:
        """Forget a call that never left and that nobody shall hear of."""
        if self._open:
            self._open.clear()
            self._drop()
            if self.gate is not None:
                self.gate.let_go(is_paid=False)

    def exhausted(self) -> None:
        """The body came to its end."""
        self._leave("complete" if self._is_ok else "error")

    def closed(self) -> None:
        """The reader closed the answer, at its end or before."""
        self._leave("closed" if self._is_ok else "error")

    def abandoned(self) -> None:
        """The answer was dropped without being closed (told by the garbage collector)."""
        self._leave("abandoned")
        if self.news is not None and self.news.pending:
            self.hub.late.append(self.news)

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """The attempt, or the reading of its answer, ended with an exception."""
        if not self._open:
            return
        end: End = "cancelled" if type(error).__name__ in _CANCELLED else "error"
        try:
            if self._status is None:
                self._end(NOTHING, end, error=error, unsent=not was_sent)
            else:
                self._end(self._read(), end, error=error)
        except Exception:
            self._lost("failed")

    def _read(self) -> Reading:
        return self._reader.finish() if self._reader is not None else NOTHING

    def _leave(self, end: End) -> None:
        if not self._open or self._parked:
            return
        try:
            reading = self._read()
            if reading.ended and end != "error":
                end = "complete"
            self._end(reading, end)
        except Exception:
            self._lost("leave")

    def unpark(self) -> None:
        """Wait no longer for the end of a background response."""
        self._parked = False
        self._reader = None  # of a stream it would say once more that the end is to come
        self.abandoned()

    def resume(self, reading: Reading) -> None:
        """A background response reached its end, seen by a later request."""
        self._parked = False
        self._end(reading, "complete")

    def _lost(self, where: str) -> None:
        """A failure of ours costs a count at most: the call shows as unmeasured."""
        self.hub.internal_error(where)
        try:
            self._end(NOTHING, "error" if not self._is_ok else "complete")
        except Exception:
            self.hub.internal_error("lost")

    def _end(
        self,
        reading: Reading,
        end: End,
        *,
        error: BaseException | None = None,
        unsent: bool = False,
        body: bytes | None = None,
    ) -> None:
        if reading.status == "pending" and self._is_ok and reading.usage is None and self._park(reading):
            return
        try:
            self._open.pop()
        except IndexError:
            return
        try:
            if not self._is_repeat(reading):
                self._deliver(call_of(self, reading, end, error, unsent=unsent), error, body, is_ended=reading.ended)
            elif self._marks:
                self._drop()
        finally:
            if self._left:
                for meter in self.meters:
                    meter.closed_stream()
            if self.gate is not None:
                self.gate.let_go(is_paid=self._is_ok)
            self._reader = None
            self._request = None
            self.client = None

    def _park(self, reading: Reading) -> bool:
        """Keep a background response, or a run, open until a later request shows its end."""
        is_behind = self.place.route.flavour in _ALWAYS_BEHIND or self.request_says().background
        if reading.response_id is None or not is_behind:
            return False
        self._parked = True
        if not self._left:
            self._left = True
            for meter in self.meters:
                meter.opened_stream()
        self.hub.parked.park(self, reading.response_id)
        return True

    def _is_repeat(self, reading: Reading) -> bool:
        """Whether this answer only passes on one that was counted further in (an in-process gateway, F38)."""
        usage = reading.usage
        if usage is None or (self.outer is None and self.inner is None):
            return False
        mark = (reading.response_id, usage)
        if self.outer is not None:
            if self.outer.inner is None:
                self.outer.inner = []
            self.outer.inner.append(mark)
        return self.inner is not None and mark in self.inner

    def request_says(self) -> Any:
        """What the request asked for: model, stream, background."""
        return read_request(self.place.route.flavour, self.request_body())

    def request_body(self) -> bytes:
        """The request's bytes, for somebody who keeps nothing of them; none once the call has ended."""
        if self._request is None:
            return self._asked or b""
        return self.hub.request_body(self._request)

    @property
    def attempt(self) -> int:
        """Which try of the SDK this is."""
        return self._attempt if self._request is None else self.hub.attempt_of(self._request)
