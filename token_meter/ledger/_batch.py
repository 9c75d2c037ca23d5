"""Merges calls while reading: lines that differ only in id, time and counts become one `Row`.

A million lines are read in a few seconds, because their common parts are parsed once, and their counts stay text with
a number of occurrences until a batch is complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from token_meter.ledger._line import COUNTS, FIRST_RARE, NOTHING_RARE, Row, renamed, row_of, usage_of
from token_meter.types import Usage

_MEMO_LIMIT = 10_000
_NO_USAGE = Usage()
_new = tuple.__new__

CALL_LINE = re.compile(
    rb'\{"t":"call","v":[12],"id":"([0-9a-f]{16})-([0-9a-f]{1,8})","ts":(\d{1,11})(\.\d{6}),"ms":(\d{1,12}\.\d{3}),'
    rb'"first_ms":(null|\d{1,12}\.\d{3}),'
    rb"(" + b",".join(rb'"%s":(?:null|\d{1,18})' % name.encode() for name in COUNTS) + rb")(,.*\})"
)
"""A call's line as `call_line` writes it: the fields of one call only, the counts, and the rest."""

_NO_DIGITS = b'"_:abcdefghijklmnopqrstuvwxyz'
_BEFORE_COMMON, _BEFORE_COMMON_V1 = b',"api":', b',"flavour":'
"""No string can contain these bytes, because JSON escapes a quote: no name can imitate a field."""


class LineReader:
    """Converts matches of `CALL_LINE` to rows, and caches the parts that calls share."""

    def __init__(self, process: str) -> None:
        self.process = process
        self._common: dict[tuple[str, bytes], Row] = {}
        self._rare: dict[bytes, tuple[int | None, tuple[Any, ...]]] = {}

    def shared(self, tail: bytes) -> Row | None:
        """Parse the part after the counts to a row without id, time and counts; `None` if it is torn."""
        rare, common = _split(tail)
        key = (self.process, common)
        try:
            row = self._common.get(key)
            if row is None:
                if len(self._common) >= _MEMO_LIMIT:
                    self._common.clear()
                line = json.loads(b"{" + common)
                row = self._common[key] = row_of({**line, "id": "", "ts": 0}, self.process)
            self._rarer(rare)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return row

    def usage(self, counts: bytes, tail: bytes) -> Usage | None:
        """Read the counts of a line that has a shared part; `None` when not one is known."""
        rare, _ = _split(tail)
        long, others = self._rarer(rare) if rare else (None, NOTHING_RARE)
        digits = counts.translate(None, _NO_DIGITS).split(b",")  # half the time of a pattern
        prompt, completion, total, cached, written, reasoning = [int(count) if count else None for count in digits]
        usage = _new(Usage, (prompt, completion, total, cached, written, long, reasoning, *others))
        return usage if usage != _NO_USAGE else None

    def _rarer(self, text: bytes) -> tuple[int | None, tuple[Any, ...]]:
        if not text:
            return None, NOTHING_RARE
        found = self._rare.get(text)
        if found is None:
            if len(self._rare) >= _MEMO_LIMIT:
                self._rare.clear()
            usage = usage_of(renamed(json.loads(b"{" + text[1:] + b"}"))) or _NO_USAGE
            found = self._rare[text] = (usage.cache_write_long_tokens, usage[FIRST_RARE:])
        return found


def _split(tail: bytes) -> tuple[bytes, bytes]:
    """The part after a line's counts: the rarer counts, and the fields that many calls share."""
    at = tail.find(_BEFORE_COMMON)
    if at < 0:
        at = tail.find(_BEFORE_COMMON_V1)
    return (tail, b"") if at < 0 else (tail[:at], tail[at + 1 :])


class Batch:
    """Calls of one shard and 15 minutes that differ only in id, time, duration and counts."""

    __slots__ = ("counts", "first", "id", "ms", "shared", "started_s")

    def __init__(self, shared: Row, id: bytes, started_s: float, first: bytes) -> None:
        self.shared = shared
        self.id = id
        self.started_s = started_s
        self.first = first
        self.ms = 0.0
        self.counts: dict[bytes, int] = {}

    def row(self, tail: bytes, reader: LineReader) -> Row:
        """All calls as one row, with the id, the time and the counts of the first."""
        usages = tuple([(reader.usage(counts, tail), calls) for counts, calls in self.counts.items()])
        calls, duration_s = sum(self.counts.values()), self.ms / 1e3
        call = self.shared.call._replace(
            id=self.id.decode(),
            started_s=self.started_s,
            duration_s=duration_s if calls == 1 else duration_s / calls,
            usage=usages[0][0],
            first_token_s=None if self.first == b"null" else float(self.first) / 1e3,
        )
        row = self.shared._replace(call=call, calls=calls, duration_s=duration_s)
        return row if calls == 1 else row._replace(usages=usages)


def release(batches: dict[bytes, Batch], reader: LineReader) -> Iterator[Row]:
    """Yield the row of each batch, and clear *batches*."""
    for tail, batch in batches.items():
        yield batch.row(tail, reader)
    batches.clear()
