"""Foreign text, as it may be shown."""

from __future__ import annotations


def visible(text: str, limit: int = 60) -> str:
    """Make control, format and bidi characters of a foreign name visible, and cut it."""
    import unicodedata

    shown = "".join(
        c if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") else f"\\u{ord(c):04x}" for c in text
    )
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
