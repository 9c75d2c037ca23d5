"""Combines many shards in one file, each record once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from token_meter.ledger import _line
from token_meter.ledger._lines import lines_of
from token_meter.ledger._place import find_shards, replaced
from token_meter.ledger._read import RunFacts, marks_beside, read_run


def combine(
    paths: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str], *, append: bool = False
) -> RunFacts:
    """Write the records of *paths* to one file, each once. With *append*, keep the records that the file has.

    The file is replaced as a whole or not at all. The source files are not changed.

    Raises:
        LedgerError: a path does not exist.
        OSError: the file cannot be written.
    """
    target = Path(output)
    sources = find_shards(paths)
    if append and target.exists():
        sources = [target, *(source for source in sources if source.resolve() != target.resolve())]
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced(target, is_ours=True) as out:
        out.writelines(line + b"\n" for line in _distinct(sources))
    reader = read_run(target)
    for _ in reader:
        pass
    return reader.facts


def _distinct(sources: Iterable[Path]) -> Iterable[bytes]:
    """Yield each record once: first the losses that marks report, then each process's opening line and records."""
    seen: set[int] = set()
    written_in = b""
    found_marks = [_line.record("close", lost=1, mark=mark).rstrip(b"\n") for mark in marks_beside(sources)]
    for lines in (found_marks, *map(lines_of, sources)):
        section = b""
        for line in lines:
            try:
                found = json.loads(line)
                kind, version, id_ = found["t"], found["v"], found.get("id")
            except (ValueError, TypeError, KeyError, RecursionError):
                continue
            if version not in _line.READABLE:
                continue
            if kind == "open":
                section = line
            writer = b"" if "mark" in found else section
            key = hash((kind, id_)) if kind in ("call", "start") else hash((writer, line))
            if key in seen:
                continue
            seen.add(key)
            if section != written_in and kind != "open" and section:
                yield section
            written_in = section
            yield line
