"""The apis that speak on a websocket only: responses in its events, and sessions that are billed by their length."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter.providers.api import Api
from token_meter.providers.openai.response_items import growing
from token_meter.providers.openai.responses import RESPONSES, STATUSES, open_socket
from token_meter.providers.usage import usage_of
from token_meter.types import Usage
from token_meter.wire.format import ContentPart, Format, UsageLocation
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


def _locate_usage(event: Object) -> UsageLocation:
    """In the response, or beside it: xAI's `response.usage` is `{}` (pydantic/pydantic-ai#6324, read 2026-11)."""
    found = RESPONSES.format.locate_usage(event)
    beside = event.get("usage")
    return found if found.usage or not isinstance(beside, dict) else UsageLocation(beside, found.holder)


def _session_usage(raw: Object, numbers: NumberReader) -> Usage:
    return usage_of(raw, numbers)._replace(audio_seconds=numbers.seconds(raw.get("seconds")))


REALTIME = Api(
    "realtime",
    Format(
        usage=usage_of,
        locate_usage=_locate_usage,
        stream_parts=_pieces,
        terminal=frozenset({"response.done"}),
        statuses=STATUSES,
    ),
    sockets=("realtime",),
    socket=open_socket,
)
LIVE = Api(
    "live",
    Format(usage=_session_usage, terminal=frozenset({"session.closed"})),
    sockets=("live/sessions", "live/sessions/{}/fork", "live/sessions/{}/attach"),
    socket=open_socket,
)
REALTIME_TRANSLATIONS = Api(
    "realtime_translations", sockets=("realtime/translations",), socket=open_socket, is_metered=False
)
