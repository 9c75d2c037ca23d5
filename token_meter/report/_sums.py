"""Adds the calls of a long ledger up before they are priced.

In the ledger of a service hardly two calls are alike, and to price each of them takes most of the time. Calls of text
that are counted alike and have one price list cost together what their sum costs, exactly: a price is asked for once
for each such place. What a book prices otherwise becomes rows, as the reader gives them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import add, gt
from typing import Any, Protocol

from token_meter.ledger import Row
from token_meter.ledger._batch import Batch, Keeper, counts_of
from token_meter.report._accumulator import MOST_USAGES, Leaf
from token_meter.report._grouping import needs_of
from token_meter.report._summary import Kind
from token_meter.types import Call, Price, Usage

_EVER = range(10**12)
_DAY_S = 86_400
_SLOT_S = 900
_MOST_KNOWN = 100_000


class Linear(Protocol):
    """How calls of text that leave between two moments are priced by their sum; see `prices/_pricing.py`."""

    since: float
    until: float
    up_to: float
    output: bool
    cached: bool
    one_way: bool
    price: Callable[[Usage], Price]
    refusal: str | None

    def price_sum(self, usage: Usage, largest: int, last: float) -> Price | None:
        """What calls cost of which the sum, the *largest* prompt and the *last* departure are known."""


class Home(Protocol):
    """The report, as far as places know it."""

    by: str

    def leaves(self, row: Row) -> list[Leaf]:
        """The sums that a row belongs to."""

    def linear(self, call: Call) -> Linear | None:
        """How calls like this one are priced by their sum; `None` where each must be priced by itself."""

    def add(self, row: Row) -> None:
        """Add a row."""

    def prices(self, call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        """What calls like *call* cost with each of *usages*."""


class Place(Batch):
    """Calls that are counted and priced alike, apart from their counts."""

    __slots__ = ("calls", "is_touched", "leaves", "rule", "since", "sums", "until")

    def __init__(self, row: Row, leaves: list[Leaf], rule: Linear) -> None:
        super().__init__(row)
        self.leaves, self.rule = leaves, rule
        self.since = self.until = 0.0
        self.calls = 0
        self.is_touched = False
        self.sums: list[int | None] = [None] * 6

    def take(self, home: Home, keeper: Keeper, *, keeps: bool = True) -> None:
        """Add up what has come since; a few counts are kept, with which a report can be priced again."""
        for leaf in self.leaves:
            leaf.processes.add(keeper.reader.process)
        if keeps and not self.calls and len(self.counts) <= MOST_USAGES:
            return
        times, numbers = list(self.counts.values()), counts_of(list(self.counts))
        columns = [numbers[n::6] for n in range(6)]
        if not self._is_linear(*columns):
            odd = {}
            lines = zip(self.counts.items(), zip(*columns, strict=True), strict=True)
            kept = []
            for (text, n), line in lines:
                if self._is_linear(*([count] for count in line)):
                    kept.append((n, *line))
                else:
                    odd[text] = n
            self._add(home, keeper, odd)
            times, *columns = [list(column) for column in zip(*kept, strict=True)] or [[]]
        self.counts.clear()
        self.calls += sum(times)
        for n, column in enumerate(columns):
            known = [count * m for count, m in zip(column, times, strict=True) if count >= 0]
            if known:
                self.sums[n] = (self.sums[n] or 0) + sum(known)

    def end(self, home: Home, keeper: Keeper) -> None:
        """Give what is here to the report."""
        for leaf in self.leaves:
            leaf.duration_s += self.ms / 1e3
        if not self.calls:
            self._add(home, keeper, self.counts)
            return
        if self.counts:
            self.take(home, keeper, keeps=False)
        sent, made, total, cached, written, reasoning = self.sums
        usage = Usage(sent, made, total, cached, written, None, reasoning)
        price = self.rule.price(usage)
        row = self.shared._replace(calls=self.calls)
        for leaf in self.leaves:
            leaf.add_sum(row, usage, price)

    def _is_linear(
        self,
        sent: list[int],
        made: list[int],
        total: list[int],
        cached: list[int],
        written: list[int],
        reasoning: list[int],
    ) -> bool:
        """Whether calls with these counts, -1 where one is not known, cost what their sum costs."""
        rule = self.rule
        if min(sent) < 0 or max(sent) > rule.up_to or max(written) > 0:
            return False
        if min(made) < 0:
            if not rule.one_way:
                return False
            made = [max(count, 0) for count in made]
        if list(map(add, sent, made)) != total or any(map(gt, cached, sent)) or any(map(gt, reasoning, made)):
            return False
        return (rule.output or not max(made)) and (rule.cached or max(cached) <= 0)

    def _add(self, home: Home, keeper: Keeper, counts: Mapping[bytes, int]) -> None:
        """Add calls whose sum is not their price."""
        if not counts:
            return
        usages = tuple([(keeper.reader.usage(text, b""), calls) for text, calls in counts.items()])
        row = self.shared._replace(calls=sum(counts.values()), usages=usages)
        for leaf in self.leaves:
            leaf.add(row, home.prices(row.call, (usage for usage, _ in usages)))


class Sums(Keeper):
    """Keeps the calls of a ledger in the places of a report."""

    most = 50_000

    def __init__(self, home: Home) -> None:
        super().__init__()
        self._home = home
        self._needs = needs_of(home.by)
        self._has_tags = "tags" in self._needs
        self._places: dict[tuple[Any, ...], Place] = {}
        self._known: dict[tuple[bytes, bytes, bytes], Place] = {}
        self._rules: dict[tuple[Kind, int], Linear | None] = {}
        self._touched: list[Place] = []
        self._slotted: dict[tuple[bytes, int], Batch] = {}
        self._texts: dict[bytes, bytes] = {}

    def slot(self, at: int) -> range:
        """Places have bounds of their own."""
        return _EVER

    def find(self, tail: bytes, at: int) -> Batch | None:
        """The place of a call: by what stands before, in and behind its tags."""
        head, _, rest = tail.partition(b',"tags":[')
        tags, _, rest = rest.partition(b'],"src":')
        place = self._known.get((head, tags if self._has_tags or self.reader.tags(tags) is None else b"", rest))
        if place is None or not (place.since <= at < place.until or self._goes_on(place, at)):
            place = self._look(head, tags, rest, at)
            if place is None:
                return self._in_slot(tail, at)
        if not place.is_touched:
            place.is_touched = True
            self._touched.append(place)
        return place

    def release(self) -> Iterator[Row]:
        """Add up what has come; give what is priced one by one."""
        for place in self._touched:
            place.is_touched = False
            place.take(self._home, self)
        self._touched.clear()
        for (tail, _), batch in self._slotted.items():
            if batch.counts:
                yield batch.row(tail, self.reader)
        self._slotted.clear()
        if "process" in self._needs:
            self._known.clear()

    def end(self) -> None:
        """Give all sums to the report."""
        for place in self._places.values():
            place.end(self._home, self)

    def _look(self, head: bytes, text: bytes, rest: bytes, at: int) -> Place | None:
        """Find or make the place of a call; `None` if it is priced by itself."""
        row, tags = self.reader.kind(head[1:], rest), self.reader.tags(text)
        if not head.startswith(b',"api":') or row is None or tags is None:
            return None
        row = row._replace(call=row.call._replace(tags=tags, started_s=float(at)))
        rule = self._rule(row.call, at)
        if rule is None:
            return None
        since, until = rule.since, rule.until
        if "day" in self._needs:
            since, until = max(since, at - at % _DAY_S), min(until, at - at % _DAY_S + _DAY_S)
        call, leaves = row.call, self._home.leaves(row)
        key = (*map(id, leaves), kind_of(call), call.source, row.late, bool(call.attempt), call.is_success,
               call.certainty, rule.refusal or (since, until))  # fmt: skip
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place(row, leaves, rule)
        place.since, place.until = since, until  # a refusal holds for an hour, and then again
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
            self._texts.clear()
        same = self._texts.setdefault  # the texts repeat: keep each once
        self._known[same(head, head), same(text, text) if self._has_tags else b"", same(rest, rest)] = place
        return place

    def _goes_on(self, place: Place, at: int) -> bool:
        """Whether a refusal, which holds for an hour, holds in this one too."""
        if place.rule.refusal is None or "day" in self._needs:
            return False
        rule = self._rule(place.shared.call._replace(started_s=float(at)), at)
        if rule is None or rule.refusal != place.rule.refusal:
            return False
        place.since, place.until = rule.since, rule.until
        return True

    def _rule(self, call: Call, at: int) -> Linear | None:
        """How calls like this one are priced, which is looked up once an hour."""
        key = (kind_of(call), at // 3_600)
        try:
            rule = self._rules[key]
            if rule is None or rule.since <= at < rule.until:
                return rule
        except KeyError:
            if len(self._rules) >= _MOST_KNOWN:
                self._rules.clear()
        rule = self._home.linear(call)
        if rule is not None and not (_is_whole(rule.since) and _is_whole(rule.until)):
            rule = None
        self._rules[key] = rule
        return rule

    def _in_slot(self, tail: bytes, at: int) -> Batch | None:
        key = (tail, at // _SLOT_S)
        batch = self._slotted.get(key)
        if batch is None:
            shared = self.reader.shared(tail)
            if shared is not None:
                batch = self._slotted[key] = Batch(shared)
        return batch


def kind_of(call: Call) -> Kind:
    """What the price of a call depends on, except usage and time."""
    return Kind(
        call.request_model, call.response_model, call.provider, call.host, call.api, call.service_tier, call.processing
    )


def _is_whole(moment_s: float) -> bool:
    """Whether it lies between two seconds of the clock, or never."""
    return moment_s in (float("-inf"), float("inf")) or moment_s == int(moment_s)
