"""The part of the overlay that goes out of date soonest: rows that correct the public list, models that it lacks."""

from __future__ import annotations

from collections.abc import Mapping

from token_meter.prices._listed import Listed
from token_meter.prices._overlay_row import Row

LITELLM = "litellm 1.110.2, model_prices_and_context_window.json (secondary)"

CORRECTIONS: tuple[Row, ...] = (
    Row(
        "cohere",
        ("embed-v4.0",),
        "https://cohere.com/pricing as read in developer.puter.com/tutorials/cohere-api-pricing (2026-06)",
        "2026-11-27",
        rates={"input_image": "0.47"},
        adds=True,
    ),
    Row(
        "openai",
        ("gpt-5-search-api-20*",),
        "https://developers.openai.com/api/docs/models/gpt-5-search-api: its snapshot, which the public list lacks",
        "2026-11-27",
        rates={"input": "1.25", "cached_input": "0.125", "output": "10"},
    ),
    Row(
        "openai",
        ("gpt-5.5-pro", "gpt-5.5-pro-20*"),
        f"{LITELLM}: above 272,000 tokens, which the public list has lost",
        "2026-11-27",
        rates={"input": "15", "output": "90"},
        above=((272_000, {"input": "30", "output": "135"}),),
        tier="flex",
        corrects=True,
    ),
    Row(
        "openai",
        ("gpt-5.5-pro", "gpt-5.5-pro-20*"),
        f"{LITELLM}: above 272,000 tokens, which the public list has lost",
        "2026-11-27",
        rates={"input": "15", "output": "90"},
        above=((272_000, {"input": "30", "output": "135"}),),
        processing="batch",
        corrects=True,
    ),
    Row(
        "openai",
        ("gpt-5.6-cyber",),
        f"{LITELLM}: above 272,000 tokens, which the public list does not have",
        "2026-11-27",
        rates={
            "input": "12.5",
            "cached_input": "1.25",
            "cache_write": "15.625",
            "cache_write_long": "31.25",
            "output": "75",
        },
        above=((272_000, {"input": "25", "cached_input": "2.5", "cache_write": "31.25", "output": "112.5"}),),
        corrects=True,
    ),
    Row(
        "openai",
        ("gpt-4o-mini-transcribe", "gpt-4o-mini-transcribe-20*"),
        "https://developers.openai.com/api/docs/models/gpt-4o-mini-transcribe",
        "2026-11-27",
        rates={"input": "1.25", "input_audio": "1.25", "output": "5"},
        corrects=True,
    ),
    Row(
        "openai",
        ("gpt-4o-transcribe", "gpt-4o-transcribe-diarize"),
        "https://developers.openai.com/api/docs/models/gpt-4o-transcribe",
        "2026-11-27",
        rates={"input": "2.5", "input_audio": "2.5", "output": "10"},
        corrects=True,
    ),
    Row(
        "anthropic",
        ("claude-opus-4-6*", "claude-opus-4-7*"),
        "https://platform.claude.com/docs/en/build-with-claude/fast-mode: six times the standard rates",
        "2026-11-27",
        rates={"input": "30", "cached_input": "3", "cache_write": "37.5", "cache_write_long": "60", "output": "150"},
        tier="fast",
    ),
    Row(
        "mistral",
        ("mistral-large-latest",),
        f"{LITELLM}: Large 3, https://docs.mistral.ai/models/mistral-large-3-25-12; the public list has the rates of "
        "mistral-large-2411, retired on 2026-05-31",
        "2026-11-27",
        rates={"input": "0.5", "cached_input": "0.05", "output": "1.5"},
        corrects=True,
    ),
    Row(
        "mistral",
        ("mistral-medium",),
        f"{LITELLM}: Medium 3.5, https://docs.mistral.ai/models/model-cards/mistral-medium-3-5-26-04",
        "2026-11-27",
        rates={"input": "1.5", "cached_input": "0.15", "output": "7.5"},
        corrects=True,
    ),
    Row(
        "mistral",
        ("magistral-medium-latest",),
        f"{LITELLM}: served by Medium 3.5, https://docs.mistral.ai/models/model-cards/mistral-medium-3-5-26-04",
        "2026-11-27",
        rates={"input": "1.5", "cached_input": "0.15", "output": "7.5"},
        corrects=True,
    ),
    Row(
        "mistral",
        ("magistral-small-latest",),
        f"{LITELLM}: served by Small 4, https://docs.mistral.ai/models/model-cards/mistral-small-4-0-26-03",
        "2026-11-27",
        rates={"input": "0.15", "cached_input": "0.015", "output": "0.6"},
        corrects=True,
    ),
)
"""Rows in the place of public prices that are stale, or have lost a band."""

_SOL_62 = "https://developers.openai.com/api/docs/models/gpt-6.2-sol (model of 2026-11-17, read 2026-11-27)"
_SOL_62_RATES = {
    "input": "2", "cached_input": "0.10", "cache_write": "2.50", "cache_write_long": "5", "output": "10",
}  # fmt: skip
_SOL_62_ABOVE: Mapping[int | str, Mapping[str, str]] = {
    272_000: {"input": "4", "cached_input": "0.20", "cache_write": "5", "cache_write_long": "10", "output": "15"}
}

LISTED: tuple[Listed, ...] = (
    Listed(
        "openai",
        "gpt-6.2-sol",
        **_SOL_62_RATES,
        above=_SOL_62_ABOVE,
        times={"batch": "0.5", "fast": "2", "priority": "2", "ultrafast": "3"},
        until="2027-02-28",
        note=_SOL_62,
    ),
    Listed(
        "openai",
        "gpt-6.2-sol",
        **_SOL_62_RATES,
        above=_SOL_62_ABOVE,
        times={"batch": "0.5", "fast": "2", "priority": "2", "ultrafast": "6"},
        note=_SOL_62,
    ),
    Listed(
        "openai",
        "gpt-6.2-astra",
        input="8",
        output="40",
        note="two resellers and a note of litellm (secondary, 2026-11-27); what cached input costs is not sure",
    ),
)
"""Whole prices of models that the public list does not have yet, in all their tiers."""
