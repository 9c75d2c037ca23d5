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
        beside = numbers.count(_inner(tools, "image_gen", "total_tokens"))
    for drawn in (holder, *objects(holder.get("output"))):
        tokens = numbers.count(_inner(drawn, "svg_usage", "total_tokens"))
        if tokens is not None:
            beside = tokens + (beside or 0)
    if searches is None and beside is None:
        return usage
    return usage._replace(web_searches=searches, tool_usage_tokens=beside)


def _inner(outer: Object, name: str, field: str) -> Any:
    value = outer.get(name)
    return value.get(field) if isinstance(value, dict) else None
