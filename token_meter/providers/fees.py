"""Fees that stand in a usage object, by the names that vendors give them. It knows no price."""

from __future__ import annotations

from typing import Any

from token_meter._fees import Fees, fees_of
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader

_PLAIN = {
    "num_search_queries": "search_queries", "citation_tokens": "citation_tokens",  # Perplexity
    "num_sources_used": "sources",  # xAI's live search
    "prompt_audio_seconds": "seconds of audio",  # Mistral bills Voxtral's audio by the minute
}  # fmt: skip
_SIZES = frozenset({"low", "medium", "high"})
FREE_REQUESTS = frozenset({"web_fetch", "tool_search"})
"""What Anthropic's server tools do for their tokens alone (https://docs.claude.com, pricing, 2026-11)."""
UPSTREAM = "upstream_inference"
UNKNOWN_LIFE = "cache writes of unknown lifetime"
"""Their rate depends on how long they live."""


def usage_fees(raw: Object, numbers: NumberReader) -> tuple[int | None, Fees | None]:
    """The web searches, and the other fees, that a usage object counts."""
    found: dict[str, int | None] = {fee: numbers.count(raw[name]) for name, fee in _PLAIN.items() if raw.get(name)}
    size: Any = raw.get("search_context_size")
    if isinstance(size, str) and size in _SIZES:
        found[f"request_{size}"] = 1
    details = raw.get("server_side_tool_usage_details")  # xAI: `web_search_calls`, `x_search_calls`, ...
    for name, value in details.items() if isinstance(details, dict) else ():
        if count := numbers.count(value):
            found[str(name).removesuffix("_calls")] = count
    if not details and numbers.count(raw.get("num_server_side_tools_used")):
        found["server-side tools"] = None
    for name, value in _objects(raw, "tool_calls_details"):  # Perplexity: `{"web_search": {"invocation": 1}}`
        if isinstance(value, dict) and (count := numbers.count(value.get("invocation"))):
            found[name] = count
    for name, value in _objects(raw, "plugins"):  # DashScope: `{"search": {"count": 1}}`
        if isinstance(value, dict) and (count := numbers.count(value.get("count"))):
            found[f"{name} plugin"] = count
    found.update(server_tools(raw.get("server_tool_use"), numbers))
    if isinstance(details := raw.get("server_tool_use_details"), dict):
        found.update(server_tools({name: n for name, n in details.items() if name.endswith("_requests")}, numbers))
    cost = raw.get("cost_details")
    upstream = cost.get("upstream_inference_cost") if isinstance(cost, dict) else None
    if raw.get("is_byok") is True and (upstream is None or raw.get("cost") is None):
        found[UPSTREAM] = None
    return found.pop("web_search", None), fees_of(found)


def server_tools(raw: Any, numbers: NumberReader) -> dict[str, int | None]:
    """Anthropic's server tools, by their names; those without a fee are left out."""
    found: dict[str, int | None] = {}
    for name, value in raw.items() if isinstance(raw, dict) else ():
        tool = str(name).removesuffix("_requests")
        if tool not in FREE_REQUESTS and type(value) in (int, float, str) and (count := numbers.count(value)):
            found[tool] = count
    return found


def _objects(raw: Object, name: str) -> list[tuple[str, Any]]:
    value = raw.get(name)
    return [(str(key), inner) for key, inner in value.items()] if isinstance(value, dict) else []
