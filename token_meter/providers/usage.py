"""One mapping from every vendor's usage object to our counts. Knows no body, no stream and no price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from token_meter.types import Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import MAX_COUNT, NumberReader

_COMMON = frozenset(
    f"{kind}_tokens{details}"
    for kind in ("prompt", "completion", "input", "output", "total")
    for details in ("", "_details")
)
"""OpenAI's own; whatever stands beside them may be a vendor's dialect."""


def usage_of(raw: Object, numbers: NumberReader) -> Usage:
    """Read a usage object with OpenAI's names of either api, or a vendor's dialect of them."""
    # Counts that are what they should be pass here without a call: this runs for every answer.
    get, count = raw.get, numbers.count
    if (prompt := get("prompt_tokens")) is None:
        prompt = get("input_tokens")
    if type(prompt) is not int or not 0 <= prompt <= MAX_COUNT:
        prompt = count(prompt)
    if (completion := get("completion_tokens")) is None:
        completion = get("output_tokens")
    if type(completion) is not int or not 0 <= completion <= MAX_COUNT:
        completion = count(completion)
    if (total := get("total_tokens")) is None:
        total = None if prompt is None or completion is None else prompt + completion
    elif type(total) is not int or not 0 <= total <= MAX_COUNT:
        total = count(total)
    cached = written = written_long = cached_audio = cached_image = None
    in_audio = in_image = reasoning = out_audio = out_image = None
    ins = get("prompt_tokens_details") or get("input_tokens_details") or get("input_token_details")
    if isinstance(ins, dict):
        part = ins.get
        # Perplexity's Responses name both as Anthropic does (its ResponsesUsage schema, read 2026-11).
        if (cached := part("cached_tokens")) is not None or (cached := part("cache_read_input_tokens")) is not None:
            cached = count(cached)
        written = part("cache_write_tokens")
        if written is not None or (written := part("cache_creation_input_tokens")) is not None:
            written = count(written)
        if (in_audio := part("audio_tokens")) is not None:
            in_audio = count(in_audio)
        if (in_image := part("image_tokens")) is not None:
            in_image = count(in_image)
        if isinstance(by_life := part("cache_write_tokens_details"), dict):
            written_long = count(by_life.get("ttl_12h_tokens"))
        if isinstance(by_kind := part("cached_tokens_details"), dict):
            cached_audio, cached_image = count(by_kind.get("audio_tokens")), count(by_kind.get("image_tokens"))
    outs = get("completion_tokens_details") or get("output_tokens_details") or get("output_token_details")
    if isinstance(outs, dict):
        part = outs.get
        if (reasoning := part("reasoning_tokens")) is not None:
            reasoning = count(reasoning)
        if (out_audio := part("audio_tokens")) is not None:
            out_audio = count(out_audio)
        if (out_image := part("image_tokens")) is not None:
            out_image = count(out_image)
    cost = None
    if not raw.keys() <= _COMMON:
        # DeepSeek's field leads: beside it `cached_tokens` may be missing. Moonshot's, Together's and Mistral's stand
        # without details.
        hits = _first(raw, "prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens")
        cached = cached if hits is None else count(hits)
        if "cache_read_input_tokens" in raw or "cache_creation_input_tokens" in raw:
            prompt, total, cached, written, written_long = _anthropic(raw, numbers, prompt, completion, total)
        cost = charge_of(raw, numbers)
    # fmt: off
    return Usage(
        prompt, completion, total, cached, written, written_long, reasoning, in_audio, out_audio, cached_audio,
        in_image, out_image, cached_image, None, None, None, None, cost,
    )
    # fmt: on


def _first(raw: Object, *names: str) -> Any:
    """The first value under *names* that is there."""
    for name in names:
        value = raw.get(name)
        if value is not None:
            return value
    return None


def charge_of(raw: Object, numbers: NumberReader) -> Decimal | None:
    """What the provider says it charged, in US dollars: an amount, or the total of an object (Perplexity, 2026-11)."""
    cost = raw.get("cost")
    if isinstance(cost, dict):
        return numbers.dollars(cost.get("total_cost")) if cost.get("currency") in (None, "USD") else None
    return numbers.ticks(raw.get("cost_in_usd_ticks")) if cost is None else numbers.dollars(cost)


def _anthropic(
    raw: Object, numbers: NumberReader, prompt: int | None, completion: int | None, total: int | None
) -> tuple[int | None, ...]:
    """Anthropic's cache fields: its own `input_tokens` leaves them out, our prompt includes them."""
    count = numbers.count
    read, created = count(raw.get("cache_read_input_tokens")), count(raw.get("cache_creation_input_tokens"))
    by_life = raw.get("cache_creation")
    created_long = count(by_life.get("ephemeral_1h_input_tokens")) if isinstance(by_life, dict) else None
    if raw.get("prompt_tokens") is None and raw.get("total_tokens") is None and prompt is not None:
        prompt += (read or 0) + (created or 0)
        total = None if completion is None else prompt + completion
    return prompt, total, read, created, created_long
