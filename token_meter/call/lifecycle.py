"""How a call ends, and who is told. It knows no seam and no totals.

The meters are decided once, at departure, and told at arrival, wherever the arrival happens: in another task, another
thread, the garbage collector, after the block. The first way to end wins; the others find nothing left to do.
"""

from __future__ import annotations

from functools import partial
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

from token_meter._aside import is_on_loop
from token_meter._failures import internal_error
from token_meter.call.background import BACKGROUND
from token_meter.call.errands import Errands
from token_meter.call.put_off import PutOff, answer_of
from token_meter.call.record import call_of, new_id, pending_estimate_of
from token_meter.context.stack import ATTEMPT
from token_meter.events.dispatcher import LATE
from token_meter.providers import attempt_number
from token_meter.transports.ports import takes_nothing
from token_meter.types import Answer, Call, Outcome, Reading, Source, Usage
from token_meter.wire import RequestInfo, read_headers, read_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from token_meter.call.pending_estimate import PendingEstimate
    from token_meter.call.stream_usage import UsageChunkFilter
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.ports import Recipient
    from token_meter.context.scope import CallScope
    from token_meter.context.subscriber import Subscriber
    from token_meter.transports.ports import OutgoingRequest
    from token_meter.wire import StreamReader

NOTHING = Reading()
_CANCELLED = frozenset({"CancelledError", "Cancelled"})  # asyncio, trio


