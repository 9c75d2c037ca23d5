"""BASE against HEAD: what changed, why, and whether it may. It knows no file and no format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from token_meter._money import format_usd
from token_meter.exceptions import ConfigError
from token_meter.report._change import Change
from token_meter.report._collect import Pricing
from token_meter.report._judging import checks_of
from token_meter.report._reprice import Repricer
from token_meter.report._rules import Rule, parse_rule
from token_meter.report._show import change_text, cost_text, percent_text
from token_meter.report._summary import ZERO, Check, Group, Summary, Totals, total_of
from token_meter.report._verdict import BROKEN, OK, Verdict, judge

__all__ = ["Change", "Diff", "Rule", "compare", "parse_rule"]

Prices: TypeAlias = Literal["head", "recorded"]
IfNoBase: TypeAlias = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Diff:
    """A whole comparison. With no base there is nothing but the head, and the words say so.

    Attributes:
        base: the base as it was recorded; `None` when there is none.
        changes: every group, the largest change first.
        common_base: sums over the groups that both sides have, priced as the comparison is.
        common_head: the same of the head.
        price_change: what the base's tokens cost more at the head's prices; `None` when nobody asked.
        approximate: some of the base's tokens could only be priced again as averages.
        age: commits between base and head.
    """

    base: Summary | None
    head: Summary
    changes: tuple[Change, ...]
    common_base: Totals
    common_head: Totals
    price_change: Decimal | None
    approximate: bool
    prices: Prices
    min_change: Decimal
    checks: tuple[Check, ...]
    verdict: Verdict
    age: int | None = None

    @property
    def usage_change(self) -> Decimal:
        """What the tests that both sides have cost more, prices aside."""
        return self.common_head.cost - self.common_base.cost

    @property
    def has_common(self) -> bool:
        """Whether there is anything to compare: a group that both sides have, or nothing on either side."""
        return not self.changes or any(c.base is not None and c.head is not None for c in self.changes)

    @property
    def headline(self) -> str:
        """The one sentence."""
        if self.base is None:
            return f"no base to compare with; this run: {cost_text(self.head.totals)}"
        if not self.has_common:
            return f"no {self.head.by} in common with the base; this run: {cost_text(self.head.totals)}"
        change = self.usage_change
        percent = percent_text(change, self.common_base.cost)
        shown = change_text(change) if change else "no change"
        span = f"{format_usd(self.common_base.cost)} -> {format_usd(self.common_head.cost)}"
        return f"{shown}{f' ({percent})' if percent and change else ''}, {span}"

    @property
    def listed(self) -> tuple[Change, ...]:
        """The changes worth a row: what is new, gone, not comparable, or changed by at least `min_change`."""
        return tuple(
            c
            for c in self.changes
            if c.state in ("new", "gone")
            or not c.comparable
            or ((c.cost or c.calls) and abs(c.cost) >= self.min_change)
        )


def compare(
    base: Summary | None,
    head: Summary,
    *,
    book: Pricing | None = None,
    fail_on: Iterable[str | Rule] = (),
    warn_on: Iterable[str | Rule] = (),
    min_change: Decimal = ZERO,
    prices: Prices = "head",
    if_no_base: IfNoBase = "pass",
    age: int | None = None,
) -> Diff:
    """Compare two reports.

    With `prices="head"` and a *book*, the base's tokens are priced by it too: what is left is a change of usage, and
    the change of prices is told apart. Percentages are over the groups that both have.

    Raises:
        ConfigError: a rule cannot be meant, or the reports are grouped in different ways.
    """
    rules = [r if isinstance(r, Rule) else parse_rule(r) for r in fail_on]
    rules += [r._replace(warn=True) if isinstance(r, Rule) else parse_rule(r, warn=True) for r in warn_on]
    if base is None:
        verdict = _no_base(if_no_base, rules)
        nothing = Totals()
        return Diff(None, head, (), nothing, nothing, None, False, prices, min_change, (), verdict, None)
    if base.by != head.by:
        msg = f"the base is grouped by {base.by} and the head by {head.by}; compare reports of one kind"
        raise ConfigError(msg)
    repricer = Repricer(book, head) if prices == "head" and book is not None else None
    before = {g.id: g for g in base.groups}
    after = {g.id: g for g in head.groups}
    names = [*after, *(name for name in before if name not in after)]
    changes = [_change(name, before.get(name), after.get(name), repricer) for name in names]
    common = [c for c in changes if c.base is not None and c.head is not None]
    common_base = total_of(c.base for c in common if c.base is not None)
    common_head = total_of(c.head for c in common if c.head is not None)
    recorded = total_of(c.recorded for c in common if c.recorded is not None)
    models = _models(before, after, repricer)
    checks = tuple(check for rule in rules for check in checks_of(rule, changes, models, head, min_change))
    return Diff(
        base,
        head,
        tuple(sorted(changes, key=lambda c: (-abs(c.cost), c.id))),
        common_base,
        common_head,
        None if repricer is None else common_base.cost - recorded.cost,
        repricer is not None and repricer.approximate,
        prices,
        min_change,
        checks,
        judge(checks),
        age,
    )


def _change(name: str, base: Group | None, head: Group | None, repricer: Repricer | None) -> Change:
    recorded = base.totals if base is not None else None
    priced = recorded if base is None or repricer is None else repricer.group(base)
    now = head.totals if head is not None else None
    comparable = not (priced is not None and priced.unpriced) and not (now is not None and now.unpriced)
    if priced is None:
        return Change(name, "new", None, now, None, comparable)
    if now is None:
        return Change(name, "gone", priced, None, recorded, comparable)
    same = (priced.cost, priced.calls, priced.tokens) == (now.cost, now.calls, now.tokens)
    return Change(name, "same" if same else "changed", priced, now, recorded, comparable)


def _models(
    before: Mapping[str, Group], after: Mapping[str, Group], repricer: Repricer | None
) -> dict[str, tuple[Totals, Totals]]:
    """Sum each model over the groups that both sides have."""
    found: dict[str, tuple[Totals, Totals]] = {}
    none = Totals()
    for name in before.keys() & after.keys():
        for line in before[name].models:
            old, new = found.get(line.kind.model, (none, none))
            found[line.kind.model] = (old + (repricer.line(line) if repricer else line.totals), new)
        for line in after[name].models:
            old, new = found.get(line.kind.model, (none, none))
            found[line.kind.model] = (old, new + line.totals)
    return found


def _no_base(if_no_base: IfNoBase, rules: list[Rule]) -> Verdict:
    headline = "token_meter: no base to compare with"
    if rules:
        headline += f"; {len(rules)} rule{'' if len(rules) == 1 else 's'} not judged"
    if if_no_base == "fail":
        return Verdict("exceeded", headline, headline, BROKEN)
    return Verdict("warn" if if_no_base == "warn" else "unknown", headline, headline, OK)
