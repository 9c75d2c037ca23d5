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
_SLOT_S = 900
WRONG = (ValueError, TypeError, KeyError, RecursionError, ArithmeticError)
"""What a text raises that is no part of one of our lines."""
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
_TAGS, _BEHIND_TAGS = b',"tags":[', b'],"src":'
"""No string can contain these bytes, because JSON escapes a quote: no name can imitate a field."""


class LineReader:
    """Converts the parts that calls share to rows, and caches them: their tags apart, of which there are many sets."""

    def __init__(self, process: str) -> None:
        self.process = process
        self._kinds: dict[tuple[bytes, bytes], Row | None] = {}
        self._tags: dict[bytes, tuple[str, ...] | None] = {}
        self._rare: dict[bytes, tuple[int | None, tuple[Any, ...]]] = {}

    def shared(self, tail: bytes) -> Row | None:
        """Parse the part after the counts to a row without id, time and counts; `None` if it is torn."""
        rare, common = _split(tail)
        try:
            self._rarer(rare)
            head, text, rest = apart(common)
            row, tags = self.kind(head, rest), self.tags(text)
            if row is not None and tags is not None:
                return row._replace(call=row.call._replace(tags=tags)) if tags else row
            return row_of({**json.loads(b"{" + common), "id": "", "ts": 0}, self.process)
        except WRONG:
            return None

    def kind(self, head: bytes, rest: bytes) -> Row | None:
        """The row of a call without tags, of what stands before and behind them; `None`: they are not to be parted."""
        key = (head, rest)
        try:
            row = self._kinds[key]
        except KeyError:
            row = _row_of_parts(head, rest)
            if len(self._kinds) >= _MEMO_LIMIT:
                self._kinds.clear()
            self._kinds[key] = row
        return row if row is None or row.process == self.process else row._replace(process=self.process)

    def tags(self, text: bytes) -> tuple[str, ...] | None:
        """The tags of their text; `None`: it is none."""
        try:
            return self._tags[text]
        except KeyError:
            if len(self._tags) >= _MEMO_LIMIT:
                self._tags.clear()
            found = self._tags[text] = _tags_of(text)
            return found

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


def counts_of(texts: list[bytes]) -> list[int]:
    """The counts of many lines, six of each, with -1 for those that are not known."""
    return list(map(int, b",".join(texts).replace(b"null", b"-1").translate(None, _NO_DIGITS).split(b",")))


def apart(common: bytes) -> tuple[bytes, bytes, bytes]:
    """What calls share: what stands before their tags, the tags, and what stands behind them."""
    head, _, rest = common.partition(_TAGS)
    tags, _, rest = rest.partition(_BEHIND_TAGS)
    return head, tags, rest


def _row_of_parts(head: bytes, rest: bytes) -> Row | None:
    try:
        before, behind = json.loads(b"{" + head + b"}"), json.loads(b'{"src":' + rest)
        if "tags" in before or "tags" in behind:
            return None
        return row_of({**before, **behind, "id": "", "ts": 0})
    except WRONG:
        return None


def _tags_of(text: bytes) -> tuple[str, ...] | None:
    try:
        return tuple(tag for tag in json.loads(b"[" + text + b"]") if isinstance(tag, str))
    except WRONG:
        return None


def _split(tail: bytes) -> tuple[bytes, bytes]:
    """The part after a line's counts: the rarer counts, and the fields that many calls share."""
    at = tail.find(_BEFORE_COMMON)
    if at < 0:
        at = tail.find(_BEFORE_COMMON_V1)
    return (tail, b"") if at < 0 else (tail[:at], tail[at + 1 :])


class Batch:
    """Calls of one shard and 15 minutes that differ only in id, time, duration and counts."""

    __slots__ = ("counts", "first", "id", "ms", "shared", "started_s")

    def __init__(self, shared: Row) -> None:
        self.shared = shared
        self.id = self.first = b""
        self.started_s = self.ms = 0.0
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


class Keeper:
    """Keeps the calls of a shard until they become rows: those of one slot of time that share everything are one."""

    most = 20_000
    """Different counts that are kept; this bounds the memory."""

    def __init__(self) -> None:
        self.reader = LineReader("")
        self._batches: dict[bytes, Batch] = {}

    def slot(self, at: int) -> range:
        """The seconds around *at* after which rows are released: prices change at full, half or quarter hours."""
        return range(at - at % _SLOT_S, at - at % _SLOT_S + _SLOT_S)

    def find(self, tail: bytes, at: int) -> Batch | None:
        """Where a call is added; `None` if its line is torn."""
        batch = self._batches.get(tail)
        if batch is None:
            shared = self.reader.shared(tail)
            if shared is not None:
                batch = self._batches[tail] = Batch(shared)
        return batch

    def release(self) -> Iterator[Row]:
        """Give the row of each batch, and forget it."""
        for tail, batch in self._batches.items():
            if batch.counts:
                yield batch.row(tail, self.reader)
        self._batches.clear()
