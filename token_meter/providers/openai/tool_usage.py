"""What an answer reports beside its usage: tools that another model or a fee pays for."""

from __future__ import annotations

from typing import Any

from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects


def with_tools(usage: Usage, holder: Object, numbers: NumberReader) -> Usage:
    """Add web searches, and the tokens of image generation and of SVG authoring."""
    tools = holder.get("tool_usage")
    searches, beside = None, None
    if isinstance(tools, dict):
        searches = numbers.count(_inner(tools, "web_search", "num_requests"))
        beside = _all_tokens(tools.get("image_gen"), numbers)
    shown = 0
    for drawn in (holder, *objects(holder.get("output"))):
        tokens = _all_tokens(drawn.get("svg_usage"), numbers)
        if tokens is not None:
            beside = tokens + (beside or 0)
        shown += _is_search(drawn)
    if searches is None and shown:
        searches = shown
    if searches is None and beside is None:
        return usage
    return usage._replace(web_searches=searches, tool_usage_tokens=beside)


def _is_search(item: Object) -> bool:
    """Whether an item of the output is a search that is billed.

    Older answers count none, and show each. To open a page and to look through it are no searches, and a failed one is
    not charged (OpenAI's guide to web search, 2026-11).
    """
    if item.get("type") != "web_search_call" or item.get("status") == "failed":
        return False
    action = item.get("action")
    return not isinstance(action, dict) or action.get("type") in (None, "search")


def _all_tokens(usage: Any, numbers: NumberReader) -> int | None:
    """The tokens of a tool's own usage: its total, else both directions."""
    if not isinstance(usage, dict):
        return None
    total = numbers.count(usage.get("total_tokens"))
    if total is not None:
        return total
    both = [n for name in ("input_tokens", "output_tokens") if (n := numbers.count(usage.get(name))) is not None]
    return sum(both) if both else None


def _inner(outer: Object, name: str, field: str) -> Any:
    value = outer.get(name)
    return value.get(field) if isinstance(value, dict) else None
