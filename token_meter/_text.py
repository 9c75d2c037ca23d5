"""Foreign text, as it may be shown, and what a misspelt word was meant to be."""

from __future__ import annotations

from collections.abc import Iterable

WHERE_PRICES_GO = "meter(prices=FILE), TOKEN_METER_PRICES, prices in pyproject.toml, or --prices"
"""Who may name a price file, for messages of what has no price."""


def visible(text: str, limit: int = 60) -> str:
    """Make control, format and bidi characters of a foreign name visible, and cut it."""
    import unicodedata

    shown = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else f"\\u{ord(c):04x}" for c in text
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def suggestion(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'max_cost'?`, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
