"""Decides whether a call may be sent under its limits, and reserves what it may use until it has ended."""

DEFAULT_OUTPUT_TOKENS = 1024
"""Output tokens that are reserved for a call that sets no cap of its own (`max_tokens` or the like).

A longer answer overshoots the limit, at most by what the calls in flight generate beyond this number. Set it to your
longest answer: `token_meter.budget.DEFAULT_OUTPUT_TOKENS = 8000`.
"""
