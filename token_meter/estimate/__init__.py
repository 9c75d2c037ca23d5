"""What a call's usage probably was when the provider did not say. It knows no prices, no wire and no meter."""

from __future__ import annotations

from token_meter.estimate.count import Count, count_stream, count_text
from token_meter.estimate.models import resolve_encoding
from token_meter.estimate.usage import (
    ESTIMABLE,
    Estimate,
    estimate_usage,
    output_cap,
    prompt_tokens,
    reserve_tokens,
)

__all__ = [
    "ESTIMABLE",
    "Count",
    "Estimate",
    "count_stream",
    "count_text",
    "estimate_usage",
    "output_cap",
    "prompt_tokens",
    "reserve_tokens",
    "resolve_encoding",
]
