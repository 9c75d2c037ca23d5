"""The parts of an HTML page: bars, names, cells, and the template.

Bars are SVG with widths as attributes, so that they are shown where a host forbids styles in a page, as Jenkins does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from token_meter.exceptions import ConfigError
from token_meter.report._formatting import visible
from token_meter.report._summary import ZERO, Check

TONES = tuple(f"m{n}" for n in range(6))
OTHER_TONE = "m6"
"""Classes of the style sheet: a colour for each of the most expensive models, and one for all others."""


class Part(NamedTuple):
    """One rectangle of a bar that is 100 wide."""

    tone: str
    x: str
    width: str
    y: str = "0"
    height: str = "100%"
    title: str = ""


class Cell(NamedTuple):
    """One cell; *tone* is a class of the style sheet."""

    text: str
    tone: str = ""


def write_page(**content: Any) -> str:
    """Fill the template.

    Raises:
        ConfigError: Jinja2 is not installed.
    """
    page: str = _template().render(**content)
    return page


@cache
def _template() -> Any:
    try:
        from jinja2 import Environment
    except ImportError as exc:
        msg = "the html report needs Jinja2, which is not installed: pip install 'token-meter[html]'"
        raise ConfigError(msg) from exc
    source = files("token_meter.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return Environment(autoescape=True).from_string(source)


def stacked(parts: Iterable[tuple[str, Decimal]], most: Decimal) -> list[Part]:
    """A bar of several tones, each as wide as its share of *most*."""
    found: list[Part] = []
    x = ZERO
    for tone, size in parts:
        if size > 0 and most > 0:
            width = size / most * 100
            found.append(Part(tone, f"{x:.2f}", f"{max(width, Decimal('0.4')):.2f}"))
            x += width
    return found


def signed(change: Decimal, most: Decimal) -> list[Part]:
    """A bar from the middle: to the right for a higher cost, to the left for a lower one."""
    if not change or most <= 0:
        return []
    width = max(abs(change) / most * 50, Decimal("0.8"))
    x = Decimal(50) if change > 0 else 50 - width
    return [Part("more" if change > 0 else "less", f"{x:.2f}", f"{width:.2f}")]


def filled(check: Check) -> list[Part]:
    """A bar for the used share of a limit; empty if the share is not known."""
    if check.status == "unknown" or check.limit <= 0 or check.actual < 0:
        return []
    width = min(check.actual / check.limit * 100, Decimal(100))
    return [Part("rest", "0", "100"), Part(check.status, "0", f"{width:.2f}")]


def columns(sizes: Sequence[Decimal], titles: Sequence[str], height: int, *, is_last_ours: bool) -> list[Part]:
    """Columns side by side, oldest first; that of the present run is highlighted."""
    most = max(sizes, default=ZERO)
    step = Decimal(100) / max(len(sizes), 12)
    found = []
    for n, (size, title) in enumerate(zip(sizes, titles, strict=True)):
        tall = max(size / most * height, Decimal(1)) if most > 0 else Decimal(1)
        tone = TONES[0] if is_last_ours and n == len(sizes) - 1 else OTHER_TONE
        found.append(
            Part(tone, f"{step * n:.2f}", f"{step * Decimal('0.7'):.2f}", f"{height - tall:.2f}", f"{tall:.2f}", title)
        )
    return found


def broken(name: str) -> list[str]:
    """Split *name* into pieces after which a line may be broken."""
    return [piece for piece in re.split(r"(?<=[_/.\[,:-])(?=[^_/.\[,:-])", visible(name)) if piece]


def filed(name: str) -> tuple[list[str], list[str]]:
    """Split a test's id into file and name; other groups have no file."""
    file, colons, test = name.partition("::")
    return (broken(file + colons), broken(test)) if colons and file and test else ([], broken(name))


def judged(checks: Iterable[Check]) -> list[dict[str, Any]]:
    """Limits and rules, the exceeded ones first."""
    order = ("exceeded", "unknown", "warn", "ok")
    return [
        {"status": c.status, "text": visible(c.text), "bar": filled(c)}
        for c in sorted(checks, key=lambda c: order.index(c.status))
    ]


def money_cell(text: str) -> Cell:
    """A sum: one without a price is emphasised, a zero is dimmed."""
    return Cell(text.replace(">=", "≥ "), "unpriced" if text == "unpriced" else "none" if text == "$0.00" else "")


def count_cell(text: str) -> Cell:
    """A count: zero and unknown are dimmed."""
    return Cell(text, "none" if text in ("0", "-") else "")
