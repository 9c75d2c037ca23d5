"""Splits a shard in lines, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_CHUNK = 1 << 20
_LONGEST_LINE = 1 << 20


def lines_of(shard: Path) -> Iterator[bytes]:
    """Yield the lines without their line breaks. A last line without a break is included, because it may be whole."""
    rest = b""
    try:
        with open(shard, "rb") as file:
            while chunk := file.read(_CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from lines
                if len(rest) > _LONGEST_LINE:  # we never write such a line; the rest of it is skipped too
                    yield b"too long"
                    rest = b""
    except OSError:
        yield b"unreadable"
    if rest:
        yield rest
