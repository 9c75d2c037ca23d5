"""Realtime: responses in the events of a websocket, and sessions that are billed by their length."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter._wire._flavour import Flavour, Piece
from token_meter._wire._items import growing
from token_meter._wire._json import Object
from token_meter._wire._numbers import Border
from token_meter._wire._shapes import text_of
from token_meter._wire._usage import usage_of
from token_meter._wire.responses import RESPONSES, STATUSES
from token_meter.types import Usage

_SPOKEN = frozenset({
    "response.text.delta", "response.audio_transcript.delta", "response.output_audio_transcript.delta",
})  # fmt: skip


def _pieces(event: Object) -> Iterator[Piece]:
    if text_of(event.get("type")) in _SPOKEN:
        if text := text_of(event.get("delta")):
            yield Piece("text", text)
    else:
        yield from growing(event)


def _session_usage(raw: Object, border: Border) -> Usage:
    return usage_of(raw, border)._replace(audio_seconds=border.seconds(raw.get("seconds")))


REALTIME = Flavour(
    "realtime",
    sockets=("realtime",),
    place=RESPONSES.place,
    pieces=_pieces,
    terminal=frozenset({"response.done"}),
    statuses=STATUSES,
)
LIVE = Flavour(
    "live",
    sockets=("live/sessions", "live/sessions/{}/fork", "live/sessions/{}/attach"),
    usage=_session_usage,
    terminal=frozenset({"session.closed"}),
)
REALTIME_TRANSLATIONS = Flavour("realtime_translations", sockets=("realtime/translations",), metered=False)
