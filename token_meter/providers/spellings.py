"""One table of names for each count: what vendors and gateways call it, and where they put it.

OpenAI's own names are read in `usage.py`, the way of nearly every call; what is not among them comes here. It knows no
host, because gateways pass on the words of whoever answered: a name has one meaning, whoever uses it.
"""

from __future__ import annotations

from typing import Any

from token_meter._fees import fees_of
from token_meter.providers.charge import charge_of
from token_meter.providers.fees import UNKNOWN_LIFE, usage_fees
from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader

PROMPT_DETAILS = (
    "prompt_tokens_details", "input_tokens_details", "input_token_details",
    "prompt_token_details", "promptTokensDetails", "inputTokensDetails",  # Mistral's, and gateways' (2026-11)
)  # fmt: skip
COMPLETION_DETAILS = (
    "completion_tokens_details", "output_tokens_details", "output_token_details", "completion_token_details",
    "completionTokensDetails", "outputTokensDetails",
)  # fmt: skip

PROMPT = (
    "prompt_tokens", "input_tokens", "promptTokens", "inputTokens", "prompt_token_count",
    "input_token_count", "num_prompt_tokens",
)  # fmt: skip
COMPLETION = (
    "completion_tokens", "output_tokens", "completionTokens", "outputTokens",
    "completion_token_count", "output_token_count", "num_completion_tokens",
)  # fmt: skip
TOTAL = ("total_tokens", "totalTokens", "total_token_count")
CACHED = (
    "prompt_cache_hit_tokens",  # DeepSeek: beside it `cached_tokens` may be missing
    "cached_tokens",  # OpenAI; Moonshot and Together at the top
    "num_cached_tokens",  # Mistral
    "cache_read_input_tokens",  # Anthropic; Perplexity in the details (its ResponsesUsage schema, read 2026-11)
    "cache_read_tokens", "cached_input_tokens", "cached_prompt_tokens", "cached_prompt_text_tokens",
    "cache_read_input_token_count", "cachedInputTokens", "cachedTokens", "cached_content_token_count",
)  # fmt: skip
WRITTEN = (
    "cache_write_tokens",  # OpenAI
    "cache_creation_input_tokens",  # Anthropic; DashScope in the details (2026-09)
    "cache_creation_tokens", "cached_creation_tokens",  # LiteLLM, new-api in the details
    "cache_write_input_tokens", "cache_write_input_token_count", "cacheCreationInputTokens",
)  # fmt: skip
REASONING = (
    "reasoning_tokens",  # OpenAI; SGLang and Perplexity at the top
    "thinking_tokens", "thoughts_tokens", "thoughts_token_count", "reasoning_output_tokens", "num_reasoning_tokens",
    "reasoningTokens",
)  # fmt: skip
AUDIO = ("audio_tokens", "audioTokens")
IMAGE = ("image_tokens", "imageTokens")

_LIVES = (
    ("cache_write_tokens_details", "ttl_12h_tokens", "ttl_30m_tokens"),
    ("cache_creation", "ephemeral_1h_input_tokens", "ephemeral_5m_input_tokens"),
)
"""The longer of two times to live, and the shorter: OpenAI's, Anthropic's."""
_SAME_RATE = frozenset({
    *CACHED, *WRITTEN, *REASONING, *AUDIO, *IMAGE, "text_tokens", "textTokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens", "acceptedPredictionTokens", "rejectedPredictionTokens",
})  # fmt: skip
"""Parts of prompt and completion that are read, or are billed like the rest."""
_VIDEO = {"video_tokens": "video_tokens", "videoTokens": "video_tokens"}


def in_other_words(raw: Object, numbers: NumberReader) -> Usage:
    """Read a usage object that has more names than OpenAI's own, or other ones, at any of the usual levels."""
    ins, outs = _details(raw, PROMPT_DETAILS, numbers), _details(raw, COMPLETION_DETAILS, numbers)
    prompt, completion = said(PROMPT, numbers, raw), said(COMPLETION, numbers, raw)
    total = said(TOTAL, numbers, raw)
    read, written = said(CACHED, numbers, raw, ins), said(WRITTEN, numbers, raw, ins)
    missed = raw.get("prompt_cache_miss_tokens")  # DeepSeek
    numbers.doubts += missed is not None and prompt is not None and numbers.count(missed) != prompt - (read or 0)
    if prompt is not None and _is_anthropics(raw):
        prompt += (read or 0) + (written or 0)  # its own `input_tokens` leave the cache out; our prompt includes it
    written_long, is_odd = _long_lived(numbers, raw, ins)
    if total is None and "total_tokens" not in raw and prompt is not None and completion is not None:
        total = prompt + completion
    searches, fees = usage_fees(raw, numbers)
    if more := {**_other_kinds(ins, "input", numbers), **_other_kinds(outs, "output", numbers)}:
        fees = fees_of({**dict(fees or ()), **more})
    if is_odd:
        fees = fees_of({**dict(fees or ()), UNKNOWN_LIFE: None})
    by_kind: Any = ins.get("cached_tokens_details")
    by_kind = by_kind if isinstance(by_kind, dict) else {}
    return Usage(
        prompt,
        completion,
        total,
        read,
        written,
        written_long,
        said(REASONING, numbers, outs, raw),
        said(AUDIO, numbers, ins),
        said(AUDIO, numbers, outs),
        said(AUDIO, numbers, by_kind),
        said(IMAGE, numbers, ins),
        said(IMAGE, numbers, outs),
        said(IMAGE, numbers, by_kind),
        web_searches=searches,
        provider_cost=charge_of(raw, numbers),
        fees=fees,
    )


def said(names: tuple[str, ...], numbers: NumberReader, *places: Object) -> int | None:
    """The first count above 0 that stands under one of *names*; a 0 may be a placeholder beside it. Never a sum.

    Where two of them disagree, it is not known which one was billed.
    """
    found: int | None = None
    for place in places:
        for name in names:
            value = place.get(name)
            if value is not None and (number := numbers.count(value)) is not None:
                if found and number and number != found:
                    numbers.doubts += 1
                found = found or number
    return found


def _details(raw: Object, names: tuple[str, ...], numbers: NumberReader) -> Object:
    for name in names:
        found: Any = raw.get(name)
        if isinstance(found, dict) and found:
            return found
        numbers.doubts += bool(found)  # it says something, in a shape that is not known
    return {}


def _other_kinds(details: Object, side: str, numbers: NumberReader) -> dict[str, int | None]:
    """Parts of a prompt or a completion of which no list says that they are billed like the rest."""
    found: dict[str, int | None] = {}
    for name, value in details.items():
        is_kind = name.lower().endswith("tokens") and name not in _SAME_RATE
        if is_kind and not isinstance(value, dict) and (number := numbers.count(value)):
            found[f"{side}_{_VIDEO[name]}" if name in _VIDEO else f"{side} {name.replace('_', ' ')}"] = (
                number if name in _VIDEO else None
            )
    return found


def _is_anthropics(raw: Object) -> bool:
    is_theirs = "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw
    return is_theirs and raw.get("prompt_tokens") is None and raw.get("total_tokens") is None


def _long_lived(numbers: NumberReader, *places: Object) -> tuple[int | None, bool]:
    """What was written for the longer time, and whether something was written for a time that is not known."""
    for place in places:
        for outer, long, short in _LIVES:
            by_life = place.get(outer)
            if isinstance(by_life, dict) and by_life:
                is_odd = any(numbers.count(by_life[name]) for name in by_life.keys() - (long, short))
                return numbers.count(by_life.get(long)), is_odd
    return None, False
