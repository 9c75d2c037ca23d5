"""Messages of a websocket: finds the type of each, and converts it to a server-sent event.

A message of the Responses, Realtime and Live APIs equals the data of the same event in a stream, so the readers of
streams can read it. Its type is found without parsing, because most messages contain audio.
"""

from __future__ import annotations

import json
import re
from typing import Any

from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.safe_access import text_of

BEGIN = "response.created"
ENDS = frozenset({
    "response.done", "response.completed", "response.incomplete", "response.failed", "response.cancelled",
})  # fmt: skip
ERROR = "error"
SESSION = frozenset({"session.created", "session.updated", "session.started"})
SESSION_USAGE = frozenset({"session.usage.updated", "session.closed"})
SESSION_END = "session.closed"
TRANSCRIPT = "conversation.item.input_audio_transcription.completed"
TRANSCRIBED = "transcript.text.done"
"""What the end of a streamed transcription is called over HTTP."""
WRAPPED = "response.event"
"""The Live API wraps each event of a response that it delegates in an event of this type."""

CREATE = "response.create"

_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"([\w.]{1,100})"')


def kind_of(message: bytes) -> str:
    """The type of a message. It is mostly the first field; otherwise the message is parsed."""
    found = _TYPE.match(message)
    if found is not None:
        return found[1].decode("ascii", "replace")
    return text_of((parse_object(message) or {}).get("type"))


def is_piece(kind: str) -> bool:
    """Whether an event contains a piece of an answer that can be counted; audio cannot."""
    return kind.startswith("response.") and not kind.endswith("audio.delta")


def as_event(kind: str, message: bytes) -> bytes:
    """Convert a message to an event of a stream. Line breaks are removed: in JSON they occur only between values."""
    if b"\n" in message or b"\r" in message:
        message = message.replace(b"\n", b" ").replace(b"\r", b" ")
    return b"event: %b\ndata: %b\n\n" % (kind.encode("ascii", "replace"), message)


def command_of(data: Any) -> Object | None:
    """Return *data* (text, bytes, a mapping or a model of the SDK) if it is a `response.create`, else `None`."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if isinstance(data, (bytes, bytearray, memoryview)):
        raw = bytes(data)
        found = parse_object(raw) if CREATE.encode() in raw else None
        return found if found is not None and found.get("type") == CREATE else None
    if isinstance(data, dict):
        return data if data.get("type") == CREATE else None
    if getattr(data, "type", None) != CREATE:
        return None
    dumped: Object = data.model_dump(mode="json", exclude_unset=True)
    return dumped


def request_of(command: Object) -> bytes:
    """The body of the equivalent HTTP request."""
    return json.dumps(command, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")


def models_of(session: Any) -> tuple[str | None, str | None]:
    """The models for answers and for transcriptions of a session; `None` where it names none."""
    if not isinstance(session, dict):
        return None, None
    audio = session.get("audio")
    subscribers = audio.get("input") if isinstance(audio, dict) else None
    transcription = (
        subscribers.get("transcription") if isinstance(subscribers, dict) else session.get("input_audio_transcription")
    )
    model = transcription.get("model") if isinstance(transcription, dict) else None
    return text_of(session.get("model")) or None, text_of(model) or None
