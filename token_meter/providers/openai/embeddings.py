"""Embeddings: their usage has a prompt but no output."""

from __future__ import annotations

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.types import Usage
from token_meter.wire.format import Format
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    usage = usage_of(raw, numbers)
    if raw.get("completion_tokens") is None:
        # 0 is a fact here, not a default: the api generates nothing. Some report only the total, or a 0 beside it.
        prompt = usage.prompt_tokens or usage.total_tokens
        prompt = usage.prompt_tokens if prompt is None else prompt
        total = prompt if usage.total_tokens is None else usage.total_tokens
        return usage._replace(prompt_tokens=prompt, completion_tokens=0, total_tokens=total)
    return usage


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.openai import counting

    return counting.EMBEDDINGS


EMBEDDINGS = Api(
    "embeddings",
    Format(usage=_usage, keys=("usage", "model"), optional_keys=()),
    paths=("embeddings",),
    rules=_rules,
)
