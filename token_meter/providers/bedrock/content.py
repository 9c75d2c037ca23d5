"""Reads the visible content of a conversation: its blocks, whole or from the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from token_meter.wire.format import ContentPart
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import objects, text_of


def growing(event: Object) -> Iterator[ContentPart]:
    """The parts of an event of a stream."""
    index = event.get("contentBlockIndex")
    slot = index if type(index) is int else 0
    start, delta = event.get("start"), event.get("delta")
    if isinstance(start, dict):
        yield from _named(start.get("toolUse"), slot)
    if isinstance(delta, dict):
        yield from _shown(delta, slot)
        tool = delta.get("toolUse")
        if isinstance(tool, dict) and (text := text_of(tool.get("input"))):
            yield ContentPart("tool_arguments", text, 0, slot)


def finished(answer: Object) -> Iterator[ContentPart]:
    """The parts of a whole answer."""
    output = answer.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    for slot, block in enumerate(objects(message.get("content") if isinstance(message, dict) else None)):
        yield from _shown(block, slot)
        tool = block.get("toolUse")
        yield from _named(tool, slot)
        if isinstance(tool, dict) and (given := tool.get("input")):
            yield ContentPart("tool_arguments", json.dumps(given, ensure_ascii=False), 0, slot)


def executed(events: Sequence[Object]) -> dict[str, Any]:
    """The tools that Bedrock itself ran, by name, such as `nova_grounding` (botocore 1.43, `ToolUseType`, 2026-11)."""
    found: dict[str, Any] = {}
    for event in events:
        output = event.get("output")
        message = output.get("message") if isinstance(output, dict) else None
        for block in (event.get("start"), *objects(message.get("content") if isinstance(message, dict) else None)):
            tool = block.get("toolUse") if isinstance(block, dict) else None
            if isinstance(tool, dict) and tool.get("type") == "server_tool_use":
                name = text_of(tool.get("name")) or "server tool"
                found[name] = found.get(name, 0) + 1
    return found


def finish(event: Object) -> str | None:
    """The stop reason, of a whole answer or of the event that ends a message."""
    return text_of(event.get("stopReason")) or None


def _shown(block: Object, slot: int) -> Iterator[ContentPart]:
    """Text and thoughts; a thought is a text in a stream, and an object around it in a whole answer."""
    if text := text_of(block.get("text")):
        yield ContentPart("text", text, 0, slot)
    thought = block.get("reasoningContent")
    if isinstance(thought, dict):
        inner = thought.get("reasoningText")
        yield ContentPart("reasoning", text_of((inner if isinstance(inner, dict) else thought).get("text")), 0, slot)


def _named(tool: object, slot: int) -> Iterator[ContentPart]:
    if isinstance(tool, dict) and (name := text_of(tool.get("name"))):
        yield ContentPart("tool_name", name, 0, slot)
