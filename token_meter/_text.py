"""Makes text from outside safe to show, suggests corrections for misspelt words, and says what is a number."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
WHERE_PRICES_GO = "meter(prices=FILE), TOKEN_METER_PRICES, prices in pyproject.toml, or --prices"
"""Who may name a price file, for messages of what has no price."""


def visible(text: str, limit: int = 60) -> str:
    """Escape control, format and bidi characters in a name from outside, and cut it to *limit* characters."""
    import unicodedata

    shown = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else f"\\u{ord(c):04x}" for c in text
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def is_digits(text: str) -> bool:
    """Whether *text* is a whole number: `int` alone would also take `1_000`, ` 7 ` and full-width digits."""
    return text.isascii() and text.isdigit()


def is_number(text: str) -> bool:
    """Whether *text* is a number without a sign: `Decimal` alone would also take `1_000` and full-width digits."""
    return _NUMBER.fullmatch(text) is not None


def suggestion(word: object, known: Iterable[str], *, alike: float = 0.6) -> str:
    """`; did you mean 'max_cost'?`, or an empty string where no known word is so much *alike*."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), list(known), 1, alike)
    return f"; did you mean {close[0]!r}?" if close else ""
