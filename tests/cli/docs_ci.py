"""docs/ci.md as a walk through its sample project: what it changes, what it runs, what it shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block, and the last words before it."""

    language: str
    text: str
    before: str


def blocks(page: str) -> list[Block]:
    """All fenced blocks, in the order of the page."""
    return [Block(m[1], m[2], page[: m.start()].rstrip().rpartition("\n")[2]) for m in _BLOCK.finditer(page)]


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a block and what is shown below each."""
    pieces = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (piece.partition("\n") for piece in pieces)]


def changes(text: str) -> list[tuple[str, str]]:
    """The lines that a diff takes out, each with the one that it puts in their place."""
    lines = text.splitlines()
    out, into = ([line[1:] for line in lines if line.startswith(sign)] for sign in "-+")
    return list(zip(out, into, strict=True))


def steps(text: str) -> list[str]:
    """The commands of a GitHub workflow's steps."""
    return re.findall(r"^(?:- |  )run: (.+)$", text, re.MULTILINE)


def scripts(text: str) -> list[str]:
    """The commands of a GitLab job."""
    script = text.partition("script:\n")[2].partition("  artifacts:")[0]
    return [" ".join(piece.split()) for piece in script.split("    - ")[1:]]


def plain(text: str) -> str:
    """Without what is another day another: times, versions of prices, the order in which workers finish."""
    text = re.sub(r"in \d+\.\d\ds", "in 1.00s", text)
    text = re.sub(r"genai-prices \S+ \+ overlay [\d-]+", "genai-prices 0 + overlay 2026", text)
    text = re.sub(r",\s+\d+\s+days?\s+old(:\s+token-meter\s+prices\s+update)?", "", text)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"^([.sFx]+) +(\[100%\])$", lambda m: f"{''.join(sorted(m[1]))} {m[2]}", text, flags=re.MULTILINE)
