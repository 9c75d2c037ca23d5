"""One websocket connection: which of its messages belong to which call. It knows no SDK and no sums.

A call is bound where its `response.create` was sent. A response that nobody asked for by name (the server heard the end
of a turn, a Live session delegated) is bound where something was sent last, else where its message was received.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import parse_qs

from token_meter._failures import internal_error
from token_meter.budget.admission import REFUSALS, CallTicket
from token_meter.context.scope import base_of
from token_meter.context.stack import CONTEXT_STACK
from token_meter.providers import SOCKET, route_of
from token_meter.providers.openai.realtime_messages import (
    BEGIN,
    ENDS,
    ERROR,
    SESSION,
    SESSION_END,
    SESSION_USAGE,
    TRANSCRIPT,
    WRAPPED,
    as_event,
    command_of,
    is_piece,
    kind_of,
    models_of,
    request_of,
)
from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.safe_access import text_of

if TYPE_CHECKING:
    from token_meter.call.attempt import Attempt
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


class _Asked(NamedTuple):
    """A `response.create` that was sent; *attempt* is `None` when nobody listened."""

    lane: str | None
    event_id: str | None
    attempt: Attempt | None


class Connection:
    """The calls of one connection (a `Line`, as the seam calls it)."""

    def __init__(self, runtime: Runtime, url: Url, client: Any = None) -> None:
        self._runtime = runtime
        self._client = client
        self._waiting: list[_Asked] = []
        self._running: dict[str, tuple[str | None, Attempt | None]] = {}
        self._over: deque[str] = deque(maxlen=_OVER_LIMIT)
        self._session: Attempt | None = None
        route = route_of(SOCKET, url.path)
        self._api = route.api.name if route is not None else ""
        self._prefix = route.prefix if route is not None else ""
        query = parse_qs(url.query or "")
        self._model = next((found for key in ("model", "deployment") for found in query.get(key, ())), None)
        self._url = url._replace(query="")
        self._transcribes: str | None = None
        self._stack: tuple[Any, ...] | None = None

    def __del__(self) -> None:
        for attempt in self._all():
            attempt.abandoned()

    # What the seam tells.

    def sent(self, data: Any) -> Attempt | None:
        """A message is about to leave; a budget may refuse it."""
        try:
            self._stack = base_of(CONTEXT_STACK.get())
            command = command_of(data)
            if command is None:
                return None
            attempt = self._on_request(SOCKET, self._url.path, self._request(command))
            lane, event_id = text_of(command.get("stream_id")), text_of(command.get("event_id"))
            self._waiting.append(_Asked(lane or None, event_id or None, attempt))
        except REFUSALS:
            raise
        except Exception:
            internal_error("websocket send")
            return None
        return attempt

    def unsent(self, attempt: ObservedAttempt, error: BaseException) -> None:
        """The message that began *attempt* did not leave."""
        self._waiting = [asked for asked in self._waiting if asked.attempt is not attempt]
        was_sent = _NEVER_SENT.isdisjoint(cls.__name__ for cls in type(error).__mro__)
        attempt.failed(error, was_sent=was_sent)

    def received(self, message: Any) -> Attempt | None:
        """A message came."""
        try:
            data = message.encode("utf-8", "surrogatepass") if isinstance(message, str) else bytes(message)
            return self._received(kind_of(data), data, None)
        except Exception:
            internal_error("websocket")
            return None

    def left(self, error: BaseException | None) -> Iterable[Attempt]:
        """The connection is over."""
        attempts = self._all()
        self._waiting, self._running, self._session = [], {}, None
        for attempt in attempts:
            if error is None:
                attempt.closed()
            else:
                attempt.failed(error, was_sent=True)
        return attempts

    def _all(self) -> list[Attempt]:
        found = [asked.attempt for asked in self._waiting] + [attempt for _, attempt in self._running.values()]
        return [attempt for attempt in (*found, self._session) if attempt is not None]

    # What a message means.

    def _received(self, kind: str, data: bytes, lane: str | None) -> Attempt | None:
        if kind == BEGIN:
            return self._began(data, lane)
        if kind in ENDS:
            return self._ended(kind, data, lane)
        if kind == ERROR:
            return self._refused(data)
        if kind == WRAPPED:
            outer = parse_object(data) or {}
            inner = outer.get("event")
            if isinstance(inner, dict):
                lane = text_of(outer.get("delegation_id")) or None
                return self._received(text_of(inner.get("type")), request_of(inner), lane)
        elif is_piece(kind):
            return self._feed(kind, data, lane)
        elif kind in SESSION:
            model, transcribes = models_of((parse_object(data) or {}).get("session"))
            self._model, self._transcribes = model or self._model, transcribes or self._transcribes
            self._open_session()
        elif kind in SESSION_USAGE:
            return self._metered(kind, data)
        elif kind == TRANSCRIPT:
            return self._transcribed(data)
        return None

    def _began(self, data: bytes, lane: str | None) -> Attempt | None:
        event = parse_object(data) or {}
        lane = lane or text_of(event.get("stream_id")) or None
        attempt = self._take(lane)
        name = _id_of(event)
        _, older = self._running.get(name, (None, None))
        if older is not None:  # nobody will ever end it by that name
            older.abandoned()
        self._running[name] = (lane, attempt)
        if attempt is not None:
            attempt.respond(200, _SPEAKS_EVENTS, streamed=True)
            attempt.feed(as_event(BEGIN, data))
        return attempt

    def _ended(self, kind: str, data: bytes, lane: str | None) -> Attempt | None:
        event = parse_object(data) or {}
        name = _id_of(event)
        if name in self._running:
            attempt = self._running.pop(name)[1]
        else:
            lane = lane or text_of(event.get("stream_id")) or None
            if name in self._over and not any(asked.lane == lane for asked in self._waiting):
                return None  # said again
            attempt = self._take(lane)
            if attempt is not None:
                attempt.respond(200, _SPEAKS_EVENTS, streamed=True)
        self._over.append(name)
        if attempt is not None:
            attempt.feed(as_event(kind, data))
            attempt.exhausted()
        return attempt

    def _feed(self, kind: str, data: bytes, lane: str | None) -> Attempt | None:
        attempt = None
        if len(self._running) == 1:
            ((_, attempt),) = self._running.values()
        elif self._running:
            event = parse_object(data) or {}
            lane = lane or text_of(event.get("stream_id")) or None
            named = self._running.get(text_of(event.get("response_id")))
            if named is None:
                named = next((running for running in self._running.values() if running[0] == lane), None)
            attempt = named[1] if named is not None else None
        if attempt is not None:
            attempt.feed(as_event(kind, data))
        return attempt

    def _refused(self, data: bytes) -> Attempt | None:
        """An error is that of a running response of its lane, else of one that was asked for, else of neither."""
        event = parse_object(data) or {}
        inner = event.get("error")
        error: Object = inner if isinstance(inner, dict) else event
        lane = text_of(event.get("stream_id")) or None
        if self._api == "responses":
            for running, attempt in self._running.values():
                if running == lane and attempt is not None:
                    attempt.feed(as_event(ERROR, data))
                    return attempt
            meant = [asked for asked in self._waiting if asked.lane == lane]
        else:
            event_id = text_of(error.get("event_id"))
            meant = [asked for asked in self._waiting if event_id and asked.event_id == event_id]
            if not event_id and (text_of(error.get("param")).startswith("response") or "response" in _code(error)):
                meant = self._waiting
        if not meant:
            return None
        asked = meant[0]
        self._waiting = [other for other in self._waiting if other is not asked]
        if asked.attempt is not None:
            status = event.get("status")
            is_status = type(status) is int and 400 <= status <= 599
            asked.attempt.respond(cast(int, status) if is_status else 400, "application/json", streamed=False)
            asked.attempt.body(data)
        return asked.attempt

    def _transcribed(self, data: bytes) -> Attempt | None:
        """What a user said was written down by another model, at its own price."""
        content = request_of({"model": self._transcribes})
        attempt = self._unasked("POST", f"{self._prefix}/audio/transcriptions", content)
        if attempt is not None:
            attempt.respond(200, _SPEAKS_EVENTS, streamed=True)
            attempt.feed(as_event("transcript.text.done", data))
            attempt.exhausted()
        return attempt

    def _open_session(self) -> None:
        """Some sessions are billed as a whole; those whose events never say how much are unmeasured."""
        if self._session is None and self._api in ("live", "realtime_translations"):
            self._session = self._unasked(SOCKET, self._url.path, self._request({}))
            if self._session is not None:
                self._session.respond(200, _SPEAKS_EVENTS, streamed=True)

    def _metered(self, kind: str, data: bytes) -> Attempt | None:
        self._open_session()
        attempt = self._session
        if attempt is not None:
            attempt.feed(as_event(kind, data))
            if kind == SESSION_END:
                attempt.exhausted()
                self._session = None
        return attempt

    # How a call begins.

    def _take(self, lane: str | None) -> Attempt | None:
        """The call that was asked for first on *lane*; a new one for a response that nobody asked for."""
        for asked in self._waiting:
            if asked.lane == lane:
                self._waiting = [other for other in self._waiting if other is not asked]
                return asked.attempt
        if self._api == "live":
            return self._unasked("POST", f"{self._prefix}/responses", b"")
        return self._unasked(SOCKET, self._url.path, self._request({}))

    def _request(self, command: Object) -> bytes:
        # Of a realtime response only the session knows the model.
        return request_of(command if self._api == "responses" else {"model": self._model})

    def _on_request(self, method: str, path: str, content: bytes) -> Attempt | None:
        url = self._url
        request = _Request(self._client, (method, url.scheme, url.host, url.port, path), content, {})
        return cast("Attempt | None", self._runtime.on_request(request))

    def _unasked(self, method: str, path: str, content: bytes) -> Attempt | None:
        """A call that the server began: it is under way already, so no limit is asked."""
        ticket = CallTicket(is_entered=False)
        ticket.is_checked = True
        here = CONTEXT_STACK.get()
        CONTEXT_STACK.set((*(base_of(here) if self._stack is None else self._stack), ticket))
        try:
            return self._on_request(method, path, content)
        finally:
            CONTEXT_STACK.set(here)


def _id_of(event: Object) -> str:
    inner = event.get("response")
    return text_of(inner.get("id")) if isinstance(inner, dict) else ""


def _code(error: Object) -> str:
    return text_of(error.get("code"))
