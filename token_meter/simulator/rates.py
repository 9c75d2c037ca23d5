"""The simulated provider's own price list, so that tests can compare our prices with it.

US dollars for one million tokens, from the list prices of OpenAI, Anthropic and Google for standard processing. A model
without a row has no price: its calls are billed in tokens, and their cost is unknown.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from token_meter.types import Usage


class Rate(NamedTuple):
    """US dollars for a million tokens of each kind; `minute` is for a minute of audio."""

    prompt: str = "0"
    cached: str | None = None
    completion: str = "0"
    input_audio: str | None = None
    input_image: str | None = None
    minute: str = "0"


RATES: dict[str, Rate] = {
    "gpt-4o-mini": Rate("0.15", "0.075", "0.60"),
    "gpt-4o": Rate("2.50", "1.25", "10"),
    "gpt-4.1": Rate("2", "0.50", "8"),
    "gpt-4.1-mini": Rate("0.40", "0.10", "1.60"),
    "gpt-4.1-nano": Rate("0.10", "0.025", "0.40"),
    "gpt-5": Rate("1.25", "0.125", "10"),
    "gpt-5-mini": Rate("0.25", "0.025", "2"),
    "gpt-5-nano": Rate("0.05", "0.005", "0.40"),
    "o1": Rate("15", "7.50", "60"),
    "o3": Rate("2", "0.50", "8"),
    "o3-mini": Rate("1.10", "0.55", "4.40"),
    "o4-mini": Rate("1.10", "0.275", "4.40"),
    "gpt-3.5-turbo": Rate("0.50", None, "1.50"),
    "gpt-3.5-turbo-instruct": Rate("1.50", None, "2"),
    "text-embedding-3-small": Rate("0.02"),
    "text-embedding-3-large": Rate("0.13"),
    "text-embedding-ada-002": Rate("0.10"),
    "gpt-image-1": Rate("5", None, "40", input_image="10"),
    "gpt-4o-transcribe": Rate("2.50", None, "10", input_audio="2.50"),
    "gpt-4o-mini-transcribe": Rate("1.25", None, "5", input_audio="1.25"),
    "whisper-1": Rate(minute="0.006"),
    # Caches have rules of their own there, which this provider does not know: each prompt is read in full.
    "claude-haiku-4-5": Rate("1", None, "5"),
    "claude-sonnet-4-5": Rate("3", None, "15"),
    "gemini-2.5-flash": Rate("0.30", None, "2.50"),
    "gemini-2.5-flash-lite": Rate("0.10", None, "0.40"),
}
SEARCH = Decimal("0.01")
FILE_SEARCH = Decimal("0.0025")
"""US dollars for one search of a hosted tool, in the web or in files; also in a batch."""
_DATE = re.compile(r"-\d{4}(?:-\d{2}-\d{2})?$")
_MILLION = Decimal(1_000_000)


def router_fee(upstream: Decimal) -> Decimal:
    """What a router takes for a call with an own key."""
    return (upstream / 20).quantize(Decimal("1e-12"))


def rate_of(model: str) -> Rate | None:
    """The rate of *model*, with or without its date."""
    return RATES.get(model) or RATES.get(_DATE.sub("", model))


def cost_of(usage: Usage, model: str, tier: str | None) -> Decimal | None:
    """The exact cost of *usage* in US dollars; `None` if this list has no price for it."""
    if usage.provider_cost is not None:
        return usage.provider_cost
    rate = rate_of(model)
    if rate is None or tier not in (None, "default", "auto", "batch"):
        return None
    cached, audio, image = usage.cached_tokens or 0, usage.input_audio_tokens or 0, usage.input_image_tokens or 0
    plain = (usage.prompt_tokens or 0) - cached - audio - image
    cost = plain * Decimal(rate.prompt) + (usage.billable_output_tokens or 0) * Decimal(rate.completion)
    cost += cached * Decimal(rate.cached or rate.prompt)
    cost += audio * Decimal(rate.input_audio or rate.prompt) + image * Decimal(rate.input_image or rate.prompt)
    cost /= _MILLION * 2 if tier == "batch" else _MILLION
    if usage.audio_seconds:
        cost += Decimal(str(usage.audio_seconds)) * Decimal(rate.minute) / 60
    tools = dict(usage.fees or ())
    return cost + (usage.web_searches or 0) * SEARCH + (tools.get("file_search") or 0) * FILE_SEARCH
