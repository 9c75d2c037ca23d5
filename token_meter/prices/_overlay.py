"""Rates that the public list lacks or has wrong, as data: every row with its source and the date it was read.

A row goes as soon as genai-prices has it (`tests/prices/test_prices_overlay.py` asks for each: still needed?).
Unpublished prices are not here: such calls stay unpriced.
"""

from __future__ import annotations

from decimal import Decimal

from token_meter.prices._overlay_newer import CORRECTIONS, LITELLM
from token_meter.prices._overlay_qwen import QWEN
from token_meter.prices._overlay_row import Row

AS_OF = "2026-11-27"
"""The date of this table; shown in every report."""

RELEASED = {"0.2.2": "2026-11-10", "0.2.3": "2026-11-10"}
"""The day of each version of genai-prices, whose data has no date (its upload to the package index)."""

_LIST_2026_02 = "OpenAI's price list, copy of 2026-02-07 (karstenheld3/SharePoint-GPT-Middleware)"
_FINE_TUNED = f"{_LIST_2026_02}, table of fine-tuned models"
_AUDIO = f"{_LIST_2026_02}, table of audio tokens"
_EMBEDDINGS = f"{_LIST_2026_02}, column of batch costs"
_TERRA = "https://developers.openai.com/api/docs/models/gpt-6.1-terra"
_LONG_WRITES = {"cache_write_long": ("cache_write", "2")}

ROWS: tuple[Row, ...] = (
    Row(
        "openai",
        ("gpt-4o-audio-preview", "gpt-4o-audio-preview-2024-12-17", "gpt-4o-audio-preview-2025-06-03"),
        _AUDIO,
        "2026-02-07",
        rates={"input_audio": "40", "output_audio": "80"},
        adds=True,
    ),
    Row(
        "openai",
        ("gpt-4o-mini-audio-preview", "gpt-4o-mini-audio-preview-2024-12-17"),
        _AUDIO,
        "2026-02-07",
        rates={"input_audio": "10", "output_audio": "20"},
        adds=True,
    ),
    Row("openai", ("ft:gpt-4o-2024-08-06*",), _FINE_TUNED, "2026-02-07", rates={"cached_input": "1.875"}, adds=True),
    Row(
        "openai", ("ft:gpt-4o-mini-2024-07-18*",), _FINE_TUNED, "2026-02-07", rates={"cached_input": "0.15"}, adds=True
    ),
    Row(
        "openai",
        ("ft:gpt-4.1-2025-04-14*",),
        _FINE_TUNED,
        "2026-02-07",
        rates={"input": "3", "cached_input": "0.75", "output": "12"},
    ),
    Row(
        "openai",
        ("ft:gpt-4.1-mini-2025-04-14*",),
        _FINE_TUNED,
        "2026-02-07",
        rates={"input": "0.8", "cached_input": "0.2", "output": "3.2"},
    ),
    Row(
        "openai",
        ("ft:gpt-4.1-nano-2025-04-14*",),
        _FINE_TUNED,
        "2026-02-07",
        rates={"input": "0.2", "cached_input": "0.05", "output": "0.8"},
    ),
    Row(
        "openai",
        ("ft:o4-mini-2025-04-16*",),
        f"{_FINE_TUNED} (half of it for accounts that share their data: give an override)",
        "2026-02-07",
        rates={"input": "4", "cached_input": "1", "output": "16"},
    ),
    Row(
        "openai",
        ("gpt-6-astra", "gpt-6-astra-20*"),
        f"readings of OpenAI's price page by others; above 272,000 tokens: {LITELLM}",
        "2026-11-20",
        rates={"input": "60", "cached_input": "6", "cache_write": "75", "output": "300"},
        above=((272_000, {"input": "120", "cached_input": "12", "cache_write": "150", "output": "450"}),),
        tier="ultrafast",
    ),
    Row(
        "openai",
        ("gpt-6.1-sol", "gpt-6.1-sol-20*"),
        LITELLM,
        "2026-11-27",
        rates={"input": "12", "cached_input": "0.6", "cache_write": "15", "cache_write_long": "30", "output": "60"},
        above=(
            (
                272_000,
                {"input": "24", "cached_input": "1.2", "cache_write": "30", "cache_write_long": "60", "output": "90"},
            ),
        ),
        tier="ultrafast",
    ),
    Row(
        "openai",
        (
            "gpt-6.1-terra",
            "gpt-6.1-terra-20*",
        ),
        f"{_TERRA}; in every tier",
        "2026-11-27",
        times=_LONG_WRITES,
        adds=True,
        tier="*",
        processing="*",
    ),
    Row(
        "openai",
        (
            "gpt-5.6",
            "gpt-5.6-sol",
            "gpt-5.6-sol-20*",
            "gpt-5.6-terra",
            "gpt-5.6-terra-20*",
            "gpt-5.6-luna",
            "gpt-5.6-luna-20*",
            "gpt-6-astra",
            "gpt-6-astra-20*",
            "gpt-6-sol",
            "gpt-6-sol-20*",
            "gpt-6-luna",
            "gpt-6-luna-20*",
            "gpt-6.1-sol",
            "gpt-6.1-sol-20*",
        ),
        f"{LITELLM}: twice the short write in every tier",
        "2026-11-27",
        times=_LONG_WRITES,
        adds=True,
        tier="*",
        processing="*",
    ),
    *CORRECTIONS,
    *QWEN,
    Row("openai", ("text-embedding-3-small",), _EMBEDDINGS, "2026-02-07", rates={"input": "0.01"}, processing="batch"),
    Row("openai", ("text-embedding-3-large",), _EMBEDDINGS, "2026-02-07", rates={"input": "0.065"}, processing="batch"),
    Row(
        "openai",
        ("omni-moderation*", "text-moderation*"),
        f'{_LIST_2026_02}: "made available free of charge"',
        "2026-02-07",
        rates={"input": "0", "output": "0"},
        tier="*",
        processing="*",
    ),
    Row(
        "dashscope",
        ("qwen3-max",),
        "https://www.alibabacloud.com/help/en/model-studio/model-pricing as read in theopenco/llmgateway#3583; "
        "above 32,000 tokens: litellm's table of 2026-08-19 (secondary)",
        "2026-08-19",
        rates={"input": "1.2", "output": "6"},
        above=(
            (32_000, {"input": "2.4", "output": "12"}),
            (128_000, {"input": "3", "output": "15"}),
            (252_000, {}),
        ),
    ),
    Row(
        "deepseek",
        ("deepseek-flash", "deepseek-v4-flash*", "deepseek-v4-pro*"),
        "https://api-docs.deepseek.com/quick_start/pricing/: peak hours on working days only",
        "2026-11-20",
        hour_off=12,
    ),
)

