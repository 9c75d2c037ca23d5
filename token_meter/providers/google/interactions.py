"""Google's interactions: models and agents, whole, streamed, or in the background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from token_meter._fees import fees_of
from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.google.usage import INTERACT, is_report, usage_of
from token_meter.types import Usage
from token_meter.wire.format import ContentPart, Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import index_of, objects, text_of
from token_meter.wire.usage_merge import latest

_ENDS = frozenset({"interaction.completed", "interaction.complete", "interaction.cancelled"})
"""Without the `d` until google-genai 2."""
_VERSIONS = ("v1", "v1alpha", "v1beta", "v1beta1")
_DELTAS = {"text": "text", "thought_summary": "reasoning", "arguments_delta": "tool_arguments"}


def _locate_usage(event: Object) -> UsageLocation:
    """The usage so far: in an event's metadata before the end. A step's own usage is a part of it, and is not read."""
    inner, kind = event.get("interaction"), event.get("event_type")
    holder: Object = inner if isinstance(inner, dict) else event if kind is None else {}
    usage: Any = event.get("usage") if kind in _ENDS and "usage" in event else holder.get("usage")
    metadata = event.get("metadata")
    if usage is None and isinstance(metadata, dict):
        usage = metadata.get("total_usage") or metadata.get("usage")
    return UsageLocation(usage if is_report(usage, INTERACT) else None, holder)


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    counts = {text_of(t.get("type")): numbers.count(t.get("count")) for t in objects(raw.get("grounding_tool_count"))}
    searches = counts.pop("google_search", None)
    return usage_of(raw, numbers, INTERACT)._replace(web_searches=searches, fees=fees_of(counts))


_WITHOUT_FEE = frozenset({
    "function_call", "mcp_server_tool_call", "url_context_call", "code_execution_call", "file_search_call",
    "tool_search_call", "processing_call",
})  # fmt: skip
"""Steps that cost their tokens alone: of the caller, or so on Google's price page (2026-11)."""


def _executed(events: Sequence[Object]) -> dict[str, Any]:
    """Searches and other tools that the steps show; where the usage counts them, that count holds."""
    found: dict[str, Any] = {}
    queries: set[str] = set()
    for event in events:
        usage, holder = _locate_usage(event)
        if isinstance(usage, dict) and usage.get("grounding_tool_count"):
            return {}
        for step in objects([event.get("step"), event.get("delta"), *_steps(holder)]):
            kind = text_of(step.get("type"))
            if not kind.endswith("_call") or kind in _WITHOUT_FEE:
                continue
            if kind == "google_search_call" and step.get("search_type") == "enterprise_web_search":
                kind = "enterprise_web_search"
            elif kind == "google_search_call":
                given: Any = step.get("arguments")
                asked = given.get("queries") if isinstance(given, dict) else None
                queries |= {q for q in asked if isinstance(q, str) and q.strip()} if isinstance(asked, list) else set()
            found[kind.removesuffix("_call")] = None
    if queries:
        del found["google_search"]
        found["web_search"] = len(queries)
    return found


def _steps(interaction: Object) -> list[Object]:
    return list(objects(interaction.get("steps") or interaction.get("outputs")))


def _growing(event: Object) -> Iterator[ContentPart]:
    """The parts of an event of a stream."""
    slot, delta, step = index_of(event, 0), event.get("delta"), event.get("step")
    if isinstance(delta, dict):
        kind = _DELTAS.get(text_of(delta.get("type")))
        content = delta.get("content")
        shown = content if isinstance(content, dict) else delta
        if kind and (text := text_of(shown.get("text")) or text_of(shown.get("arguments"))):
            yield ContentPart(kind, text, 0, slot)
    elif isinstance(step, dict):
        yield from _step(step, slot)


def _finished(interaction: Object) -> Iterator[ContentPart]:
    """The parts of a whole interaction."""
    for slot, step in enumerate(_steps(interaction)):
        yield from _step(step, slot)


def _step(step: Object, slot: int) -> Iterator[ContentPart]:
    kind = text_of(step.get("type"))
    if kind == "function_call" and (name := text_of(step.get("name"))):
        yield ContentPart("tool_name", name, 0, slot)
    elif kind in ("model_output", "text", "thought"):
        is_thought = kind == "thought"
        shown = step.get("summary") if is_thought else step.get("content", step.get("text"))
        if text := text_of(shown):
            yield ContentPart("reasoning" if is_thought else "text", text, 0, slot)


def _finish(event: Object) -> str | None:
    """The status at the end, of a stream or of a whole interaction."""
    inner = event.get("interaction")
    holder = inner if isinstance(inner, dict) else event
    kind = event.get("event_type")
    return (text_of(holder.get("status")) or "completed") if kind is None or kind in _ENDS else None


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.google import counting

    return counting.INTERACTIONS


INTERACTIONS = Api(
    "interactions",
    Format(
        usage=_usage,
        locate_usage=_locate_usage,
        stream_parts=_growing,
        body_parts=_finished,
        finish=_finish,
        finish_is_end=True,
        terminal=_ENDS,
        merge=latest,
        statuses={
            "completed": "complete",
            "requires_action": "complete",
            "incomplete": "incomplete",
            "failed": "failed",
            "cancelled": "failed",
            "in_progress": "pending",
        },
        keys=("usage", "model", "status", "id"),
        optional_keys=("service_tier", "error"),
        usage_key=b'usage"',
        has_running_output=True,
        fees=_executed,
        fee_marks=(b'_call"',),
    ),
    paths=tuple(f"{version}/interactions" for version in _VERSIONS),
    retrieves=tuple(("GET", f"{version}/interactions/{{}}") for version in _VERSIONS),
    is_chat=True,
    may_run_in_background=True,
    needs_sign=True,
    rules=_rules,
)
