"""What a list price is multiplied by because of where, or how, a call was served; each with its source."""

from __future__ import annotations

import re
from decimal import Decimal

from token_meter.prices._hosts import REGIONAL, is_regional_vertex, place_of
from token_meter.prices._rate_card import EXACT

TEN_PERCENT = Decimal("1.1")
_ONE = Decimal(1)
_DATED = re.compile(r"-(20\d\d-\d\d-\d\d)$")

# OpenAI's hosts with data residency: 10 % more for models released on or after 2026-03-05 (its price page, 2026-11).
_REGIONAL_SINCE = "2026-03-05"
_REGIONAL_NEWER = ("gpt-5-6*", "gpt-5.4*", "gpt-5.5*", "gpt-5.6*", "gpt-6*", "gpt-realtime-2.1*", "gpt-image-2*")
_REGIONAL_OLDER = (
    "gpt-3.5*", "gpt-4*", "ft:gpt-3.5*", "ft:gpt-4*", "ft:o4*", "gpt-5", "gpt-5-*", "gpt-5.1*", "gpt-5.2*", "gpt-5.3*",
    "o1*", "o3*", "o4*", "text-*", "omni-moderation*", "babbage*", "davinci*", "whisper-1", "tts-1*", "chatgpt-4o*",
    "codex-mini*", "computer-use-preview*", "gpt-audio", "gpt-audio-20*", "gpt-audio-mini*", "gpt-realtime",
    "gpt-realtime-20*", "gpt-realtime-mini*", "gpt-image-1*", "chatgpt-image-latest",
)  # fmt: skip

# Vertex: from Sonnet 4.5 on, Claude costs 10 % more on regional and multi-region endpoints (https://docs.claude.com/en/
# docs/build-with-claude/claude-on-vertex-ai); newer Gemini too (litellm 1.110.2, regional_endpoint_uplift_multiplier).
_VERTEX_OLDER = re.compile(
    r"claude-(?:[123]|instant|v2|opus-4(?:$|@|-[01](?!\d)|-2025)|sonnet-4(?:$|@|-0|-2025)|4-(?:opus|sonnet))"
)
_VERTEX_NEWER = ("gemini-3.1-flash-image*", "gemini-3.1-flash-lite*", "gemini-3.5*", "gemini-3.6*", "gemini-3.7*",
                 "gemini-3.8*", "gemini-4*")  # fmt: skip

# Anthropic: `inference_geo` "us" costs 10 % more, for models released after 2026-02-01, which are those that can be
# asked for it (https://platform.claude.com/docs/en/build-with-claude/data-residency, 2026-11).
_GEO_OLDER = re.compile(r"claude-(?:[123]|instant|v2|(?:opus|sonnet|haiku)-4(?:$|[-@](?:[015](?!\d)|20)))")

ASSUMED = {"azure": "Global Standard"}
"""The deployment type that a provider's list is for, where neither request nor answer names the one in use. Azure: Data
Zone 1.1 x, regional 1.1 to 1.32 x (its retail list of 2026-08-11); a multiplier for the host says which one it is."""


def matches(pattern: str, model: str) -> bool:
    """Compare a name with a pattern that may end in `*`."""
    return model.startswith(pattern[:-1]) if pattern.endswith("*") else model == pattern


def regional_factor(model: str) -> Decimal | None:
    """Return the factor of OpenAI's regional hosts for *model*; `None` when its release date is not known."""
    if (dated := _DATED.search(model)) and not model.startswith("ft:"):
        return TEN_PERCENT if dated[1] >= _REGIONAL_SINCE else _ONE
    if any(matches(pattern, model) for pattern in _REGIONAL_NEWER):
        return TEN_PERCENT
    return _ONE if any(matches(pattern, model) for pattern in _REGIONAL_OLDER) else None


def split_tier(tier: str) -> tuple[str, str]:
    """The tier, and the place of the inference behind its `@`: `fast@us`."""
    name, _, geo = tier.partition("@")
    return name, geo


def factor_of(provider: str, model: str, like: str | None, where: str, geo: str) -> tuple[Decimal, str | None]:
    """What the list price of *model* is multiplied by at *where*, and why that may be too little.

    *like* tells the age of a model that is not known.
    """
    place = place_of(where)
    host = "" if place is None else place.host
    factor, doubt = _ONE, None
    if provider == "openai" and host in REGIONAL:
        uplift = regional_factor(model) or (None if like is None else regional_factor(like))
        factor = uplift or _ONE
        doubt = None if uplift else f"whether {model} costs more on {host} is not known"
    elif provider == "google" and is_regional_vertex(host):
        named = model.rpartition("/")[2]
        is_claude = named.startswith("claude-") and not _VERTEX_OLDER.match(named)
        if is_claude or any(matches(pattern, named) for pattern in _VERTEX_NEWER):
            factor = TEN_PERCENT
    if provider == "anthropic" and geo and not _GEO_OLDER.match(model):
        if geo != "us":
            return factor, f"what inference in {geo} costs is not known"
        factor = EXACT.multiply(factor, TEN_PERCENT)
    return factor, doubt
