"""Translates rates and counts to the names of genai-prices, and back."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from token_meter.prices._rate_card import WORDS, RateTable, UnpriceableError
from token_meter.types import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice

KEYS = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_long": "cache_write_1h_mtok",
    "output": "output_mtok",
    "input_audio": "input_audio_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "input_image": "input_image_mtok",
    "cached_image": "cache_image_read_mtok",
    "output_image": "output_image_mtok",
}
"""The names in genai-prices of our units that are billed by the token."""

_UNITS = {key: unit for unit, key in KEYS.items()}
_BY_WORDS = {words: unit for unit, words in WORDS.items()}

# Rates of what is no token of a `Usage`; fees have a table of their own (`_fees.py`).
_UNCOUNTED = frozenset(
    f"{name}_{per}"
    for name, per in (
        ("web_searches", "kcount"),
        ("social_searches", "kcount"),
        ("storage_searches", "kcount"),
        ("code_executions", "kcount"),
        ("input_video", "mtok"),
        ("output_video", "mtok"),
        ("output_citation", "mtok"),
        ("input_document", "kpages"),
        ("input_annotated_document", "kpages"),
        ("input_text_messages", "kcount"),
    )
) | {"input_mchars", "requests_kcount", "output_reasoning_mtok"}


def sheet_of(price: ModelPrice) -> RateTable | None:
    """Read the rates of a model price; `None` when `RateCard` cannot apply all of them."""
    rates: dict[str, Any] = {}
    starts = {0}
    for key, rate in vars(price).items():
        if rate is None or key in _UNCOUNTED:
            continue
        unit = _UNITS.get(key)
        if unit is None:
            return None
        rates[unit] = rate
        if not isinstance(rate, Decimal):
            if type(rate).__name__ != "TieredPrices":
                return None
            starts.update(tier.start for tier in rate.tiers)
    return tuple((start, {unit: _at(rate, start) for unit, rate in rates.items()}) for start in sorted(starts))


def _at(rate: Any, start: int) -> Decimal:
    """The rate for more than *start* input tokens."""
    if isinstance(rate, Decimal):
        return rate
    found: Decimal = rate.base
    for tier in rate.tiers:
        if start and tier.start <= start:
            found = tier.price
    return found


def counts_of(usage: Usage, api: str) -> dict[str, int | float]:
    """Translate our counts to those of genai-prices. In both, totals include their parts."""
    out = usage.billable_output_tokens
    out_image = usage.output_image_tokens
    if api == "images" and not out_image:
        out_image = (out or 0) - (usage.output_text_tokens or 0)
    counts = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": out,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "cache_read_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_long_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "cache_audio_read_tokens": usage.cached_audio_tokens,
        "input_image_tokens": usage.input_image_tokens,
        "output_image_tokens": out_image,
        "cache_image_read_tokens": usage.cached_image_tokens,
        "audio_seconds": usage.audio_seconds,
        "input_audio_seconds": usage.audio_seconds,
    }
    return {name: count for name, count in counts.items() if count is not None}


def check_covered(price: ModelPrice, usage: Usage) -> None:
    """Refuse counts that calc_price would silently bill as 0 or at another unit's rate.

    Raises:
        UnpriceableError: a count has no rate.
    """
    known = {key for key, rate in vars(price).items() if rate is not None}
    needs = (
        (usage.prompt_tokens, {"input_mtok"}, "input tokens"),
        (usage.billable_output_tokens, {"output_mtok"}, "output tokens"),
        (usage.cached_tokens, {"cache_read_mtok"}, "cached input"),
        (usage.cache_write_tokens, {"cache_write_mtok"}, "cache writes"),
        (usage.cache_write_long_tokens, {"cache_write_1h_mtok"}, "cache writes with the long time to live"),
        (usage.input_audio_tokens, {"input_audio_mtok"}, "audio input"),
        (usage.output_audio_tokens, {"output_audio_mtok"}, "audio output"),
        (usage.cached_audio_tokens, {"cache_audio_read_mtok"}, "cached audio"),
        (usage.audio_seconds, {"audio_hours", "input_audio_hours"}, "seconds of audio"),
    )
    for count, keys, words in needs:
        if count and not keys & known:
            msg = f"no rate is known for {words}"
            raise UnpriceableError(msg, _BY_WORDS.get(words))
    if usage.tool_usage_tokens:
        msg = f"{usage.tool_usage_tokens} tokens are outside of the usage and are billed at another model's price"
        raise UnpriceableError(msg, "tool_usage")
