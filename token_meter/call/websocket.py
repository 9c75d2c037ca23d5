"""One websocket connection and the calls on it, which begin and end as a provider's `SocketDialect` tells.

A call is bound where its command was sent. An answer that no command asked for is bound where the last message was
sent; before any was sent, where the message was received.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from token_meter._failures import internal_error
from token_meter.budget.admission import REFUSALS, CallTicket
from token_meter.context.scope import base_of
from token_meter.context.stack import CONTEXT_STACK
from token_meter.providers import SOCKET, route_of
from token_meter.providers.sockets import SocketCommand, SocketDialect, SocketPlace, SocketRequest

if TYPE_CHECKING:
    from token_meter.transports.ports import Key, ObservedAttempt, Runtime
    from token_meter.transports.websockets import Url

_SPEAKS_EVENTS = "text/event-stream"
_OVER_LIMIT = 64
_NEVER_SENT = frozenset({"ConnectionClosed", "WebSocketConnectionClosedError"})


class _Request(NamedTuple):
    """What a call over a websocket would look like as a request of its own (an `OutgoingRequest`)."""

    client: Any
    key: Key
    content: bytes
    headers: dict[str, str]

    def body(self) -> bytes:
        """The message, as the body of a request."""
        return self.content

    def with_body(self, content: bytes) -> None:
        """No message is sent in the place of another."""


class _Waiting(NamedTuple):
    """A command without an answer yet; *attempt* is `None` when no meter counts it."""

    command: SocketCommand
    attempt: ObservedAttempt | None


class Connection:
    """The calls of one connection: a `Line` for the transport, `SocketCalls` for the dialect."""

    def __init__(self, runtime: Runtime, url: Url, client: Any = None) -> None:
        self._runtime = runtime
        self._client = client
        self._waiting: list[_Waiting] = []
        self._running: dict[str, tuple[str | None, ObservedAttempt | None]] = {}
        self._beside: dict[str, ObservedAttempt] = {}
        # Names of what ended lately: an end that is said twice is no call of its own.
        self._over: deque[str] = deque(maxlen=_OVER_LIMIT)
        self._over_beside: deque[str] = deque(maxlen=_OVER_LIMIT)
        self._url = url._replace(query="")
        self._stack: tuple[Any, ...] | None = None
        self._dialect: SocketDialect | None = None
        route = route_of(SOCKET, url.path)
        if route is not None and route.api.socket is not None:
            self._dialect = route.api.socket(SocketPlace(route.api.name, url.path, route.prefix, url.query or ""))

    def __del__(self) -> None:
        for attempt in self._all():
            attempt.abandoned()

    # What the transport tells.

    def sent(self, data: Any) -> ObservedAttempt | None:
        """A message is about to leave; a budget may refuse it."""
        try:
            self._stack = base_of(CONTEXT_STACK.get())
            command = None if self._dialect is None else self._dialect.command(data)
            if command is None or (command.joins and any(w.command.lane == command.lane for w in self._waiting)):
                return None
            attempt = self._on_request(command.request)
            self._waiting.append(_Waiting(command, attempt))
        except REFUSALS:
            raise
        except Exception:
            internal_error("websocket send")
            return None
        return attempt

    def unsent(self, attempt: ObservedAttempt, error: BaseException) -> None:
        """The message that began *attempt* did not leave."""
        self._waiting = [waiting for waiting in self._waiting if waiting.attempt is not attempt]
        was_sent = _NEVER_SENT.isdisjoint(cls.__name__ for cls in type(error).__mro__)
        attempt.failed(error, was_sent=was_sent)

    def received(self, message: Any) -> ObservedAttempt | None:
        """A message came."""
        if self._dialect is None:
            return None
        try:
            data = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else bytes(message)
            return self._dialect.received(self, data)
        except Exception:
            internal_error("websocket")
            return None

    def left(self, error: BaseException | None) -> Iterable[ObservedAttempt]:
        """The connection is over."""
        attempts = self._all()
        self._waiting, self._running, self._beside = [], {}, {}
        for attempt in attempts:
            if error is None:
                attempt.closed()
            else:
                attempt.failed(error, was_sent=True)
        return attempts

    def _all(self) -> list[ObservedAttempt]:
        found = [waiting.attempt for waiting in self._waiting] + [attempt for _, attempt in self._running.values()]
        return [attempt for attempt in (*found, *self._beside.values()) if attempt is not None]

    # What the dialect tells.

    def began(self, name: str, lane: str | None, event: bytes) -> ObservedAttempt | None:
        """The answer *name* began."""
        attempt = self._take(lane)
        _, older = self._running.get(name, (None, None))
        if older is not None:  # the end of that name will be the younger one's
            older.abandoned()
        self._running[name] = (lane, attempt)
        if attempt is not None:
            attempt.respond(200, _SPEAKS_EVENTS, streamed=True)
            attempt.feed(event)
        return attempt

    def running(self, place: Callable[[], tuple[str, str | None]]) -> ObservedAttempt | None:
        """The call whose answer runs at *place*."""
        if len(self._running) <= 1:
            return next((attempt for _, attempt in self._running.values()), None)
        name, lane = place()
        return self._running[name][1] if name in self._running else self.running_on(lane)

    def running_on(self, lane: str | None) -> ObservedAttempt | None:
        """The call whose answer runs on *lane*."""
        return next((attempt for running, attempt in self._running.values() if running == lane), None)

    def ended(self, name: str, lane: str | None, event: bytes) -> ObservedAttempt | None:
        """The answer *name* ended."""
        if name in self._running:
            attempt = self._running.pop(name)[1]
        elif name in self._over and not any(waiting.command.lane == lane for waiting in self._waiting):
            return None
        else:
            attempt = self._take(lane)
            if attempt is not None:
                attempt.respond(200, _SPEAKS_EVENTS, streamed=True)
        self._over.append(name)
        if attempt is not None:
            attempt.feed(event)
            attempt.exhausted()
        return attempt

    def refused(self, is_meant: Callable[[SocketCommand], bool], status: int, body: bytes) -> ObservedAttempt | None:
        """A command gets an error instead of an answer."""
        found = self._pop(is_meant)
        attempt = None if found is None else found.attempt
        if attempt is not None:
            attempt.respond(status, "application/json", streamed=False)
            attempt.body(body)
        return attempt

    def beside(
        self, name: str | None, request: SocketRequest, event: bytes | None, *, is_over: bool
    ) -> ObservedAttempt | None:
        """A call beside the answers begins, goes on or is over."""
        if name is not None and name in self._over_beside:
            return None
        attempt = self._beside.pop(name, None) if name is not None else None
        if attempt is None:
            attempt = self._unasked(request)
            if attempt is not None:
                attempt.respond(200, _SPEAKS_EVENTS, streamed=True)
        if attempt is not None and event is not None:
            attempt.feed(event)
        if name is not None and is_over:
            self._over_beside.append(name)
        if attempt is not None and is_over:
            attempt.exhausted()
        elif attempt is not None and name is not None:
            self._beside[name] = attempt
        return attempt

    # How a call begins.

    def _take(self, lane: str | None) -> ObservedAttempt | None:
        """The call that was asked for first on *lane*; a new one for an answer that no command asked for."""
        found = self._pop(lambda command: command.lane == lane)
        if found is not None:
            return found.attempt
        return None if self._dialect is None else self._unasked(self._dialect.unasked())

    def _pop(self, is_meant: Callable[[SocketCommand], bool]) -> _Waiting | None:
        for n, waiting in enumerate(self._waiting):
            if is_meant(waiting.command):
                return self._waiting.pop(n)
        return None

    def _on_request(self, request: SocketRequest) -> ObservedAttempt | None:
        url = self._url
        key = (request.method, url.scheme, url.host, url.port, request.path)
        return self._runtime.on_request(_Request(self._client, key, request.content, {}))

    def _unasked(self, request: SocketRequest) -> ObservedAttempt | None:
        """A call that the server began: it is under way already, so no limit is asked."""
        ticket = CallTicket(is_entered=False)
        ticket.is_checked = True
        here = CONTEXT_STACK.get()
        CONTEXT_STACK.set((*(base_of(here) if self._stack is None else self._stack), ticket))
        try:
            return self._on_request(request)
        finally:
            CONTEXT_STACK.set(here)