class AttemptLifecycle(Errands):
    """One call as those see it who wait for its end: meters, sinks, handlers, its gate."""

    # What most calls never set is on the class, unless each one reads it: from there that takes three times as long.
    kind = ATTEMPT
    replacement_request: Any | None = None
    chunk_filter: UsageChunkFilter | None = None
    inner: list[tuple[str | None, Usage | None]] | None = None
    wants_body = False
    _reader: StreamReader | None = None
    _status: int | None = None
    _is_ok = False
    _streamed = False
    _first_token_s: float | None = None
    takes: Callable[[bytes], bool] = staticmethod(takes_nothing)
    _counted_as_open = False  # counted as an open stream in its meters
    _is_background = False  # a background response: its usage comes with a later request
    _body: bytes | None = None  # put off until somebody reads a number
    _deferred_request: bytes | None = None  # what the request said, of a body that was put off
    _says: RequestInfo | None = None
    _headers: Mapping[str, str] | None = None  # of an answer whose headers say something of the usage
    _attempt = 0
    _ended: float | None = None
    _settled: Call | PendingEstimate | None = None
    _id: str | None = None  # given when somebody takes single calls
    _sink_tokens: tuple[Any, ...] = ()
    _is_awaited = True  # a transport dispatches right after the end
    retries = 0  # attempts before this one, as far as a gate has counted them
    is_replay = False  # a cassette answered
    is_signed = True  # whether it surely is a call of the api that its path names
    stand_in: Source | None = None  # what else answered instead of a server, as far as the transport can tell

    def __init__(
        self, endpoint: Endpoint, request: OutgoingRequest, call_scope: CallScope, outer: AttemptLifecycle | None
    ) -> None:
        self.endpoint = endpoint
        self.call_scope = call_scope
        self.outer = outer
        self._request: OutgoingRequest | None = request
        self._open = [True]  # popped by whoever ends the attempt: atomic, also between threads and a finalizer
        self._started_s = time()
        self._t0 = perf_counter()
        self.ticket = self.events_out = self._put_off = self._headers = self.inner = self.replacement_request = None

    @property
    def meters(self) -> tuple[Recipient, ...]:
        """The meters that it belongs to, decided at departure."""
        return self.call_scope.meters

    @property
    def is_local(self) -> bool:
        """Whether this machine is asked."""
        return self.endpoint.is_loopback

    @property
    def is_shown(self) -> bool:
        """Whether somebody sees this call by itself: a plain meter sees sums alone."""
        return self.events_out is not None or self.call_scope.keeps_calls

    @property
    def tags(self) -> tuple[str, ...]:
        """The labels of the meters that the call belongs to."""
        return self.call_scope.tags

    def listen(self, subscribers: tuple[Subscriber, ...]) -> None:
        """Tell handlers of this call."""
        from token_meter.context.subscriber import unique
        from token_meter.events.dispatcher import EventDispatcher

        self.events_out = EventDispatcher(self, unique(subscribers), self.ticket, self._id or new_id())

    # Who is told.

    def record_start(self) -> None:
        """Tell the sinks that the call departs."""
        self._id = new_id()
        try:
            model = self.endpoint.route.model or self.request_says().model
            self._sink_tokens = tuple(sink.on_start(self._id, model) for sink in self.call_scope.sinks)
        except Exception:
            internal_error("sink")

    def _drop(self) -> None:
        for sink in self.call_scope.sinks if self._sink_tokens else ():
            try:
                sink.on_discard(self._id or "")
            except Exception:
                internal_error("sink")

    def _deliver(self, call: Call, error: BaseException | None, body: bytes | None, *, is_ended: bool) -> None:
        if not self.is_signed and self.call_scope.sinks:  # only now it is known to be a call
            self.record_start()
            call = call._replace(id=self._id or call.id)
        pending = pending_estimate_of(self, call, body, is_ended=is_ended)
        ticket = self.ticket
        tells = self.events_out is not None or self._sink_tokens or (ticket is not None and ticket.shared is not None)
        if pending is not None and tells and not (self._is_awaited and pending.is_slow and is_on_loop()):
            call, pending = pending.resolve(), None
        if ticket is not None:
            ticket.count(call if pending is None else pending)
        for meter in self.meters:
            meter.add(call if pending is None else pending)
        if tells:
            tell = partial(self._tell, error, partial(answer_of, self, self._reader, body))
            if pending is None:
                tell(call)
            else:
                self._put_off = PutOff(pending, tell, self.events_out)

    def _tell(self, error: BaseException | None, answer: Callable[[], Answer | None], call: Call) -> None:
        self._put_off = None
        for sink, mark in zip(self.call_scope.sinks, self._sink_tokens, strict=False):
            try:
                sink.on_end(call, mark)
            except Exception:
                internal_error("sink")
        if self.events_out is not None:
            self.events_out.ended(call, error, answer)

    # How it ends.

    def dismiss(self) -> None:
        """Forget a call that never left and that nobody shall hear of."""
        if self._open:
            self._open.clear()
            self._drop()
            if self.ticket is not None:
                self.ticket.end_attempt(is_paid=False)

    def exhausted(self) -> None:
        """The body came to its end."""
        self._leave("complete" if self._is_ok else "error")

    def closed(self) -> None:
        """The reader closed the answer, at its end or before."""
        self._leave("closed" if self._is_ok else "error")

    def abandoned(self) -> None:
        """The answer was dropped without being closed (told by the garbage collector)."""
        self._is_awaited = False
        self._leave("abandoned")
        if self.events_out is not None and self.events_out.pending:
            LATE.append(self.events_out)

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """The attempt, or the reading of its answer, ended with an exception."""
        if not self._open:
            return
        end: Outcome = "cancelled" if type(error).__name__ in _CANCELLED else "error"
        try:
            if self._status is None:
                self._end(NOTHING, end, error=error, unsent=not was_sent)
            else:
                self._end(self._read(), end, error=error)
        except Exception:
            self._lost("failed")

    def _read(self) -> Reading:
        return self._reader.finish() if self._reader is not None else NOTHING

    def _leave(self, end: Outcome) -> None:
        if not self._open or self._is_background:
            return
        try:
            reading = self._read()
            if reading.ended and end != "error":
                end = "complete"
            self._end(reading, end)
        except Exception:
            self._lost("leave")

    def expire(self) -> None:
        """Wait no longer for the end of a background response."""
        self._is_background = False
        self._reader = None  # of a stream it would say once more that the end is to come
        self.abandoned()

    def resume(self, reading: Reading) -> None:
        """A background response reached its end, seen by a later request."""
        self._is_background = False
        self._end(reading, "complete")

    def _lost(self, where: str) -> None:
        """A failure of ours costs a count at most: the call shows as unmeasured."""
        internal_error(where)
        try:
            self._end(NOTHING, "error" if not self._is_ok else "complete")
        except Exception:
            internal_error("lost")

    def _end(
        self,
        reading: Reading,
        end: Outcome,
        *,
        error: BaseException | None = None,
        unsent: bool = False,
        body: bytes | None = None,
    ) -> None:
        if self._headers is not None:
            reading = read_headers(self.endpoint.header_readers, self._headers, reading)
        if reading.status == "pending" and self._is_ok and reading.usage is None and self._track(reading):
            return
        try:
            self._open.pop()
        except IndexError:
            return
        if not self.is_signed and reading.usage is None:
            return
        try:
            if not self._is_repeat(reading):
                self._deliver(call_of(self, reading, end, error, unsent=unsent), error, body, is_ended=reading.ended)
            elif self._sink_tokens:
                self._drop()
        finally:
            if self._counted_as_open:
                for meter in self.meters:
                    meter.closed_stream()
            if self.ticket is not None:
                self.ticket.end_attempt(is_paid=self._is_ok)
            self._reader = None
            self.takes = takes_nothing
            self._request = self._headers = None

    def _track(self, reading: Reading) -> bool:
        """Keep a background response, or a run, open until a later request shows its end."""
        is_behind = self.endpoint.route.api.runs_in_background or self.request_says().background
        if reading.response_id is None or not is_behind:
            return False
        self._is_background = True
        if not self._counted_as_open:
            self._counted_as_open = True
            for meter in self.meters:
                meter.opened_stream()
        BACKGROUND.track(self, reading.response_id)
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

    def request_says(self) -> RequestInfo:
        """What the request asked for: model, stream, background, tier; its bytes are read once."""
        if self._says is None:
            self._says = read_request(self.request_body())
        return self._says

    def request_body(self) -> bytes:
        """The request's bytes, for somebody who keeps nothing of them; none once the call has ended."""
        if self._request is None:
            return self._deferred_request or b""
        return self._request.body()

    @property
    def attempt(self) -> int:
        """Which try of the SDK this is."""
        return self._attempt if self._request is None else attempt_number(self._request.headers) or self.retries
