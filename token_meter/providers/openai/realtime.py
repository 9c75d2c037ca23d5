"""Realtime: responses in the events of a websocket, and sessions that are billed by their length."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter.providers.api import Api
from token_meter.providers.openai.response_items import growing
from token_meter.providers.openai.responses import RESPONSES, STATUSES
from token_meter.providers.usage import usage_of
from token_meter.types import Usage
from token_meter.wire.format import ContentPart, Format
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import text_of

_SPOKEN = frozenset({
    "response.text.delta", "response.audio_transcript.delta", "response.output_audio_transcript.delta",
})  # fmt: skip


def _pieces(event: Object) -> Iterator[ContentPart]:
    if text_of(event.get("type")) in _SPOKEN:
        if text := text_of(event.get("delta")):
            yield ContentPart("text", text)
    else:
        yield from growing(event)


def _session_usage(raw: Object, numbers: NumberReader) -> Usage:
    return usage_of(raw, numbers)._replace(audio_seconds=numbers.seconds(raw.get("seconds")))


REALTIME = Api(
    "realtime",
    Format(
        usage=usage_of,
        locate_usage=RESPONSES.format.locate_usage,
        stream_parts=_pieces,
        terminal=frozenset({"response.done"}),
        statuses=STATUSES,
    ),
    sockets=("realtime",),
)
LIVE = Api(
    "live",
    Format(usage=_session_usage, terminal=frozenset({"session.closed"})),
    sockets=("live/sessions", "live/sessions/{}/fork", "live/sessions/{}/attach"),
)
REALTIME_TRANSLATIONS = Api("realtime_translations", sockets=("realtime/translations",), is_metered=False)
