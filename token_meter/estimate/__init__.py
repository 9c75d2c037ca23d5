"""Estimates the usage of a call when the provider did not report it."""

from __future__ import annotations

from token_meter.estimate.count import Count, count_stream, count_text, is_quick
from token_meter.estimate.models import resolve_encoding
from token_meter.estimate.rules import Counted, Counter, CountingRules
from token_meter.estimate.usage import Estimate, estimate_usage, prompt_tokens, reserve_tokens

__all__ = [
    "Count",
    "Counted",
    "Counter",
    "CountingRules",
    "Estimate",
    "count_stream",
    "count_text",
    "estimate_usage",
    "is_quick",
    "prompt_tokens",
    "reserve_tokens",
    "resolve_encoding",
]
