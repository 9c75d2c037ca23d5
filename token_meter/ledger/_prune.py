"""Removes old files of a ledger that grows, and nothing that we did not write."""

from __future__ import annotations

import calendar
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from token_meter.ledger._place import OURS, RUN, check_own, is_held

_DAY_S = 86_400


class Pruned(NamedTuple):
    """What was removed, and how many files stayed because we did not write them."""

    files: int = 0
    bytes: int = 0
    runs: int = 0
    foreign: int = 0


def prune(data_dir: Path, before_s: float, *, is_rehearsal: bool = False) -> Pruned:
    """Remove the files in which the last record was written before *before_s*, and the runs that are then empty.

    A file that a process still writes stays, and so do links, other names than ours, and what lies beside the runs.
    With *is_rehearsal* nothing is removed.

    Raises:
        LedgerError: the directory, or its `runs`, is a link or another user's.
        OSError: a file cannot be removed.
    """
    runs = data_dir / "runs"
    if not runs.is_dir():
        return Pruned()
    check_own(data_dir)
    check_own(runs)
    files = size = gone = foreign = 0
    for run in sorted(runs.iterdir()):
        if run.is_symlink() or not run.is_dir() or not RUN.fullmatch(run.name):
            foreign += 1
            continue
        inside = list(run.iterdir())
        ours = [path for path in inside if OURS.fullmatch(path.name) and path.is_file() and not path.is_symlink()]
        old = list(_old(ours, before_s))
        files += len(old)
        size += sum(path.stat().st_size for path in old)
        foreign += len(inside) - len(ours)
        if not is_rehearsal:
            for path in old:
                path.unlink()
        if len(old) == len(inside) and (old or _began_s(run) < before_s):  # one that has just begun is empty too
            gone += 1
            if not is_rehearsal:
                run.rmdir()
    return Pruned(files, size, gone, foreign)


def _old(ours: list[Path], before_s: float) -> Iterator[Path]:
    """The old records; where none is left, also the locks and marks beside them."""
    shards = [path for path in ours if path.suffix == ".jsonl"]
    old = [path for path in shards if _last_s(path) < before_s and not is_held(path)]
    yield from old
    if len(old) == len(shards):
        yield from (path for path in ours if path.suffix != ".jsonl" and path.stat().st_mtime < before_s)


def _last_s(shard: Path) -> float:
    """When the last record was written; a copy is younger than what it holds, but the name of a day's file says it."""
    written_s = shard.stat().st_mtime
    found = OURS.fullmatch(shard.name)
    day = found and found[1]
    if not day:
        return written_s
    try:
        return min(written_s, calendar.timegm(time.strptime(day[:8], "%Y%m%d")) + _DAY_S)
    except ValueError:
        return written_s


def _began_s(run: Path) -> float:
    try:
        return calendar.timegm(time.strptime(run.name[:15], "%Y%m%dT%H%M%S"))
    except ValueError:
        return time.time()
