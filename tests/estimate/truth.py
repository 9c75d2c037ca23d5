"""Counts that do not come from the code under test: tiktoken itself, on a whole string at once."""

from __future__ import annotations

from collections.abc import Callable

from token_meter.estimate.vocab import encoding


def o200k(text: str) -> int:
    """Tokens of *text* in o200k_base."""
    return len(encoding("o200k_base").encode(text, disallowed_special=()))


def cl100k(text: str) -> int:
    """Tokens of *text* in cl100k_base."""
    return len(encoding("cl100k_base").encode(text, disallowed_special=()))


BY_NAME: dict[str, Callable[[str], int]] = {"o200k_base": o200k, "cl100k_base": cl100k}
