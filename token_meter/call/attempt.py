"""One call's answer on its way: its head, its body, its pieces. It knows no HTTP library and no totals."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from token_meter._failures import internal_error
from token_meter.call.lifecycle import NOTHING, AttemptLifecycle
from token_meter.call.pending_estimate import PendingEstimate
from token_meter.call.record import late_of
from token_meter.providers import attempt_number
from token_meter.transports.ports import NO_HEADERS
from token_meter.types import Call
from token_meter.wire import StreamReader, is_events, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from token_meter.context.endpoint import Endpoint
    from token_meter.context.scope import CallScope
    from token_meter.transports.ports import OutgoingRequest

_WAIT_LIMIT = 16 * 1024
"""Bytes of a body that may wait to be read; a meter keeps at most 64 such bodies, and none once it has closed."""
REFUSES_USAGE: set[str] = set()
"""Base URLs that turned down a stream which asked for its usage."""


class Attempt(AttemptLifecycle):
    """One HTTP attempt on a metered route (an `ObservedAttempt`, as the seams call it)."""

    @classmethod
    def unsigned(
        cls, endpoint: Endpoint, request: OutgoingRequest, scope: CallScope, outer: AttemptLifecycle | None
    ) -> Attempt:
        """An attempt on a path that others use too: it counts if its answer reports a usage, and else never was."""
        attempt = cls(endpoint, request, scope, outer)
        attempt.is_signed, attempt.ticket = False, attempt.ticket_under_way(scope)
        return attempt

    # What the seams tell (every method is safe to call at any time, any number of times).

    def respond(
        self, status: int, content_type: str, *, streamed: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """The head of an answer is there."""
        self._status, self._is_ok = status, 200 <= status < 300
        if self.endpoint.header_readers and self._is_ok:
            self._headers = headers
        route = self.endpoint.route
        # Speech says what it used only where it is streamed as events.
        tells = route.api.is_metered or "event-stream" in content_type
        self.wants_body = self._is_ok and tells and not content_type.startswith(("audio/", "image/"))
        if self.replacement_request is not None:
            self._hide_usage(status, content_type)
        if streamed:
            # Server-sent events, AWS's event streams, and JSON lines by two names.
            self._streamed = "event" in content_type or "ndjson" in content_type or "stream+json" in content_type
            if self.wants_body:
                self._reader = StreamReader(route.api.format)
            if self.is_signed:
                self._counted_as_open = True
                for meter in self.meters:
                    meter.opened_stream()

    def request_with_usage(self) -> None:
        """Send a request that asks for the stream's usage instead; where that was refused once, never again."""
        if not self.endpoint.route.api.can_request_stream_usage or self.endpoint.base_url in REFUSES_USAGE:
            return
        from token_meter.call.stream_usage import body_with_usage

        try:
            request = self._request
            content = None if request is None else body_with_usage(request.body())
            if request is not None and content is not None:
                self.replacement_request = request.with_body(content)
        except Exception:
            internal_error("ask for usage")

    def _hide_usage(self, status: int, content_type: str) -> None:
        from token_meter.call.stream_usage import UsageChunkFilter

        if status == 400:
            REFUSES_USAGE.add(self.endpoint.base_url)
        elif self._is_ok and "event-stream" in content_type:
            self.chunk_filter = UsageChunkFilter()

    def body(self, data: bytes) -> None:
        """The whole body is there, decoded."""
        try:
            self._reader = None  # pieces were expected, and it came as one
            if self._is_ok and not self.wants_body:
                self.wants_body = is_events(data)  # speech as events: of a whole body the seam tells no type
            if self._allows_deferral(data) and self._defer(data):
                return
            reading = read_body(self.endpoint.route.api.format, data) if self.wants_body else NOTHING
            self._body = None if reading.ended and not reading.error else data
            self._end(reading, "complete" if self._is_ok else "error", body=data)
        except Exception:
            self._lost("body")

    def _allows_deferral(self, data: bytes) -> bool:
        """Whether nobody needs this call before somebody reads a meter.

        A body that is read together with others, when a number is asked for, costs half of one that is read between
        two calls of the SDK, whose code and data have by then driven ours out of the processor's caches.
        """
        if not (self.wants_body and self.is_signed and self._headers is None and self.call_scope.allows_deferral):
            return False
        if self.events_out is not None or self.ticket is not None or self.outer is not None or self.inner is not None:
            return False
        # A background response must be known by the time it is asked for again.
        api = self.endpoint.route.api
        is_behind = api.may_run_in_background or api.runs_in_background
        return api.job is None and not (is_behind and (b'"queued"' in data or b'"in_progress"' in data))

    def _defer(self, data: bytes) -> bool:
        """Let the body wait; but nothing of the HTTP library's, whose next call shall find its memory warm."""
        request = self._request
        asked = b"" if request is None else request.body()
        if len(data) > _WAIT_LIMIT or len(asked) > _WAIT_LIMIT:
            return False
        try:
            self._open.pop()
        except IndexError:
            return True
        self._ended = perf_counter()
        self._body, self._deferred_request = data, asked
        if self.call_scope.keeps_calls:
            self._attempt = 0 if request is None else attempt_number(request.headers)
        self._request = None
        for meter in self.call_scope.meters:
            if self._counted_as_open:
                meter.closed_stream()
            meter.add(self)
        return True

    def settle(self) -> Call | PendingEstimate:
        """Read the body that was put off, for whichever meter is read first.

        Two threads at once come to the same, and both give what the faster one found. A lock would have to be waited
        for by finalizers, which fold the queue of a meter that has closed amid whatever their thread holds.
        """
        if self._settled is None:
            found: Call | PendingEstimate = vars(self).setdefault("_settled", late_of(self, self._body or b""))
            self._body = self._deferred_request = None
            return found
        return self._settled

    def feed(self, chunk: bytes) -> None:
        """A piece of a body passes, decoded."""
        try:
            if self._first_token_s is None:
                self._first_token_s = perf_counter() - self._t0
            reader = self._reader
            if reader is None:
                return
            reader.feed(chunk)
            if self.events_out is None:
                self.takes = reader.takes
            else:
                self.events_out.passed(chunk)
            if reader.ended and self._open:
                # The number is ready when the caller sees the end, not when the stream is closed some time later.
                reading = reader.at_end()
                if reading is not None and (reading.usage is not None or reading.error is not None):
                    self._end(reading, "complete")
            if self.events_out is not None:
                self.events_out.delivering = bool(self.events_out.pending)
        except Exception:
            self._lost("feed")
