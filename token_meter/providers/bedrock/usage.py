"""Reads Bedrock's own counts: in a usage object, in the metrics at the end of a stream, in the headers of an answer.

In all three the input leaves out what came from the cache or was written to it.
Source: botocore 1.43's service model, and 800 recorded answers (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping

from token_meter._fees import fees_of
from token_meter.providers.fees import UNKNOWN_LIFE
from token_meter.providers.plain_usage import plain_usage
from token_meter.types import Reading, Usage
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader, name_of
from token_meter.wire.safe_access import objects

_MEASURED = ("inputTokenCount", "outputTokenCount", "cacheReadInputTokenCount", "cacheWriteInputTokenCount")
_HEADER = "x-amzn-bedrock-"
_OPTIMIZED = "optimized"


def usage_of(raw: Object, numbers: NumberReader) -> Usage:
    """Read the usage of a conversation. Cache counts come under two names with one value."""
    count = numbers.count
    fresh, made, total = count(raw.get("inputTokens")), count(raw.get("outputTokens")), count(raw.get("totalTokens"))
    read = count(raw.get("cacheReadInputTokens", raw.get("cacheReadInputTokenCount")))
    written = count(raw.get("cacheWriteInputTokens", raw.get("cacheWriteInputTokenCount")))
    prompt = _with_cache(fresh, read, written)
    if prompt is not None and made is not None and fresh is not None and total == fresh + made:
        prompt = fresh  # an answer whose total has no room for the cache counts it as a part of its input
    if total is None and prompt is not None and made is not None:
        total = prompt + made
    usage = plain_usage(prompt, made, total, read, written)
    parts = objects(raw["cacheDetails"]) if "cacheDetails" in raw else ()
    lives = [(part.get("ttl"), count(part.get("inputTokens")) or 0) for part in parts]
    if not lives:
        return usage
    long = sum(tokens for life, tokens in lives if life == "1h")
    is_odd = any(tokens and life not in ("5m", "1h") for life, tokens in lives)
    return usage._replace(cache_write_long_tokens=long, fees=fees_of({UNKNOWN_LIFE: None}) if is_odd else None)


def metered_by(metrics: Object, numbers: NumberReader) -> Usage:
    """Read what Bedrock measured of a stream (`amazon-bedrock-invocationMetrics`)."""
    return _usage(*(numbers.count(metrics.get(name)) for name in _MEASURED))


def read_headers(reading: Reading, headers: Mapping[str, str], numbers: NumberReader) -> Reading:
    """Add what the headers say to a body that lacks it. Embeddings have a header for their input alone."""
    found = tier_of(headers.get(f"{_HEADER}service-tier"), headers.get(f"{_HEADER}performanceconfig-latency"))
    if found is not None:
        reading = reading._replace(service_tier=name_of(found))
    said = reading.usage
    if said is not None and None not in said[:2]:
        return reading
    counts = [
        numbers.count(headers.get(f"{_HEADER}{name}-token-count"))
        for name in ("input", "output", "cache-read-input", "cache-write-input")
    ]
    if counts[0] is None:
        return reading
    usage = _usage(counts[0], counts[1] or 0, *counts[2:])
    if said is not None:
        prompt = usage.prompt_tokens if said.prompt_tokens is None else said.prompt_tokens
        made = usage.completion_tokens if said.completion_tokens is None else said.completion_tokens
        usage = said._replace(prompt_tokens=prompt, completion_tokens=made, total_tokens=(prompt or 0) + (made or 0))
    return reading._replace(usage=usage)


def tier_of(tier: object, latency: object) -> str | None:
    """The tier that served; answers that were made faster have a price of their own, as a tier has."""
    return _OPTIMIZED if latency == _OPTIMIZED else tier if isinstance(tier, str) else None


def _usage(fresh: int | None, made: int | None, read: int | None, written: int | None) -> Usage:
    prompt = _with_cache(fresh, read, written)
    return plain_usage(prompt, made, None if prompt is None or made is None else prompt + made, read, written)


def _with_cache(fresh: int | None, read: int | None, written: int | None) -> int | None:
    return None if fresh is None else fresh + (read or 0) + (written or 0)
