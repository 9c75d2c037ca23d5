"""Groups and prices rows in one pass, and returns a `Summary`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from token_meter._defaults import default_book
from token_meter._money import exactly
from token_meter.ledger import Row, RunFacts, RunReader
from token_meter.report._accumulator import MOST_USAGES, Leaf, usages_of
from token_meter.report._by import By, check_by
from token_meter.report._facts import notices_of, run_of
from token_meter.report._grouping import EVERY_CALL, OTHER, file_of, keys_of, needs_of, type_of
from token_meter.report._pricing import Pricing, priced_as
from token_meter.report._summary import (
    NOTHING,
    Group,
    Kind,
    ModelLine,
    Summary,
    Vcs,
    total_of,
)
from token_meter.report._sums import Linear, Sums, kind_of
from token_meter.types import Call, Usage

T = TypeVar("T")
_MOST_GROUPS = 50_000
_MOST_MODELS = 1_000


@runtime_checkable
class RowSource(Protocol):
    """A reader that adds rows to a report by itself, such as an engine that has sums."""

    @property
    def facts(self) -> RunFacts:
        """The facts of the ledger."""

    def collect_into(self, collector: Collector) -> None:
        """Add every call."""


@exactly
def summarise(
    rows: Iterable[Row] | RowSource,
    *,
    by: By = "test",
    book: Pricing | None = None,
    facts: RunFacts | None = None,
    as_model: str | None = None,
    vcs: Vcs | None = None,
    now: datetime | None = None,
    command: tuple[str, ...] = (),
    labels: Mapping[str, str] = NOTHING,
) -> Summary:
    """Group *rows* and price them.

    By `tag`, a call with two tags is in both rows, and once in the totals; by `tag:NAME` it is in the row of the last
    of its tags `NAME=...`. *facts* are taken from *rows* when that is a `RunReader`. *as_model* (`gpt-4o`, or
    `provider:model`) prices the same tokens for another model.

    Raises:
        ConfigError: *by* is nothing that rows can be grouped by.
    """
    if book is None:
        book = default_book()
    collector = Collector(by, book, as_model)
    if isinstance(rows, RowSource):
        rows.collect_into(collector)
    elif isinstance(rows, RunReader) and rows.is_merging and collector.is_linear:
        sums = Sums(collector)
        for row in rows.rows(sums):
            collector.add(row)
        sums.end()
    else:
        for row in rows:
            collector.add(row)
    if facts is None:
        facts = getattr(rows, "facts", None) or RunFacts()
    groups = collector.groups(facts.contexts)
    whole = collector.whole(groups)
    totals = total_of(g.totals for g in whole)
    models = _by_model(whole)
    return Summary(
        by=by,
        totals=totals,
        models=models,
        groups=groups,
        run=run_of(facts, command, labels),
        vcs=vcs,
        prices=book.version,
        overrides=len(getattr(book, "overrides", ())),
        digest=getattr(book, "digest", ""),
        prices_as_of=str(getattr(book, "as_of", None) or ""),
        created=(now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        notices=notices_of(totals, models, facts, as_model),
        as_model=as_model,
        tool_version=_version(),
    )


class _LeafKey(NamedTuple):
    group: str
    kind: Kind
    phase: str | None
    try_: int


class Spot(NamedTuple):
    """A place for calls like *row*, in the group of this number of those that it belongs to."""

    row: Row
    number: int


class Collector:
    """The sums of a report, while rows are added."""

    def __init__(self, by: By, book: Pricing, as_model: str | None) -> None:
        self._keys = keys_of(check_by(by))
        self.by = by
        self._linear = getattr(book, "linear", None) if as_model is None else None
        self.prices = book.price_each if as_model is None else priced_as(book, as_model)
        self._leaves: dict[_LeafKey, Leaf] = {}
        self._refused: dict[tuple[Kind, float], bool] = {}
        self._groups: set[str] = set()
        self._models: set[str] = set()

    def add(self, row: Row) -> None:
        for key in self._keys(row):
            self._leaf(row, key).add(row, self.prices(row.call, (usage for usage, _ in usages_of(row))))

    # For what adds up calls before they are priced.

    @property
    def is_linear(self) -> bool:
        """Whether some calls may be priced by their sum."""
        return self._linear is not None

    def linear(self, call: Call) -> Linear | None:
        """How calls like this one are priced by their sum; `None` where each must be priced by itself."""
        found: Linear | None = self._linear(call) if self._linear is not None else None
        return found

    def leaves(self, row: Row) -> list[Leaf]:
        """The sums that a row belongs to."""
        return [self._leaf(row, key) for key in self._keys(row)]

    @property
    def needs(self) -> frozenset[str]:
        """What groups depend on: `tags`, `process`, `day`."""
        return needs_of(self.by)

    @property
    def is_by_day(self) -> bool:
        """Whether the group of a row depends on its time."""
        return "day" in self.needs

    def is_cut(self) -> bool:
        """Whether groups or models were put together, so that the order of rows matters."""
        return len(self._groups) >= _MOST_GROUPS or len(self._models) >= _MOST_MODELS

    def plan(self, rows: Mapping[T, Row]) -> tuple[list[Spot], dict[T, list[int]]]:
        """Where calls like each of *rows* are added: places, and for each row the numbers of its places.

        Rows in one place are counted and priced alike, apart from their usages and times.
        """
        places: list[Spot] = []
        known: dict[tuple[Any, ...], int] = {}
        found: dict[T, list[int]] = {}
        for name, row in rows.items():
            call = row.call
            for n, group in enumerate(self._keys(row)):
                leaf = (group, kind_of(call), row.phase, row.attempt) if self.is_by_day else self._leaf_key(row, group)
                key = (leaf, call.source, row.late, bool(call.attempt), call.is_success, call.certainty)
                number = known.setdefault(key, len(places))
                if number == len(places):
                    places.append(Spot(row, n))
                found.setdefault(name, []).append(number)
        return places, found

    def leaf(self, spot: Spot, row: Row) -> Leaf:
        """The sums of a place that a row of it belongs to; they stand in the order in which they are asked for."""
        return self._leaf(row, list(self._keys(row))[spot.number])

    def add_at(self, spot: Spot, row: Row) -> None:
        """Add a row to one of its groups."""
        self.leaf(spot, row).add(row, self.prices(row.call, (usage for usage, _ in usages_of(row))))

    def add_sum(self, spot: Spot, row: Row, usage: Usage, largest: int, seconds: float) -> bool:
        """Add calls of the *seconds* from the row's start by their sum; `False` where that has no price as a whole."""
        rule = self.linear(row.call)
        price = None if rule is None else rule.price_sum(usage, largest, row.call.started_s + seconds)
        if price is None and rule is not None and self._is_refused(row.call, rule, seconds):
            price = rule.price(usage)
        if price is None:
            return False
        self.leaf(spot, row).add_sum(row, usage, price)
        return True

    def _is_refused(self, call: Call, rule: Linear, seconds: float) -> bool:
        """Whether calls like this one have no price for one reason in all those seconds: a refusal holds an hour."""
        if rule.refusal is None:
            return False
        key = (kind_of(call), call.started_s)
        if key not in self._refused:
            at: float = rule.until
            while at < call.started_s + seconds:
                later = self.linear(call._replace(started_s=at))
                if later is None or later.refusal != rule.refusal:
                    break
                at = later.until
            self._refused[key] = at >= call.started_s + seconds
        return self._refused[key]

    def _leaf(self, row: Row, group: str) -> Leaf:
        key = self._leaf_key(row, group)
        leaf = self._leaves.get(key)
        if leaf is None:
            leaf = self._leaves[key] = Leaf(*key)
        return leaf

    def _leaf_key(self, row: Row, group: str) -> _LeafKey:
        call = row.call
        group = _bounded(group, self._groups, _MOST_GROUPS)
        kind = kind_of(call)
        if _bounded(kind.model, self._models, _MOST_MODELS) == OTHER:
            kind = Kind(None, OTHER, kind.provider, None, kind.api)
        return _LeafKey(group, kind, row.phase, row.attempt)

    def groups(self, notes: Mapping[str, Mapping[str, Any]]) -> tuple[Group, ...]:
        by_group: dict[str, list[Leaf]] = {}
        for leaf in self._leaves.values():
            if leaf.group != EVERY_CALL:
                by_group.setdefault(leaf.group, []).append(leaf)
        return tuple(_group(self.by, name, leaves, notes.get(name, NOTHING)) for name, leaves in by_group.items())

    def whole(self, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        """The groups that hold every call once: all of them, or the one for sums where the others overlap."""
        every = [leaf for leaf in self._leaves.values() if leaf.group == EVERY_CALL]
        return (_group(self.by, EVERY_CALL, every, NOTHING),) if every else groups


def _group(by: By, name: str, leaves: list[Leaf], note: Mapping[str, Any]) -> Group:
    lines: dict[Kind, list[Leaf]] = {}
    phases: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        lines.setdefault(leaf.kind, []).append(leaf)
        if leaf.phase is not None:
            phases.setdefault(leaf.phase, []).append(leaf)
    models = tuple(_line(kind, some) for kind, some in lines.items())
    file, line, attempts, outcome = (note.get(key) for key in ("file", "line", "attempts", "outcome"))
    return Group(
        name,
        type_of(by, name),
        total_of(m.totals for m in models),
        models,
        {phase: total_of(leaf.totals() for leaf in some).known_cost() for phase, some in phases.items()},
        max(attempts if isinstance(attempts, int) else 1, *(leaf.try_ for leaf in leaves)),
        len(set().union(*(leaf.processes for leaf in leaves))),
        outcome if isinstance(outcome, str) else None,
        file if isinstance(file, str) else file_of(name),
        line if isinstance(line, int) else None,
    )


def _line(kind: Kind, leaves: list[Leaf]) -> ModelLine:
    usages: dict[Usage, int] | None = {}
    for leaf in leaves:
        if usages is None or leaf.usages is None:
            usages = None
            break
        for usage, n in leaf.usages.items():
            usages[usage] = usages.get(usage, 0) + n
    if usages is not None and len(usages) > MOST_USAGES:
        usages = None
    reason = next((leaf.reason for leaf in leaves if leaf.reason is not None), None)
    source = next((leaf.source for leaf in leaves if leaf.source is not None), None)
    kept = None if usages is None else tuple(usages.items())
    return ModelLine(kind, total_of(leaf.totals() for leaf in leaves), kept, reason, source)


def _by_model(groups: Iterable[Group]) -> tuple[ModelLine, ...]:
    """Merge the groups' model lines by their shown name."""
    found: dict[str, ModelLine] = {}
    for group in groups:
        for line in group.models:
            name = line.kind.model
            before = found.get(name)
            if before is None:
                found[name] = replace(line, usages=None)
            else:
                reason = before.reason or line.reason
                found[name] = replace(before, totals=before.totals + line.totals, reason=reason)
    return tuple(sorted(found.values(), key=lambda m: (-m.totals.cost, -m.totals.total_tokens, m.kind.model)))


def _bounded(name: str, known: set[str], most: int) -> str:
    """Return *name*, or a common name for all beyond *most*, to bound memory and page."""
    if name in known:
        return name
    if len(known) >= most:
        return OTHER
    known.add(name)
    return name


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("token-meter")
    except PackageNotFoundError:
        return "0"
