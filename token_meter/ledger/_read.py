"""Reads shards, even damaged ones, and counts the lines that it cannot read."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from token_meter.blind_spots import BlindSpot
from token_meter.ledger import _line
from token_meter.ledger._batch import CALL_LINE, WRONG, Keeper
from token_meter.ledger._line import Row
from token_meter.ledger._lines import lines_of
from token_meter.ledger._place import find_shards, is_held, marks_in
from token_meter.ledger._seen import SeenIds, split_id

_IN_FLIGHT_SHOWN = 1_000
_BLIND_SPOTS_SHOWN = 100
_START_HEAD = re.compile(rb'\{"t":"start","v":[12],"id":"([0-9a-f]{16})-([0-9a-f]{1,8})","ts":\d{1,11}\.\d{6}(?=[,}])')
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class RunFacts(NamedTuple):
    """The facts of a ledger apart from its calls.

    Attributes:
        runs: the run ids, in order of appearance.
        processes: how many processes wrote.
        unclean_processes: how many of them ended without a closing line: killed, or ended by SIGTERM as servers are.
        in_flight: calls of processes that ended, which started and never ended: billed, cost unknown.
        in_flight_contexts: the tests or labels that started them (bounded).
        skipped_records: lines that are torn, foreign or of an unknown version.
        duplicates: records that had been read before.
        lost_records: records that could not be written.
        began_s: the earliest time on record, in seconds since the epoch; `None` when there is none.
        ended_s: the latest time.
        contexts: the fields of `note("context", id=..., ...)`, by id.
        run: the fields of `note("run", ...)`; later ones win.
        running_processes: how many still write.
        under_way: calls of theirs that have not ended yet.
        blind_spots: what the meters of the run knew that they did not see, as `note("blind", ...)` has it (bounded).
    """

    runs: tuple[str, ...] = ()
    processes: int = 0
    unclean_processes: int = 0
    in_flight: int = 0
    in_flight_contexts: tuple[str, ...] = ()
    skipped_records: int = 0
    duplicates: int = 0
    lost_records: int = 0
    began_s: float | None = None
    ended_s: float | None = None
    contexts: Mapping[str, Mapping[str, Any]] = _NOTHING
    run: Mapping[str, Any] = _NOTHING
    running_processes: int = 0
    under_way: int = 0
    blind_spots: tuple[BlindSpot, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every call that started is in the sums, as far as is known.

        Each is on record before it is sent, and again when it has ended: how a process ended takes nothing away.
        """
        gaps = self.running_processes or self.in_flight or self.skipped_records or self.lost_records
        return not (gaps or self.blind_spots)


