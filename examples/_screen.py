"""Prints on 80 columns, where a Chinese character takes two. It knows no tokens."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

WIDTH = 80


def columns(text: str) -> int:
    """How many columns *text* takes on a terminal."""
    return sum(_wide(c) for c in text)


def say(label: str, text: str, indent: int = 2) -> None:
    """Print *text* after *label*, wrapped under itself."""
    first, rest = label + " ", " " * indent
    for paragraph in text.splitlines() or [""]:
        for line in _wrapped(paragraph, WIDTH - max(columns(first), indent)):
            print(first + line)
            first = rest


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column stands left, the others right."""
    lines = [head, *rows]
    widths = [max(columns(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        cells = [
            " " * (width - columns(cell)) + cell if i else cell + " " * (width - columns(cell))
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def _wide(c: str) -> int:
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def _wrapped(text: str, width: int) -> list[str]:
    """Cut *text* where it reaches *width*: after a blank if there is one in the line, and never before punctuation."""
    lines, line, used = [], "", 0
    for c in text:
        if used + _wide(c) > width:
            cut = max(line.rfind(" ") + 1, 0) or len(line)
            while cut == len(line) and cut > 1 and c in "，。？！：、）":
                c, line, cut = line[-1] + c, line[:-1], cut - 1
            lines.append(line[:cut].rstrip())
            line = line[cut:]
            used = columns(line)
        line += c
        used += columns(c)
    return [*lines, line]
