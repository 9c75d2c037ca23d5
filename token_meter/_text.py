"""Makes text from outside safe to show, and suggests corrections for misspelt words."""

from __future__ import annotations

from collections.abc import Iterable


def visible(text: str, limit: int = 60) -> str:
    """Escape control, format and bidi characters in a name from outside, and cut it to *limit* characters."""
    import unicodedata

    shown = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else f"\\u{ord(c):04x}" for c in text
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def suggestion(word: object, known: Iterable[str]) -> str:
    """`; did you mean 'max_cost'?`, or an empty string."""
    from difflib import get_close_matches

    close = get_close_matches(str(word), list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
