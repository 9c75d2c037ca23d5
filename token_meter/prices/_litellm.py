"""Reads LiteLLM's `model_prices_and_context_window.json`: rates per token, bands and tiers; nothing else of it.

Its keys as of litellm 1.110.2 (2026-11). Rates are floats there, of which some end in noise (`1.0000000000000001e-07`):
twelve digits are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Context, Decimal
from typing import Any, NamedTuple

from token_meter.exceptions import ConfigError
from token_meter.prices._rate_card import RateTable

_ROUND = Context(prec=12)
MOST = 10_000
"""US dollars per 1M tokens that no model costs: a greater rate has another unit."""
_UNITS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cached_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "cache_read_input_image_token_cost": "cached_image",
}
_KEY = re.compile(
    rf"({'|'.join(sorted(_UNITS, key=len, reverse=True))})(_above_(?:1|12)hr)?(?:_above_(\d+)k_tokens)?"
    r"(?:_(priority|flex|batches|ultrafast|balanced))?"
)
_PROVIDERS = {
    "text-completion-openai": "openai", "azure_ai": "azure", "azure_text": "azure", "gemini": "google", "xai": "x-ai",
    "together_ai": "together", "fireworks_ai": "fireworks", "fireworks_ai-embedding-models": "fireworks",
    "moonshot": "moonshotai", "cohere_chat": "cohere", "voyage": "voyageai", "bedrock": "aws",
    "bedrock_converse": "aws", "github_copilot": "github-copilot", "vercel_ai_gateway": "vercel",
}  # fmt: skip
"""What LiteLLM calls providers that have another id here; every `vertex_ai-...` is Google's."""
_BESIDE = ("input_cost_per_request", "input_cost_per_query", "input_dbu_cost_per_token", "off_peak_pricing",
           "input_cost_per_character", "rules")  # fmt: skip
"""Charges beside the tokens, and prices by the hour: such a row says less than the whole."""


class Row(NamedTuple):
    """The rates of one model in one tier."""

    provider: str
    model: str
    tier: str
    processing: str
    sheet: RateTable


def is_litellm(data: object) -> bool:
    """Whether *data* is such a file: a table of tables that name their `litellm_provider`."""
    return isinstance(data, dict) and any(isinstance(row, dict) and "litellm_provider" in row for row in data.values())


def rows_of(data: Mapping[str, Any]) -> Iterator[Row]:
    """The rates of a whole file; of one name at Google, the Gemini API's come first.

    Raises:
        ConfigError: a row is not one; the message names it.
    """
    seen: set[tuple[str, str]] = set()
    for name, row in sorted(data.items(), key=lambda pair: pair[0].startswith(("vertex_ai", "bedrock/"))):
        if name == "sample_spec":
            continue
        if not isinstance(row, dict):
            msg = f"{name!r} must be a table of rates, not {type(row).__name__}"
            raise ConfigError(msg)
        if (currency := row.get("currency", "USD")) != "USD":
            msg = f"{name!r} is priced in {currency!r}; prices are US dollars: convert it, or take it out"
            raise ConfigError(msg)
        provider, model = named(name, row)
        if provider and (provider, model) not in seen and (tiers := _tiers(name, row)):
            seen.add((provider, model))
            for (tier, processing), sheet in tiers.items():
                yield Row(provider, model, tier, processing, sheet)


def named(name: str, row: Mapping[str, Any]) -> tuple[str, str]:
    """Provider and model of a row, as they are called here; empty for a name that no answer has."""
    theirs = row.get("litellm_provider")
    if not isinstance(theirs, str):
        return "", ""
    model = name.removeprefix(f"{theirs}/")
    if theirs.startswith("vertex_ai"):
        theirs, model = "google", name.removeprefix("vertex_ai/")
    elif theirs.startswith("bedrock") and "/" in model:
        return "", ""  # a region's or a commitment's price, by a name that no answer has
    return _PROVIDERS.get(theirs, theirs), model.lower()


def _tiers(name: str, row: Mapping[str, Any]) -> dict[tuple[str, str], RateTable]:
    """The rates of a row by tier; none for a row that is not priced by the token, or not by the token alone."""
    tiered = row.get("tiered_pricing") or []
    if not isinstance(tiered, list):
        msg = f"{name!r}: tiered_pricing must be a list of tables, not {tiered!r:.80}"
        raise ConfigError(msg)
    bands = [band for band in tiered if isinstance(band, dict)]
    if any(row.get(key) for key in _BESIDE) or any(map(_is_dearer_with_thoughts, (row, *bands))):
        return {}
    found: dict[tuple[str, str], dict[int, dict[str, Decimal]]] = {}

    def put(key: str, value: Any, start: int = 0) -> None:
        parts = _KEY.fullmatch(key)
        if parts is None:
            return
        base, long, above, tier = parts.groups()
        unit = _UNITS[base] + ("_long" if long else "")
        if unit not in _UNITS.values() and unit != "cache_write_long":
            return
        pair = ("", "batch") if tier == "batches" else (tier or "", "")
        band = found.setdefault(pair, {}).setdefault(int(above) * 1000 if above else start, {})
        band[unit] = _rate(value, name, key)

    for key, value in row.items():
        if "_cost" in key:
            put(key, value)
    for band in bands:
        if any(map(_KEY.fullmatch, band)):
            start = _start(band.get("range"), name)
            for key, value in band.items():
                put(key, value, start)
    seconds = row.get("input_cost_per_second")
    if seconds is not None and not found:
        found["", ""] = {0: {"audio_minute": _ROUND.plus(_number(seconds, name, "input_cost_per_second") * 60)}}
    base = found.get(("", ""), {}).get(0, {})
    if not any(base.values()):  # a 0 may be a missing price
        return {}
    if any(rate > MOST for bands in found.values() for rates in bands.values() for rate in rates.values()):
        return {}  # such as a price per 1M tokens under the name of one per token
    return {pair: tuple(sorted(bands.items())) for pair, bands in found.items() if 0 in bands}


def _start(reach: Any, name: str) -> int:
    first = reach[0] if isinstance(reach, list) and reach else None
    if isinstance(first, bool) or not isinstance(first, (int, float, Decimal)) or not 0 <= first < 10**12:
        msg = f"{name!r}: a band of tiered_pricing must have a range such as [0, 32000], not {reach!r:.80}"
        raise ConfigError(msg)
    return int(first)


def _is_dearer_with_thoughts(rates: Mapping[str, Any]) -> bool:
    """Whether output has two rates, by whether the model thought."""
    thoughts = rates.get("output_cost_per_reasoning_token")
    return thoughts is not None and thoughts != rates.get("output_cost_per_token")


def _rate(value: Any, name: str, key: str) -> Decimal:
    return _ROUND.plus(_number(value, name, key) * 1_000_000)


def _number(value: Any, name: str, key: str) -> Decimal:
    """A price per token as a number that can be one."""
    number = Decimal(repr(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    if not isinstance(number, Decimal) or not number.is_finite() or not 0 <= number <= 1000:
        msg = f"{name!r}: {key} must be a number that is at least 0, such as 2.5e-06, not {value!r:.80}"
        raise ConfigError(msg)
    return number
