"""Writes a `Usage` into an answer: in OpenAI's two shapes, with the additions of other vendors."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from token_meter.simulator.rates import router_fee
from token_meter.types import Usage

_TICKS = Decimal(10) ** 10


def chat_usage(usage: Usage, style: str) -> dict[str, Any]:
    """The usage of Chat Completions and legacy completions."""
    found: dict[str, Any] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    cached = usage.cached_tokens or 0
    if style == "deepseek":
        return found | {
            "prompt_cache_hit_tokens": cached,
            "prompt_cache_miss_tokens": (usage.prompt_tokens or 0) - cached,
        }
    found["prompt_tokens_details"] = {"cached_tokens": cached, "audio_tokens": 0}
    found["completion_tokens_details"] = {
        "reasoning_tokens": usage.reasoning_tokens or 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    }
    return found | _charge(usage, style)


def responses_usage(usage: Usage, style: str) -> dict[str, Any]:
    """The usage of Responses, compactions and decisions."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.total_tokens,
        **_charge(usage, style),
    }


def _charge(usage: Usage, style: str) -> dict[str, Any]:
    if usage.provider_cost is None:
        return {}
    if style == "xai":
        return {"cost_in_usd_ticks": int(usage.provider_cost * _TICKS)}
    if style == "byok":
        upstream = next(u for u in _halves(usage.provider_cost) if u + router_fee(u) == usage.provider_cost)
        details = {"upstream_inference_cost": float(upstream)}
        return {"cost": float(usage.provider_cost - upstream), "is_byok": True, "cost_details": details}
    return {"cost": float(usage.provider_cost)}


def _halves(charge: Decimal) -> Iterator[Decimal]:
    """What a key's owner may have paid upstream, of a whole charge: the router's share is rounded."""
    near = (charge / Decimal("1.05")).quantize(Decimal("1e-10"))
    yield from (near + step * Decimal("1e-10") for step in (0, -1, 1))
