"""Reads the visible content of an answer of `generateContent`; a stream's event has the shape of a whole answer."""

from __future__ import annotations

import json
from collections.abc import Iterator

from token_meter.wire.format import ContentPart
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import index_of, objects, text_of

_UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"


def parts(event: Object) -> Iterator[ContentPart]:
    """The parts of an event, or of a whole answer."""
    for position, candidate in enumerate(objects(event.get("candidates"))):
        choice, content = index_of(candidate, position), candidate.get("content")
        for slot, part in enumerate(objects(content.get("parts") if isinstance(content, dict) else None)):
            yield from _part(part, choice, slot)


def finish(event: Object) -> str | None:
    """The reason why every candidate of an event has ended, or why there is none; `None` while one goes on."""
    reasons = [text_of(candidate.get("finishReason")) for candidate in objects(event.get("candidates"))]
    blocked = event.get("promptFeedback")
    if not reasons and isinstance(blocked, dict) and (why := text_of(blocked.get("blockReason"))):
        return why.lower()
    if not reasons or not all(reasons) or _UNSPECIFIED in reasons:
        return None
    return reasons[0].lower()


def _part(part: Object, choice: int, slot: int) -> Iterator[ContentPart]:
    if text := text_of(part.get("text")):
        yield ContentPart("reasoning" if part.get("thought") is True else "text", text, choice, slot)
    call, code = part.get("functionCall"), part.get("executableCode")
    if isinstance(call, dict):
        if name := text_of(call.get("name")):
            yield ContentPart("tool_name", name, choice, slot)
        if given := call.get("args"):
            yield ContentPart("tool_arguments", json.dumps(given, ensure_ascii=False), choice, slot)
    if isinstance(code, dict) and (text := text_of(code.get("code"))):
        yield ContentPart("tool_arguments", text, choice, slot)
