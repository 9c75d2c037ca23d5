"""What an answer reports beside its usage: hosted tools, which another model or a fee pays for.

Items and `tool_usage` are described in the SDK's types (openai 3.57, 2026-11): `tool_usage` counts what is billed, and
discounted searches are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from token_meter._fees import fees_of
from token_meter._text import is_number
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects, text_of

_WITHOUT_FEE = frozenset({
    "function_call", "custom_tool_call", "computer_call", "mcp_call", "local_shell_call", "apply_patch_call",
    "tool_search_call",
})  # fmt: skip
"""Calls that cost their tokens alone; the caller runs most of them."""
_CONTAINER = frozenset({"code_interpreter_call", "shell_call"})
"""Run in a container, which is billed by the session and may be shared by several answers."""
_PREVIEW = "web_search_preview"
_IMAGES = "image_generation"
_KNOWN_FAMILIES = frozenset({"web_search", "image_gen"})

MARK = b'_call"'
"""In the type of every item that is a call."""


def with_tools(usage: Usage, holder: Object, numbers: NumberReader) -> Usage:
    """Add web searches and other fees, and the tokens of image generation and of SVG authoring."""
    tools, items = holder.get("tool_usage"), list(objects(holder.get("output")))
    searches, drawn = None, None
    fees = _calls(items)
    if isinstance(tools, dict):
        searches = numbers.count(_inner(tools, "web_search", "num_requests"))
        drawn = tools.get("image_gen")
        fees.update({name: None for name, used in tools.items() if name not in _KNOWN_FAMILIES and _is_used(used)})
        asked = tools.get("web_search")
        if isinstance(asked, dict) and _is_used({name: n for name, n in asked.items() if name != "num_requests"}):
            fees["web_search of another kind"] = None
    beside = _all_tokens(drawn, numbers)
    if beside:
        fees.pop(_IMAGES, None)
        fees.update(_image_tokens(drawn, _image_model(holder), numbers))
    for usage_of_svg in (each.get("svg_usage") for each in (holder, *items)):
        tokens = _all_tokens(usage_of_svg, numbers)
        if tokens is not None:
            beside = tokens + (beside or 0)
            _add(fees, _svg_tokens(usage_of_svg, numbers))
    shown = fees.pop("web_search", None)
    if searches is None and shown:
        searches = shown
    if searches and _is_preview(holder):
        fees[_PREVIEW] = searches
    if searches is None and beside is None and not fees:
        return usage
    return usage._replace(web_searches=searches, tool_usage_tokens=beside, fees=fees_of(fees))


def left_tools(events: Sequence[Object]) -> dict[str, Any]:
    """The fees that a stream had shown when it was left: of the items that were done."""
    items = (event.get("item") for event in events if event.get("type") == "response.output_item.done")
    return _calls(item for item in items if isinstance(item, dict))


def _calls(items: Any) -> dict[str, int | None]:
    """The calls among the items of an answer that are billed beside tokens; a failed one is not."""
    found: dict[str, int | None] = {}
    for item in items:
        kind = text_of(item.get("type"))
        if not kind.endswith("_call") or kind in _WITHOUT_FEE or item.get("status") == "failed":
            continue
        name = kind.removesuffix("_call")
        is_free = (
            (kind == "web_search_call" and not _is_search(item))
            or (name == _IMAGES and isinstance(item.get("svg_usage"), dict))
            or (kind in _CONTAINER and _inner(item, "environment", "type") == "local")
        )
        if not is_free:
            found[name] = (found.get(name) or 0) + 1
    return found


def _is_search(item: Object) -> bool:
    """Whether an item is a search that is billed.

    Older answers count none, and show each. To open a page and to look through it are no searches (OpenAI's guide to
    web search, 2026-11).
    """
    action = item.get("action")
    return not isinstance(action, dict) or action.get("type") in (None, "search")


def _is_preview(holder: Object) -> bool:
    kinds = [text_of(tool.get("type")) for tool in objects(holder.get("tools"))]
    return any(kind.startswith(_PREVIEW) for kind in kinds)


def _image_model(holder: Object) -> str | None:
    """The model of the image tool, where the answer repeats it."""
    named = (text_of(tool.get("model")) for tool in objects(holder.get("tools")) if tool.get("type") == _IMAGES)
    return next(filter(None, named), None)


def _image_tokens(drawn: Any, model: str | None, numbers: NumberReader) -> dict[str, int | None]:
    """The image tool's tokens, by what they cost, under the name of its model."""
    if model is None:
        return {}
    sent, made = numbers.count(drawn.get("input_tokens")) or 0, numbers.count(drawn.get("output_tokens")) or 0
    ins, outs, kept = (drawn.get(f"{part}_tokens_details") for part in ("input", "output", "cached"))
    image = _part(ins, "image_tokens", numbers)
    text_out = _part(outs, "text_tokens", numbers)
    from_text, from_image = _part(kept, "cached_text_tokens", numbers), _part(kept, "cached_image_tokens", numbers)
    found = {
        "input": sent - image - from_text, "input_image": image - from_image, "cached_input": from_text,
        "cached_image": from_image, "output": text_out, "output_image": made - text_out,
    }  # fmt: skip
    return {f"{unit}@{model}": max(0, count) for unit, count in found.items() if count}


def _svg_tokens(usage: Any, numbers: NumberReader) -> dict[str, int | None]:
    """The tokens of SVG authoring, under the name of the model that the report names."""
    model = text_of(usage.get("model"))
    sent, made = (numbers.count(usage.get(f"{part}_tokens")) or 0 for part in ("input", "output"))
    return {f"input@{model}": sent, f"output@{model}": made} if model and sent + made else {}


def _add(fees: dict[str, int | None], more: dict[str, int | None]) -> None:
    for name, count in more.items():
        fees[name] = (fees.get(name) or 0) + (count or 0)


def _part(details: Any, name: str, numbers: NumberReader) -> int:
    return (numbers.count(details.get(name)) or 0) if isinstance(details, dict) else 0


def _is_used(value: Any) -> bool:
    """Whether a family of tools that is not known here was used: some number in it, at any depth, is above 0."""
    if isinstance(value, dict | list):
        return any(map(_is_used, value.values() if isinstance(value, dict) else value))
    return float(value) > 0 if is_number(str(value)) and not isinstance(value, bool) else False


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
