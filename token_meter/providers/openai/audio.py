"""Audio: transcriptions report tokens or seconds, translations nothing, speech its usage only in a stream of events."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter._fees import fees_of
from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.types import Usage
from token_meter.wire.format import ContentPart, Format
from token_meter.wire.json_scan import Object, parse_object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import text_of


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    if raw.get("seconds") is not None:
        return usage_of(raw, numbers)._replace(audio_seconds=numbers.seconds(raw.get("seconds")) or None)
    return usage_of(raw, numbers)


def _pieces(event: Object) -> Iterator[ContentPart]:
    if event.get("type") == "transcript.text.delta" and (text := text_of(event.get("delta"))):
        yield ContentPart("text", text)


def _answer(body: Object) -> Iterator[ContentPart]:
    if text := text_of(body.get("text")):
        yield ContentPart("text", text)


TRANSCRIPTIONS = Api(
    "transcriptions",
    Format(
        usage=_usage,
        stream_parts=_pieces,
        body_parts=_answer,
        terminal=frozenset({"transcript.text.done"}),
        keys=("usage",),
    ),
    paths=("audio/transcriptions",),
)
TRANSLATIONS = Api("translations", Format(body_parts=_answer), paths=("audio/translations",), is_metered=False)


def _spoken(request: bytes) -> Usage | None:
    """The characters of a text that is billed by them; `None` for a model that is billed by tokens.

    OpenAI's tts-1, and Orpheus at Groq (their price pages, 2026-11).
    """
    asked = parse_object(request) or {}
    model, text = text_of(asked.get("model")), asked.get("input")
    if not model.startswith(("tts-1", "canopylabs/orpheus", "playai-tts")) or not isinstance(text, str):
        return None
    return Usage(fees=fees_of({"characters": len(text)}))


SPEECH = Api(
    "speech",
    Format(usage=usage_of, terminal=frozenset({"speech.audio.done"}), keys=("usage",)),
    paths=("audio/speech",),
    is_metered=False,
    asked_usage=_spoken,
)
