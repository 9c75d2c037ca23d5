"""Groups and prices rows in one pass, and returns a `Summary`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, Protocol

from token_meter._defaults import default_book
from token_meter.ledger import Row, RunFacts
from token_meter.report._accumulator import MOST_USAGES, Leaf, usages_of
from token_meter.report._facts import notices_of, run_of
from token_meter.report._summary import (
    NOTHING,
    By,
    Group,
    GroupType,
    Kind,
    ModelLine,
    Summary,
    Vcs,
    check_by,
    total_of,
)
from token_meter.types import Call, Price, Usage

OUTSIDE = "(outside tests)"
OTHER = "(other)"
_EVERY_CALL = "\0every call"
"""The group that each call is in once, where the others overlap."""
_MOST_GROUPS = 50_000
_MOST_MODELS = 1_000


class Pricing(Protocol):
    """A price book, as far as reports use it."""

    @property
    def version(self) -> str:
        """The price data in use, for reports."""

    def price(self, call: Call) -> Price:
        """What a call costs. Never raises."""

    def price_each(self, call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        """What calls like *call* cost with each of *usages*. Never raises."""


def summarise(
    rows: Iterable[Row],
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
    collector = _Collector(by, book, as_model)
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
    process: str


class _Collector:
    def __init__(self, by: By, book: Pricing, as_model: str | None) -> None:
        self._keys = _keys_of(check_by(by))
        self._by = by
        self._prices = book.price_each if as_model is None else priced_as(book, as_model)
        self._leaves: dict[_LeafKey, Leaf] = {}
        self._groups: set[str] = set()
        self._models: set[str] = set()

    def add(self, row: Row) -> None:
        for key in self._keys(row):
            self._leaf(row, key).add(row, self._prices(row.call, (usage for usage, _ in usages_of(row))))

    def _leaf(self, row: Row, group: str) -> Leaf:
        call = row.call
        group = _bounded(group, self._groups, _MOST_GROUPS)
        kind = Kind(
            call.request_model,
            call.response_model,
            call.provider,
            call.host,
            call.api,
            call.service_tier,
            call.processing,
        )
        if _bounded(kind.model, self._models, _MOST_MODELS) == OTHER:
            kind = Kind(None, OTHER, kind.provider, None, kind.api)
        key = _LeafKey(group, kind, row.phase, row.attempt, row.process)
        leaf = self._leaves.get(key)
        if leaf is None:
            leaf = self._leaves[key] = Leaf(*key)
        return leaf

    def groups(self, notes: Mapping[str, Mapping[str, Any]]) -> tuple[Group, ...]:
        by_group: dict[str, list[Leaf]] = {}
        for leaf in self._leaves.values():
            if leaf.group != _EVERY_CALL:
                by_group.setdefault(leaf.group, []).append(leaf)
        return tuple(_group(self._by, name, leaves, notes.get(name, NOTHING)) for name, leaves in by_group.items())

    def whole(self, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        """The groups that hold every call once: all of them, or the one for sums where the others overlap."""
        every = [leaf for leaf in self._leaves.values() if leaf.group == _EVERY_CALL]
        return (_group(self._by, _EVERY_CALL, every, NOTHING),) if every else groups


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
        _type_of(by, name),
        total_of(m.totals for m in models),
        models,
        {phase: total_of(leaf.totals() for leaf in some).known_cost() for phase, some in phases.items()},
        max(attempts if isinstance(attempts, int) else 1, *(leaf.try_ for leaf in leaves)),
        len({leaf.process for leaf in leaves}),
        outcome if isinstance(outcome, str) else None,
        file if isinstance(file, str) else _file_of(name),
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


def priced_as(book: Pricing, as_model: str) -> Callable[[Call, Iterable[Usage | None]], Iterator[Price]]:
    """Return a function that prices calls as if *as_model* had answered."""
    provider, colon, model = as_model.partition(":")

    def prices(call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        call = call._replace(
            request_model=model if colon else as_model, response_model=None, service_tier=None, processing=None
        )
        uncharged = (u if u is None or u.provider_cost is None else u._replace(provider_cost=None) for u in usages)
        return book.price_each(call._replace(host=None, provider=provider) if colon else call, uncharged)

    return prices


def _file_of(context: str) -> str | None:
    return context.partition("::")[0] if "::" in context else None


def _label(row: Row) -> str:
    return ", ".join(row.call.tags) or "(no label)"


def _day(row: Row) -> str:
    return datetime.fromtimestamp(row.call.started_s, UTC).strftime("%Y-%m-%d")


def _keys_of(by: By) -> Callable[[Row], Iterable[str]]:
    """What rows a call belongs to: one; or one for each of its tags, and that of every call."""
    if by == "tag":
        return lambda row: [*(row.call.tags or ("(no tag)",)), _EVERY_CALL]
    kind, _, name = by.partition(":")
    if kind == "tag":
        start = f"{name}="
        return lambda row: [
            next((tag[len(start) :] for tag in reversed(row.call.tags) if tag.startswith(start)), f"(no {name})")
        ]
    key = _KEYS[by]
    return lambda row: (key(row),)


_KEYS: Mapping[By, Callable[[Row], str]] = {
    "test": lambda row: row.context or OUTSIDE,
    "model": lambda row: row.call.model or "(no model)",
    "file": lambda row: _file_of(row.context or "") or row.context or OUTSIDE,
    "label": _label,
    "process": lambda row: row.process or "(unknown)",
    "day": _day,
}


def _type_of(by: By, name: str) -> GroupType:
    if by != "test":
        kind: Any = by.partition(":")[0]
        group_type: GroupType = kind
        return group_type
    if name.startswith("fixture:"):
        return "fixture"
    if name in (OUTSIDE, OTHER):
        return "outside"
    return "test" if "::" in name else "script"


@cache
def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("token-meter")
    except PackageNotFoundError:
        return "0"
