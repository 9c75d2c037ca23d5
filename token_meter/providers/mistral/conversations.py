"""Mistral's conversations: what their tools read stands beside prompt and completion, and is billed as input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from token_meter._fees import fees_of
from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.types import Usage
from token_meter.wire.format import ContentPart, Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import index_of, objects, text_of

_DONE, _ERROR, _HANDOFF = "conversation.response.done", "conversation.response.error", "agent.handoff"

_RAN = ("tool.execution", "tool.execution.started")


def _locate_usage(event: Object) -> UsageLocation:
    usage = event.get("usage")
    entries = objects(event.get("outputs"))
    model = event.get("model") or next((entry["model"] for entry in entries if entry.get("model")), None)
    error = event if event.get("type") == _ERROR else event.get("error")
    about = {"id": event.get("conversation_id"), "model": model, "error": error}
    return UsageLocation(usage if isinstance(usage, dict) else None, about)


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    """177 and 134 beside 3,929 of connectors are 4,240 in all (a public example of 2026)."""
    plain = {name: value for name, value in raw.items() if name not in ("connector_tokens", "connectors")}
    usage, beside = usage_of(plain, numbers), numbers.count(raw.get("connector_tokens"))
    used: Any = raw.get("connectors")  # how often each was called (the SDK's `ConversationUsageInfo`)
    if isinstance(used, dict):
        calls = {str(name): count for name, value in used.items() if (count := numbers.count(value))}
        usage = usage._replace(web_searches=calls.pop("web_search", None), fees=fees_of(calls))
    if not beside or usage.prompt_tokens is None:
        return usage
    return usage._replace(prompt_tokens=usage.prompt_tokens + beside)


def _handed_on(events: Sequence[Object]) -> dict[str, Any]:
    """Agents that pass a conversation on may have other models, and one usage adds up what all of them used.

    Where the usage does not count what connectors did, the entries show which ones ran.
    """
    entries = [entry for event in events for entry in (event, *objects(event.get("outputs")))]
    is_handed_on = any(text_of(entry.get("type")).startswith(_HANDOFF) for entry in entries)
    found: dict[str, Any] = {"tokens of another model": None} if is_handed_on else {}
    usages = [event["usage"] for event in events if isinstance(event.get("usage"), dict)]
    if not any(isinstance(usage.get("connectors"), dict) for usage in usages):
        ran = (text_of(entry.get("name")) for entry in entries if text_of(entry.get("type")) in _RAN)
        for name in filter(None, ran):
            found[name] = found.get(name, 0) + 1
    return found


def _growing(event: Object) -> Iterator[ContentPart]:
    """The parts of an event of a stream."""
    kind, slot = event.get("type"), index_of({"index": event.get("output_index")}, 0)
    if kind == "message.output.delta":
        yield from _content(event.get("content"))
    elif kind == "function.call.delta":
        yield from _call(event, slot)


def _finished(conversation: Object) -> Iterator[ContentPart]:
    """The parts of a whole answer."""
    for slot, entry in enumerate(objects(conversation.get("outputs"))):
        if entry.get("type") == "function.call":
            yield from _call(entry, slot)
        else:
            yield from _content(entry.get("content"))


def _content(content: object) -> Iterator[ContentPart]:
    """A text, or chunks of which some are thoughts."""
    for chunk in objects([content] if isinstance(content, dict) else content):
        if thought := text_of(chunk.get("thinking")):
            yield ContentPart("reasoning", thought)
    shown = text_of(content.get("text") if isinstance(content, dict) else content)
    if shown:
        yield ContentPart("text", shown)


def _call(entry: Object, slot: int) -> Iterator[ContentPart]:
    for name, part in (("name", "tool_name"), ("arguments", "tool_arguments")):
        if text := text_of(entry.get(name)):
            yield ContentPart(part, text, 0, slot)


def _finish(event: Object) -> str | None:
    return "stop" if event.get("type") == _DONE or "outputs" in event else None


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.mistral import counting

    return counting.CONVERSATIONS


def _turn_rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.mistral import counting

    return counting.CONVERSATION_TURNS


CONVERSATIONS = Api(
    "conversations",
    Format(
        usage=_usage,
        locate_usage=_locate_usage,
        stream_parts=_growing,
        body_parts=_finished,
        finish=_finish,
        terminal=frozenset({_DONE, _ERROR}),
        keys=("usage", "outputs", "conversation_id"),
        fees=_handed_on,
        fee_marks=(_HANDOFF.encode(), *(kind.encode() for kind in _RAN)),
    ),
    paths=("v1/conversations",),
    is_chat=True,
    needs_sign=True,
    rules=_rules,
)
CONVERSATION_TURNS = CONVERSATIONS._replace(
    paths=("v1/conversations/{}", "v1/conversations/{}/restart"), rules=_turn_rules
)  # fmt: skip
