"""Rates that the public list lacks or has wrong, as data: every row with its source and the date it was read.

A row goes as soon as genai-prices has it (`tests/prices/test_prices_overlay.py` asks for each: still needed?).
Unpublished prices are not here: such calls stay unpriced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from token_meter.prices._rate_card import EXACT, RateTable

AS_OF = "2026-11-21"
"""The date of this table; shown in every report."""

_LIST_2026_02 = "OpenAI's price list, copy of 2026-02-07 (karstenheld3/SharePoint-GPT-Middleware)"


class Row(NamedTuple):
    """One row of the overlay: rates for some models of one provider.

    Attributes:
        provider: the provider's id.
        models: names, exact or with a `*` for any ending.
        source: where the rates are published.
        read: the date when the source was read.
        rates: US dollars per 1M tokens; the whole price, unless `adds`.
        above: other rates for calls with more input tokens than the key.
        adds: the row completes the public price instead of replacing it.
        times: rates as a multiple of another rate of the same public price.
        weekend_hour: at weekends, the public price of this UTC hour applies all day.
        tier: the service tier; `*`: any.
        processing: `batch` for batches; `*`: any.
    """

    provider: str
    models: tuple[str, ...]
    source: str
    read: str
    rates: Mapping[str, str] = {}
    above: tuple[tuple[int, Mapping[str, str]], ...] = ()
    adds: bool = False
    times: Mapping[str, tuple[str, str]] = {}
    weekend_hour: int | None = None
    tier: str = ""
    processing: str = ""

    @property
    def sheet(self) -> RateTable:
        """The row's own rates, in bands."""
        bands = ((0, self.rates), *self.above)
        return tuple((start, {unit: Decimal(rate) for unit, rate in rates.items()}) for start, rates in bands)

    @property
    def is_whole(self) -> bool:
        """Whether the row is a complete price, without the public one."""
        return bool(self.rates) and not self.adds

    def covers(self, provider: str, model: str, tier: str, processing: str) -> bool:
        """Whether the row applies to this model in this tier."""
        return (
            self.provider == provider
            and self.tier in ("*", tier)
            and self.processing in ("*", processing)
            and any(matches(pattern, model) for pattern in self.models)
        )


def matches(pattern: str, model: str) -> bool:
    """Compare a name with a pattern that may end in `*`."""
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern


_FINE_TUNED = f"{_LIST_2026_02}, table of fine-tuned models"
_AUDIO = f"{_LIST_2026_02}, table of audio tokens"
_EMBEDDINGS = f"{_LIST_2026_02}, column of batch costs"
_TERRA = "https://developers.openai.com/api/docs/models/gpt-6.1-terra"
_LITELLM = "litellm 1.109.1, model_prices_and_context_window.json (secondary)"
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
        f"readings of OpenAI's price page by others; above 272,000 tokens: {_LITELLM}",
        "2026-11-20",
        rates={"input": "60", "cached_input": "6", "cache_write": "75", "output": "300"},
        above=((272_000, {"input": "120", "cached_input": "12", "cache_write": "150", "output": "450"}),),
        tier="ultrafast",
    ),
    Row("openai", ("gpt-6.1-terra", "gpt-6.1-terra-20*"), _TERRA, "2026-11-20", times=_LONG_WRITES, adds=True),
    Row(
        "openai",
        ("gpt-6.1-terra", "gpt-6.1-terra-20*"),
        f'{_TERRA}: "Batch and Flex are 50% lower"',
        "2026-11-20",
        times=_LONG_WRITES,
        adds=True,
        tier="flex",
    ),
    Row(
        "openai",
        ("gpt-6.1-terra", "gpt-6.1-terra-20*"),
        f'{_TERRA}: "Batch and Flex are 50% lower"',
        "2026-11-20",
        times=_LONG_WRITES,
        adds=True,
        processing="batch",
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
        ),
        _LITELLM,
        "2026-11-20",
        times=_LONG_WRITES,
        adds=True,
    ),
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
        "https://api-docs.deepseek.com/quick_start/pricing/: peak hours on weekdays only",
        "2026-11-20",
        weekend_hour=12,
    ),
)

SPELLINGS = {"google": ("publishers/google/models/", "google/", "models/")}
"""What may stand before the name of a provider's own model: Vertex's OpenAI endpoint says `google/gemini-2.5-flash`,
the Gemini API `models/gemini-2.5-flash` (https://cloud.google.com/vertex-ai/generative-ai/docs, 2026-11)."""

REST_IS_OUTPUT = frozenset({"x-ai"})
"""Providers whose totals hold a reasoning that their completions leave out, told or not (docs.x.ai, 2026-11)."""

ROUTER_FEES = {("azure", "model-router"): Decimal("0.14")}
"""US dollars per 1M input tokens on top of the model that served, by what was asked for: Azure's price page as read in
BerriAI/litellm#22957 (2026-03) and maximhq/bifrost#5465 (2026-07)."""

DEARER_TIERS = frozenset({"priority", "fast", "ultrafast", "scale"})
"""Tiers that cost more than the standard one, also where their rates are not published."""

# Released on or after 2026-03-05: 10 % more on OpenAI's regional hosts.
_REGIONAL_SINCE = "2026-03-05"
_REGIONAL_NEWER = ("gpt-5-6*", "gpt-5.4*", "gpt-5.5*", "gpt-5.6*", "gpt-6*", "gpt-realtime-2.1*", "gpt-image-2*")
_REGIONAL_OLDER = (
    "gpt-3.5*", "gpt-4*", "ft:gpt-3.5*", "ft:gpt-4*", "ft:o4*", "gpt-5", "gpt-5-*", "gpt-5.1*", "gpt-5.2*", "gpt-5.3*",
    "o1*", "o3*", "o4*", "text-*", "omni-moderation*", "babbage*", "davinci*", "whisper-1", "tts-1*", "chatgpt-4o*",
    "codex-mini*", "computer-use-preview*", "gpt-audio", "gpt-audio-20*", "gpt-audio-mini*", "gpt-realtime",
    "gpt-realtime-20*", "gpt-realtime-mini*", "gpt-image-1*", "chatgpt-image-latest",
)  # fmt: skip
REGIONAL_FACTOR = Decimal("1.1")
_DATED = re.compile(r"-(20\d\d-\d\d-\d\d)$")

DISPUTED = {("openai", "gpt-4o-transcribe"), ("openai", "gpt-4o-transcribe-diarize")}
"""Models whose price differs between OpenAI's own pages: $6 and $2.50 per 1M audio tokens. We use the public $6."""

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


def regional_factor(model: str) -> Decimal | None:
    """Return the factor of OpenAI's regional hosts for *model*; `None` when its release date is not known."""
    if (dated := _DATED.search(model)) and not model.startswith("ft:"):
        return REGIONAL_FACTOR if dated[1] >= _REGIONAL_SINCE else Decimal(1)
    if any(matches(pattern, model) for pattern in _REGIONAL_NEWER):
        return REGIONAL_FACTOR
    return Decimal(1) if any(matches(pattern, model) for pattern in _REGIONAL_OLDER) else None


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


def complete(sheet: RateTable, row: Row) -> RateTable:
    """Add the rates of *row* to a public price, band by band. Rates that the public price has are not changed."""
    bands = []
    own = dict(row.sheet[0][1])
    for start, rates in sheet:
        made = {
            unit: EXACT.multiply(rates[base], Decimal(times))
            for unit, (base, times) in row.times.items()
            if base in rates
        }
        bands.append((start, {**own, **made, **rates}))
    return tuple(bands)
