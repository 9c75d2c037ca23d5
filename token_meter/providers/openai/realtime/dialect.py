"""Finds the call of each message on a websocket of the Responses, Realtime and Live APIs.

A `response.create` requests a call. The server also starts responses itself: when it detects the end of a turn, and
when a Live session delegates. https://platform.openai.com/docs/api-reference/realtime (2026-11)
"""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import parse_qs

from token_meter.providers.openai.realtime.messages import (
    BEGIN,
    ENDS,
    ERROR,
    SESSION,
    SESSION_END,
    SESSION_USAGE,
    TRANSCRIBED,
    TRANSCRIPT,
    WRAPPED,
    as_event,
    command_of,
    is_piece,
    kind_of,
    models_of,
    request_of,
)
from token_meter.providers.routes import SOCKET
from token_meter.providers.sockets import SocketCalls, SocketCommand, SocketPlace, SocketRequest
from token_meter.transports.ports import ObservedAttempt
from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.safe_access import text_of

_BILLED_AS_A_WHOLE = frozenset({"live", "realtime_translations"})
_SESSION = "session"


class Dialect:
    """The messages of one connection (a `SocketDialect`)."""

    def __init__(self, place: SocketPlace) -> None:
        self._api = place.api
        self._path = place.path
        self._prefix = place.prefix
        query = parse_qs(place.query)
        self._model = next((found for key in ("model", "deployment") for found in query.get(key, ())), None)
        self._transcribes: str | None = None

    def command(self, data: Any) -> SocketCommand | None:
        """A `response.create`."""
        found = command_of(data)
        if found is None:
            return None
        return SocketCommand(self._request(found), _lane_of(found), text_of(found.get("event_id")) or None)

    def unasked(self) -> SocketRequest:
        """A response on this path; in a Live session the delegated responses are calls of the Responses API."""
        if self._api == "live":
            return SocketRequest("POST", f"{self._prefix}/responses", b"")
        return self._request({})

    def received(self, calls: SocketCalls, message: bytes) -> ObservedAttempt | None:
        """Each message has a type, by which it is told what it means."""
        return self._received(calls, kind_of(message), message, None)

    def _received(self, calls: SocketCalls, kind: str, data: bytes, lane: str | None) -> ObservedAttempt | None:
        if kind == BEGIN or kind in ENDS:
            event = parse_object(data) or {}
            tell = calls.began if kind == BEGIN else calls.ended
            return tell(_id_of(event), lane or _lane_of(event), as_event(kind, data))
        if kind == ERROR:
            return self._refused(calls, data)
        if kind == WRAPPED:
            outer = parse_object(data) or {}
            inner = outer.get("event")
            if isinstance(inner, dict):
                lane = text_of(outer.get("delegation_id")) or None
                return self._received(calls, text_of(inner.get("type")), request_of(inner), lane)
        elif is_piece(kind):

            def place() -> tuple[str, str | None]:
                event = parse_object(data) or {}
                return text_of(event.get("response_id")), lane or _lane_of(event)

            running = calls.running(place)
            if running is not None:
                running.feed(as_event(kind, data))
            return running
        elif kind in SESSION:
            model, transcribes = models_of((parse_object(data) or {}).get("session"))
            self._model, self._transcribes = model or self._model, transcribes or self._transcribes
            if self._api in _BILLED_AS_A_WHOLE:
                calls.beside(_SESSION, self._request({}), None, is_over=False)
        elif kind in SESSION_USAGE and self._api in _BILLED_AS_A_WHOLE:
            return calls.beside(_SESSION, self._request({}), as_event(kind, data), is_over=kind == SESSION_END)
        elif kind == TRANSCRIPT:
            return self._transcribed(calls, kind, data)
        return None

    def _refused(self, calls: SocketCalls, data: bytes) -> ObservedAttempt | None:
        """An error is that of a running response of its lane, or of a command, or of another message of the client."""
        event = parse_object(data) or {}
        inner = event.get("error")
        error: Object = inner if isinstance(inner, dict) else event
        lane, name = _lane_of(event), text_of(error.get("event_id"))
        is_of_responses = "response" in text_of(error.get("code")) or text_of(error.get("param")).startswith("response")

        def is_meant(command: SocketCommand) -> bool:
            if self._api == "responses":
                return command.lane == lane
            return command.id == name if name else is_of_responses

        running = calls.running_on(lane) if self._api == "responses" else None
        if running is not None:
            running.feed(as_event(ERROR, data))
            return running
        status = event.get("status")
        is_status = type(status) is int and 400 <= status <= 599
        return calls.refused(is_meant, cast(int, status) if is_status else 400, data)

    def _transcribed(self, calls: SocketCalls, kind: str, data: bytes) -> ObservedAttempt | None:
        """Count a transcription of the user's speech, which another model has made at its own price.

        xAI sends the text so far under the same name, with `status: in_progress`, and the whole text with `completed`
        (livekit/agents#6271, read 2026-11); both name the item and are one call.
        """
        event = parse_object(data) or {}
        item, is_over = text_of(event.get("item_id")), event.get("status") != "in_progress"
        if not item and not is_over:
            return None
        name = f"{item} {event.get('content_index') or 0}" if item else None
        request = SocketRequest(
            "POST", f"{self._prefix}/audio/transcriptions", request_of({"model": self._transcribes})
        )
        return calls.beside(name, request, as_event(TRANSCRIBED if is_over else kind, data), is_over=is_over)

    def _request(self, command: Object) -> SocketRequest:
        # Only the session names the model of a realtime response.
        content = request_of(command if self._api == "responses" else {"model": self._model})
        return SocketRequest(SOCKET, self._path, content)


def _lane_of(event: Object) -> str | None:
    return text_of(event.get("stream_id")) or None


def _id_of(event: Object) -> str:
    inner = event.get("response")
    return text_of(inner.get("id")) if isinstance(inner, dict) else ""