SPELLINGS = {
    "google": ("publishers/google/models/", "publishers/anthropic/models/", "google/", "anthropic/", "models/"),
}
"""What may stand before the name of a provider's own model: Vertex's OpenAI endpoint says `google/gemini-2.5-flash`,
the Gemini API `models/gemini-2.5-flash` (https://cloud.google.com/vertex-ai/generative-ai/docs, 2026-11)."""

REST_IS_OUTPUT = frozenset({"x-ai"})
"""Providers whose totals hold a reasoning that their completions leave out, told or not (docs.x.ai, 2026-11)."""

ROUTER_FEES = {("azure", "model-router"): Decimal("0.14")}
"""US dollars per 1M input tokens on top of the model that served, by what was asked for: Azure's price page as read in
BerriAI/litellm#22957 (2026-03) and maximhq/bifrost#5465 (2026-07)."""

DEARER_TIERS = frozenset({"priority", "fast", "ultrafast", "scale"})
"""Tiers that cost more than the standard one, also where their rates are not published."""

DISPUTED = {
    ("openai", "gpt-4o-transcribe"), ("openai", "gpt-4o-transcribe-diarize"), ("openai", "gpt-4o-mini-transcribe"),
    ("mistral", "mistral-large-latest"),
}  # fmt: skip
"""Models with two published prices. OpenAI's model pages of today say 2.50 and 1.25 per 1M audio tokens, older copies
of its list 6 and 3; Mistral's alias may mean Large 4 (0.7 and 2.1). The row above is what we use."""

FREE_OUTPUT = frozenset({"decisions"})
"""Apis whose output is not charged (litellm 1.110.2: `output_cost_per_token_decisions` is 0 beside the usual input)."""

NO_USD = {
    provider: f"{name} is billed in CNY; give US dollar rates with PriceBook(overrides=...)"
    for provider, name in (
        ("dashscope-cn", "DashScope's endpoint in China"),
        ("minimax-cn", "MiniMax's endpoint in China"),
        ("moonshotai-cn", "Moonshot's endpoint in China"),
        ("zhipuai", "Zhipu's endpoint in China"),
    )
}
"""Providers without a price list in US dollars."""


def plain_name(provider: str, model: str) -> str:
    """The model's name without what its provider may write before it."""
    for before in SPELLINGS.get(provider, ()):
        if model.startswith(before):
            return model.removeprefix(before)
    return model


def router_fee(provider: str, asked: str | None) -> Decimal | None:
    """What a router takes per 1M input tokens, where one was asked for by its name."""
    for (owner, name), fee in ROUTER_FEES.items():
        if owner == provider and (asked or "").lower().startswith(name):
            return fee
    return None


def rows_for(provider: str, model: str, tier: str, processing: str) -> list[Row]:
    """Return the rows about one model, in the order of the table."""
    return [row for row in ROWS if row.covers(provider, model, tier, processing)]
