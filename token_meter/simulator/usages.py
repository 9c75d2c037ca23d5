"""Writes a `Usage` into an answer: in OpenAI's two shapes, with the additions of other vendors."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

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
    return {"cost": float(usage.provider_cost)}
