"""Reads the visible content of a message: its blocks, whole or from the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator

from token_meter.wire.format import ContentPart
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import index_of, objects, text_of

_DELTAS = {
    "text_delta": ("text", "text"),
    "thinking_delta": ("reasoning", "thinking"),
    "input_json_delta": ("tool_arguments", "partial_json"),
}
"""Types of deltas: the kind of part, and the key of its text. Signatures and citations are not output."""


def growing(event: Object) -> Iterator[ContentPart]:
    """The parts of an event of a stream."""
    slot, delta, block = index_of(event, 0), event.get("delta"), event.get("content_block")
    if isinstance(delta, dict):
        kind, key = _DELTAS.get(text_of(delta.get("type")), ("", ""))
        if kind and (text := text_of(delta.get(key))):
            yield ContentPart(kind, text, 0, slot)
    elif isinstance(block, dict):
        yield from _begun(block, slot)


def finished(message: Object) -> Iterator[ContentPart]:
    """The parts of a whole message."""
    for slot, block in enumerate(objects(message.get("content"))):
        yield from _begun(block, slot)
        if _is_tool(block) and (given := block.get("input")):
            yield ContentPart("tool_arguments", json.dumps(given, ensure_ascii=False), 0, slot)


def finish(event: Object) -> str | None:
    """The stop reason, `refusal` among them: of a whole message, or of the event that also reports the output."""
    delta, usage = event.get("delta"), event.get("usage")
    if isinstance(delta, dict) and not (isinstance(usage, dict) and usage.get("output_tokens") is not None):
        return None
    return text_of((delta if isinstance(delta, dict) else event).get("stop_reason")) or None


def _begun(block: Object, slot: int) -> Iterator[ContentPart]:
    """The parts in the first event of a block, without a tool's input: in a stream, that begins as an empty object."""
    kind = text_of(block.get("type"))
    if kind in ("thinking", "redacted_thinking"):
        yield ContentPart("reasoning", text_of(block.get("thinking")), 0, slot)
    elif _is_tool(block):
        if name := text_of(block.get("name")):
            yield ContentPart("tool_name", name, 0, slot)
    elif kind == "text" and (text := text_of(block.get("text"))):
        yield ContentPart("text", text, 0, slot)


def _is_tool(block: Object) -> bool:
    """Whether the block is a call of a tool: of the caller, of the provider, or of an MCP server."""
    return text_of(block.get("type")).endswith("tool_use")
