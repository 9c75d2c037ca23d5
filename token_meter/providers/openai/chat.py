"""Chat completions: usage at the top, in the first choice (Moonshot), or under `x_groq` in Groq's streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.asked import asked_lives, asked_sound
from token_meter.providers.openai.chat_fees import MARKS, chat_fees
from token_meter.providers.usage import usage_of
from token_meter.wire.format import ContentPart, Format, UsageLocation, located, outer_or_choice
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import index_of, objects, text_of


def _locate_usage(event: Object) -> UsageLocation:
    usage = event.get("usage")
    if isinstance(usage, dict):
        return located((usage, event))
    found = outer_or_choice(event)
    if found.usage is None and "x_groq" in event:
        # Groq's last chunk always has `x_groq.usage`; `usage` only if the request asked for it (2026-11).
        extra = event["x_groq"]
        usage = extra.get("usage") if isinstance(extra, dict) else None
        return UsageLocation(usage if isinstance(usage, dict) else None, event)
    return found


def _visible(said: Object, choice: int) -> Iterator[ContentPart]:
    """The parts of a message or of a delta, which have the same shape."""
    # DeepSeek, OpenRouter and vLLM have different names for the same text.
    thought = text_of(said.get("reasoning_content")) or text_of(said.get("reasoning"))
    if thought or said.get("reasoning_details"):
        yield ContentPart("reasoning", thought, choice)
    if text := text_of(said.get("content")):
        yield ContentPart("text", text, choice)
    if text := text_of(said.get("refusal")):
        yield ContentPart("refusal", text, choice)
    legacy = said.get("function_call")
    calls: Any = [{"function": legacy}] if isinstance(legacy, dict) else said.get("tool_calls")
    for position, call in enumerate(objects(calls)):
        slot = index_of(call, position)
        function = call.get("function") or call.get("custom")
        if isinstance(function, dict):
            if name := text_of(function.get("name")):
                yield ContentPart("tool_name", name, choice, slot)
            if text := text_of(function.get("arguments")) or text_of(function.get("input")):
                yield ContentPart("tool_arguments", text, choice, slot)


def _pieces(event: Object) -> Iterator[ContentPart]:
    for position, choice in enumerate(objects(event.get("choices"))):
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, dict):
            yield from _visible(said, index_of(choice, position))


def _finish(event: Object) -> str | None:
    reasons = (text_of(choice.get("finish_reason")) for choice in objects(event.get("choices")))
    return next(filter(None, reasons), None)


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.openai import counting

    return counting.CHAT


CHAT = Api(
    "chat",
    Format(
        usage=usage_of,
        locate_usage=_locate_usage,
        stream_parts=_pieces,
        body_parts=_pieces,
        finish=_finish,
        fees=chat_fees,
        fee_marks=MARKS,
    ),
    paths=("chat/completions",),
    rules=_rules,
    asked_fees=(asked_lives, asked_sound),
    is_chat=True,
    can_request_stream_usage=True,
    others_fees=True,
)