def read_run(
    paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    *,
    merge: bool = True,
    last: int | None = 1,
    since_s: float | None = None,
    until_s: float | None = None,
) -> RunReader:
    """Read a data directory's latest run, run directories or shards; iterate the result for its rows.

    With *merge*, calls that differ only in id, time within 15 minutes, duration and counts become one row with
    `calls` > 1 and `usages`.

    Args:
        last: how many of its latest runs a data directory stands for; `None` for all.
        since_s: leave out calls that started before, seconds since the epoch.
        until_s: leave out calls that started then or later.

    Raises:
        LedgerError: a path does not exist.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return RunReader(find_shards(given, last, since_s), merge=merge, since_s=since_s, until_s=until_s)


class RunReader:
    """The rows of some shards, streamed once; `facts` is complete when all rows have been read."""

    def __init__(
        self,
        shards: Iterable[Path],
        *,
        merge: bool = True,
        since_s: float | None = None,
        until_s: float | None = None,
    ) -> None:
        self._shards = list(shards)
        self.is_merging = merge
        self._since_s = -math.inf if since_s is None else since_s
        self._until_s = math.inf if until_s is None else until_s
        self._seen = SeenIds()
        self._in_flight: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}  # the line, and that of its process
        self._shard_of: dict[bytes, Path] = {}
        self._lost_of: dict[bytes, int] = {}
        self._closed: dict[bytes, bool] = {}  # by opening line: a process that was combined twice is still one
        self._section = b""
        self._process, self._shard = "", Path()
        self._skipped = self._duplicates = self._began = self._ended = 0
        self._marks: set[str] = set()
        self._runs: dict[str, None] = {}
        self._contexts: dict[str, dict[str, Any]] = {}
        self._run: dict[str, Any] = {}
        self._blind: dict[str, BlindSpot] = {}

    def __iter__(self) -> Iterator[Row]:
        return self.rows(Keeper())

    def rows(self, keeper: Keeper) -> Iterator[Row]:
        """Give the rows that *keeper* releases, and the calls that are written in another form."""
        for shard in self._shards:
            yield from self._rows(shard, lines_of(shard), keeper)
        yield from self._more()

    def _more(self) -> Iterator[Row]:
        """Rows that stand in no shard."""
        return iter(())

    @property
    def facts(self) -> RunFacts:
        """The facts of the lines so far."""
        running = {s for s, closed in self._closed.items() if not closed and is_held(self._shard_of[s])}
        left = [line for line, section in self._in_flight.values() if section not in running]
        contexts = (_context_of(line) for line in left[:_IN_FLIGHT_SHOWN])
        return RunFacts(
            runs=tuple(self._runs),
            processes=len(self._closed),
            unclean_processes=sum(not closed for closed in self._closed.values()) - len(running),
            running_processes=len(running),
            under_way=len(self._in_flight) - len(left),
            in_flight=len(left),
            in_flight_contexts=tuple(dict.fromkeys(c for c in contexts if c is not None)),
            skipped_records=self._skipped,
            duplicates=self._duplicates,
            lost_records=max(sum(self._lost_of.values()), len(self._marks.union(marks_beside(self._shards)))),
            began_s=float(self._began) if self._began else None,
            ended_s=float(self._ended) if self._ended else None,
            contexts=self._contexts,
            run=self._run,
            blind_spots=tuple(self._blind.values()),
        )

    def _rows(self, shard: Path, lines: Iterable[bytes], keeper: Keeper) -> Iterator[Row]:
        """Give the rows of one shard. This loop runs a million times: what is common is inline, the rest in methods."""
        self._section, self._process, self._shard = b"", shard.name, shard
        keeper.reader.process = self._process
        call_of, in_flight, seen, find = CALL_LINE.fullmatch, self._in_flight, self._seen.add, keeper.find
        since_s, until_s = self._since_s, self._until_s
        is_part = since_s > -math.inf or until_s < math.inf
        waiting = 0
        slot = range(0)
        last, marks = b"", bytearray()
        for line in lines:
            found = call_of(line)
            if found is None:
                if line.startswith(b'{"t":"open"'):
                    yield from keeper.release()
                row = self._other(line)
                keeper.reader.process = self._process
                if row is not None and since_s <= row.call.started_s < until_s:
                    yield row
                continue
            prefix, number, second, fraction, ms, first, counts, tail = found.groups()
            at = int(second)
            if at not in slot or waiting >= keeper.most:
                yield from keeper.release()
                waiting, slot = 0, keeper.slot(at)
            is_meant = not is_part or since_s <= float(second + fraction) < until_s
            batch = find(tail, at) if is_meant else None
            if batch is None and (is_meant or keeper.reader.shared(tail) is None):
                # Do not mark the id of a torn line as seen: the whole line may follow.
                self._skipped += 1
                continue
            if prefix != last:
                marks, last = self._seen.marks_of(prefix), prefix
            n = int(number, 16)
            if n < len(marks) and not marks[n]:
                marks[n] = 1
            else:
                last = b""  # the marks may have changed meanwhile
                if seen(prefix, number):
                    self._duplicates += 1
                    continue
            if in_flight:
                in_flight.pop((prefix, number), None)
            if at > self._ended:
                self._ended = at
            if at < self._began or not self._began:
                self._began = at
            if batch is None:
                continue
            batch.ms += float(ms)
            several = batch.counts
            if counts in several:
                several[counts] += 1
            else:
                if not several:
                    batch.id, batch.started_s, batch.first = prefix + b"-" + number, float(second + fraction), first
                several[counts] = 1
                waiting += 1
            if not self.is_merging:
                yield from keeper.release()
        yield from keeper.release()

    def _other(self, line: bytes) -> Row | None:
        """Read any other line; return the row of a call that is written in another form."""
        start = _START_HEAD.match(line)
        if start is not None and line.endswith(b"}"):
            self._started((start[1], start[2]), line)
            return None
        if not line.strip():
            return None
        try:
            found = json.loads(line)
            if found["v"] not in _line.READABLE:
                raise ValueError
            return self._take(found, line)
        except WRONG:
            self._skipped += 1
            return None

    def _take(self, found: dict[str, Any], line: bytes) -> Row | None:
        kind = found["t"]
        if kind == "call":
            row = _line.row_of(found, self._process)
            id_ = split_id(row.call.id)
            if self._seen.add(*id_):
                self._duplicates += 1
                return None
            self._in_flight.pop(id_, None)
            self._began = min(self._began or int(row.call.started_s), int(row.call.started_s))
            self._ended = max(self._ended, int(row.call.started_s))
            return row
        if kind == "open":
            self._section = line
            self._process = _line.cut(f"{found.get('host')}:{found.get('pid')}") or ""
            self._runs.setdefault(str(_line.cut(str(found.get("run")))))
            self._closed.setdefault(line, False)
            self._shard_of[line] = self._shard
        elif kind == "close":
            if "mark" in found:  # the mark of a combined shard, not the end of a process
                self._marks.add(str(found["mark"]))
            elif self._section in self._closed:  # again for each block of a service; what is lost adds up
                self._closed[self._section] = True
                self._lost_of[self._section] = max(self._lost_of.get(self._section, 0), int(found.get("lost", 0)))
        elif kind == "start":
            self._started(split_id(_line.id_of(found)), line)
        elif kind == "drop":
            self._in_flight.pop(split_id(_line.id_of(found)), None)
        elif kind == "context":
            self._contexts.setdefault(str(found["id"]), {}).update(found)
        elif kind == "run":
            self._run.update(found)
        elif kind == "blind":
            if len(self._blind) < _BLIND_SPOTS_SHOWN:
                spot = BlindSpot(*(str(_line.cut(str(found[name]), 500)) for name in BlindSpot._fields))
                self._blind.setdefault(spot.what, spot)
        else:
            raise ValueError(kind)
        return None

    def _started(self, id_: tuple[bytes, bytes], line: bytes) -> None:
        if id_ not in self._seen:
            self._in_flight[id_] = line, self._section


def marks_beside(shards: Iterable[Path]) -> list[str]:
    """List the marks in the directories of *shards*, with the directory's name, so that none counts twice."""
    directories = dict.fromkeys(os.path.abspath(shard.parent) for shard in shards)
    return [f"{os.path.basename(path)}/{name}" for path in directories for name in marks_in(Path(path))]


def _context_of(line: bytes) -> str | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    context = found.get("ctx") if isinstance(found, dict) else None
    return context if isinstance(context, str) else None
