"""Cohere's chat: v2 streams server-sent events, v1 JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.cohere.usage import is_report, usage_of
from token_meter.wire.format import ContentPart, Format, UsageLocation, located
from token_meter.wire.framing import json_lines
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import index_of, objects, text_of

_ENDS = ("message-end", "stream-end")


def _locate_usage(event: Object) -> UsageLocation:
    """In an answer itself, in v2's last `delta`, in v1's last `response`. An answer names no model."""
    inner = event.get("response") or event.get("delta")
    holder: Object = inner if isinstance(inner, dict) else event
    usage: Any = holder.get("usage") or holder.get("meta")
    about = {"id": holder.get("id") or holder.get("response_id"), "error": holder.get("error")}
    return located((usage if is_report(usage) else None, about))


def _growing(event: Object) -> Iterator[ContentPart]:
    """The parts of an event of a stream."""
    kind, delta = event.get("event_type"), event.get("delta")
    if kind == "text-generation":
        yield ContentPart("text", text_of(event.get("text")))
    elif kind == "tool-calls-generation":
        yield from _called(event)
    elif isinstance(delta, dict) and isinstance(message := delta.get("message"), dict):
        yield from _shown(message, index_of(event, 0))


def _shown(message: Object, slot: int) -> Iterator[ContentPart]:
    """The parts of v2's message, or of what grows of it."""
    content, calls = message.get("content"), message.get("tool_calls")
    blocks = [content] if isinstance(content, dict) else content
    for block in [{"text": blocks}] if isinstance(blocks, str) else objects(blocks):
        if thought := text_of(block.get("thinking")):
            yield ContentPart("reasoning", thought)
        if text := text_of(block.get("text")):
            yield ContentPart("text", text)
    if plan := text_of(message.get("tool_plan")):
        yield ContentPart("text", plan)
    for position, call in enumerate(objects([calls] if isinstance(calls, dict) else calls)):
        function = call.get("function")
        if isinstance(function, dict):
            for name, part in (("name", "tool_name"), ("arguments", "tool_arguments")):
                if text := text_of(function.get(name)):
                    yield ContentPart(part, text, 0, slot + position)


def _finished(answer: Object) -> Iterator[ContentPart]:
    """The parts of a whole answer."""
    response, message = answer.get("response"), answer.get("message")
    if isinstance(message, dict):
        yield from _shown(message, 0)
    else:
        yield from _called(response if isinstance(response, dict) else answer)


def _called(answer: Object) -> Iterator[ContentPart]:
    """The parts of v1's answer."""
    if text := text_of(answer.get("text")):
        yield ContentPart("text", text)
    for slot, call in enumerate(objects(answer.get("tool_calls"))):
        yield ContentPart("tool_name", text_of(call.get("name")), 0, slot)
        yield ContentPart("tool_arguments", json.dumps(call.get("parameters"), ensure_ascii=False), 0, slot)


def _finish(event: Object) -> str | None:
    """Why the answer ended; parts of a stream do not say it."""
    inner = event.get("response") or event.get("delta")
    reason = event.get("finish_reason") or (inner.get("finish_reason") if isinstance(inner, dict) else None)
    return text_of(reason).lower() or ("complete" if event.get("event_type") in _ENDS else None)


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.cohere import counting

    return counting.CHAT


CHAT = Api(
    "cohere_chat",
    Format(
        usage=usage_of,
        locate_usage=_locate_usage,
        stream_parts=_growing,
        body_parts=_finished,
        finish=_finish,
        finish_is_end=True,
        terminal=frozenset(_ENDS),
        keys=("usage", "meta", "id", "response_id"),
        optional_keys=("finish_reason", "error"),
        usage_key=b'"billed_units"',
        framing=json_lines,
    ),
    paths=("v1/chat", "v2/chat"),
    is_chat=True,
    needs_sign=True,
    rules=_rules,
)
