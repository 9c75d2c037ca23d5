"""One call's answer on its way: its head, its body, its pieces. It knows no HTTP library and no totals."""

from __future__ import annotations

import threading
from time import perf_counter

from token_meter._forks import in_child
from token_meter._meter._ending import NOTHING, Ending
from token_meter._meter._guess import Guess
from token_meter._meter._record import late_of
from token_meter._wire import StreamReader, is_events, read_body
from token_meter.types import Call

_CAN_ASK = frozenset({"chat", "completions"})  # the APIs with `stream_options.include_usage`; others tell unasked
_WAIT_LIMIT = 16 * 1024
"""Bytes of a body that may wait to be read; a meter keeps at most 64 such bodies, and none once it has closed."""
_settling = threading.RLock()


@in_child
def _after_fork() -> None:
    """Give a forked child a lock that nobody holds."""
    global _settling
    _settling = threading.RLock()


class Flight(Ending):
    """One HTTP attempt on a metered route (a `Watch`, as the seams call it)."""

    # What the seams tell (every method is safe to call at any time, any number of times).

    def respond(self, status: int, content_type: str, *, streamed: bool) -> None:
        """The head of an answer is there."""
        self._status = status
        self._is_ok = 200 <= status < 300
        route = self.place.route
        # Speech says what it used only where it is streamed as events.
        tells = route.metered or "event-stream" in content_type
        self.wants_body = self._is_ok and tells and not content_type.startswith(("audio/", "image/"))
        if self.instead is not None:
            self._hide_usage(status, content_type)
        if streamed:
            self._streamed = "event-stream" in content_type
            if self.wants_body:
                self._reader = StreamReader(route.flavour)
            self._left = True
            for meter in self.meters:
                meter.opened_stream()

    def ask_for_usage(self) -> None:
        """Send a request that asks for the stream's usage instead; where that was refused once, never again."""
        if self.place.route.flavour not in _CAN_ASK or self.place.base_url in self.hub.refuses_usage:
            return
        from token_meter._meter._asking import ask_for_usage

        try:
            self.instead = ask_for_usage(self._request)
        except Exception:
            self.hub.internal_error("ask for usage")

    def _hide_usage(self, status: int, content_type: str) -> None:
        from token_meter._meter._asking import UsageSieve

        if status == 400:
            self.hub.refuses_usage.add(self.place.base_url)
        elif self._is_ok and "event-stream" in content_type:
            self.sieve = UsageSieve()

    def body(self, data: bytes) -> None:
        """The whole body is there, decoded."""
        try:
            if self._is_ok and not self.wants_body:
                self.wants_body = is_events(data)  # speech as events: of a whole body the seam tells no type
            if self._can_wait(data) and self._put_off(data):
                return
            reading = read_body(self.place.route.flavour, data) if self.wants_body else NOTHING
            self._end(reading, "complete" if self._is_ok else "error", body=data)
        except Exception:
            self._lost("body")

    def _can_wait(self, data: bytes) -> bool:
        """Whether nobody needs this call before somebody reads a meter.

        A body that is read together with others, when a number is asked for, costs half of one that is read between
        two calls of the SDK, whose code and data have by then driven ours out of the processor's caches.
        """
        if not self.wants_body or len(data) > _WAIT_LIMIT or self.news is not None or self.gate is not None:
            return False
        if self.outer is not None or self.inner is not None or not self.plan.can_wait:
            return False
        # A background response must be known by the time it is asked for again.
        return self.place.route.flavour == "chat" or not (b'"queued"' in data or b'"in_progress"' in data)

    def _put_off(self, data: bytes) -> bool:
        """Let the body wait; but nothing of the HTTP library's, whose next call shall find its memory warm."""
        asked = self.hub.request_body(self._request)
        if len(asked) > _WAIT_LIMIT:
            return False
        try:
            self._open.pop()
        except IndexError:
            return True
        self._ended = perf_counter()
        self._body, self._asked = data, asked
        if self.plan.keeps_calls:
            self._attempt = self.hub.attempt_of(self._request)
        self._request = None
        for meter in self.plan.meters:
            meter.add(self)
        return True

    def settle(self) -> Call | Guess:
        """Read the body that was put off; once, for whichever meter is read first."""
        if self._settled is None:
            with _settling:
                if self._settled is None:
                    self._settled = late_of(self, self._body or b"")
                    self._body = self._asked = self.client = None
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
            self._fed += len(chunk)
            if self.news is not None:
                self.news.passed(chunk)
            if reader.ended and self._open:
                # The number is ready when the caller sees the end, not when the stream is closed some time later.
                reading = reader.finish()
                if reading.usage is not None or reading.error is not None:
                    self._end(reading, "complete")
            if self.news is not None:
                self.news.serves = bool(self.news.pending)
        except Exception:
            self._lost("feed")
