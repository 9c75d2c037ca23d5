"""Audio: transcriptions in tokens or in seconds; translations report nothing, and speech only in a stream of events."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter._wire._flavour import Flavour, Piece
from token_meter._wire._json import Object
from token_meter._wire._numbers import Border
from token_meter._wire._shapes import text_of
from token_meter._wire._usage import usage_of
from token_meter.types import Usage


def _usage(raw: Object, border: Border) -> Usage:
    if raw.get("seconds") is not None:
        return usage_of(raw, border)._replace(audio_seconds=border.seconds(raw.get("seconds")))
    return usage_of(raw, border)


def _pieces(event: Object) -> Iterator[Piece]:
    if event.get("type") == "transcript.text.delta" and (text := text_of(event.get("delta"))):
        yield Piece("text", text)


def _answer(body: Object) -> Iterator[Piece]:
    if text := text_of(body.get("text")):
        yield Piece("text", text)


TRANSCRIPTIONS = Flavour(
    "transcriptions",
    paths=("audio/transcriptions",),
    usage=_usage,
    pieces=_pieces,
    answer=_answer,
    terminal=frozenset({"transcript.text.done"}),
    keys=("usage",),
)
TRANSLATIONS = Flavour("translations", paths=("audio/translations",), metered=False, answer=_answer)
SPEECH = Flavour(
    "speech", paths=("audio/speech",), metered=False, terminal=frozenset({"speech.audio.done"}), keys=("usage",)
)
