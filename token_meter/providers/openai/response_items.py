"""Reads the visible content of a response's items, whole or from the events of a stream."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter.wire.format import ContentPart
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import objects, text_of

_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "tool_arguments",
    "response.mcp_call_arguments.delta": "tool_arguments",
    "response.custom_tool_call_input.delta": "tool_arguments",
}


def _slot(event: Object) -> int:
    index = event.get("output_index")
    return index if type(index) is int else 0


def growing(event: Object) -> Iterator[ContentPart]:
    """The pieces of an event of a stream."""
    item, kind = event.get("item"), _DELTAS.get(text_of(event.get("type")))
    if kind is not None:
        if text := text_of(event.get("delta")):
            yield ContentPart(kind, text, 0, _slot(event))
    elif event.get("type") == "response.output_item.added" and isinstance(item, dict):
        if item.get("type") == "reasoning":
            yield ContentPart("reasoning", "", 0, _slot(event))
        elif name := text_of(item.get("name")):
            yield ContentPart("tool_name", name, 0, _slot(event))


def finished(response: Object) -> Iterator[ContentPart]:
    """The pieces of a whole response."""
    for slot, item in enumerate(objects(response.get("output"))):
        if item.get("type") == "reasoning":
            yield ContentPart("reasoning", text_of(item.get("summary")) + text_of(item.get("content")), 0, slot)
        elif item.get("type") == "message":
            yield from _said(item, slot)
        elif name := text_of(item.get("name")):
            yield ContentPart("tool_name", name, 0, slot)
            yield ContentPart("tool_arguments", text_of(item.get("arguments")) or text_of(item.get("input")), 0, slot)


def _said(message: Object, slot: int) -> Iterator[ContentPart]:
    for part in objects(message.get("content")):
        if text := text_of(part.get("text")):
            yield ContentPart("text", text, 0, slot)
        if text := text_of(part.get("refusal")):
            yield ContentPart("refusal", text, 0, slot)
