"""Compares BASE with HEAD: the changes, their causes, and whether the rules allow them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from token_meter._money import exactly
from token_meter.exceptions import ConfigError
from token_meter.report._change import Change
from token_meter.report._formatting import change_text, cost_text, counted, percent_text
from token_meter.report._pricing import Pricing
from token_meter.report._reprice import Repricer, is_priced_by
from token_meter.report._rule_checks import checks_of
from token_meter.report._rules import Rule, parse_rule
from token_meter.report._summary import ZERO, Check, Group, Summary, Totals, total_of
from token_meter.report._verdict import BROKEN, OK, Verdict, judge

__all__ = ["Change", "Diff", "Rule", "compare", "parse_rule"]

Prices: TypeAlias = Literal["head", "recorded"]
IfNoBase: TypeAlias = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Diff:
    """A whole comparison. Without a base there is only the head, and the headline says so.

    Attributes:
        base: the base with its recorded costs; `None` without one.
        changes: every group, the largest change first.
        total_base: sums of the base over all its groups, with the prices of the comparison.
        total_head: the same sums of the head.
        common_base: sums of the base over the groups of both sides, with the prices of the comparison.
        common_head: the same sums of the head.
        recorded_change: the change of their recorded costs; `None` if it is not known.
        price_change: the part of it that prices caused; `None` if not all calls were priced again.
        approximate: some tokens were priced again by averages.
        priced_by: the version of the compared prices: that of the head, unless both sides were priced again.
        age: commits between base and head.
    """

    base: Summary | None
    head: Summary
    changes: tuple[Change, ...]
    total_base: Totals
    total_head: Totals
    common_base: Totals
    common_head: Totals
    recorded_change: Decimal | None
    price_change: Decimal | None
    approximate: bool
    prices: Prices
    min_change: Decimal
    checks: tuple[Check, ...]
    verdict: Verdict
    priced_by: str
    age: int | None = None

    @property
    def total_change(self) -> Decimal | None:
        """How much more the whole run costs at equal prices; `None` if a side is a lower bound."""
        return _difference(self.total_base, self.total_head)

    @property
    def usage_change(self) -> Decimal | None:
        """The same of the groups that both sides have."""
        return _difference(self.common_base, self.common_head)

    @property
    def has_common(self) -> bool:
        """Whether a comparison is possible: the sides have a group in common, or are both empty."""
        return not self.changes or any(c.base is not None and c.head is not None for c in self.changes)

    @property
    def headline(self) -> str:
        """The one sentence: what both runs cost, new groups and those that are gone included."""
        if self.base is None:
            return f"no base to compare with; this run: {cost_text(self.head.totals)}"
        if not self.has_common:
            return f"no {self.head.what} in common with the base; this run: {cost_text(self.head.totals)}"
        return _sentence(self.total_change, self.total_base, self.total_head)

    @property
    def like_for_like(self) -> str | None:
        """The second sentence, of the groups that both sides have; `None` where these are all, or none."""
        common = [c for c in self.changes if c.state in ("changed", "same")]
        if len(common) == len(self.changes) or not self.has_common:
            return None
        new = [c.head for c in self.changes if c.state == "new" and c.head is not None]
        among = counted(len(common), self.head.what, "es" if self.head.what.endswith("s") else "s")
        text = f"like for like: {_sentence(self.usage_change, self.common_base, self.common_head)} in {among} of both"
        return f"{text}; {len(new):,} new: {cost_text(total_of(new))}" if new else text

    @property
    def listed(self) -> tuple[Change, ...]:
        """The changes worth a row: new, gone, not comparable, or changed by at least `min_change`."""
        return tuple(
            c
            for c in self.changes
            if c.state in ("new", "gone")
            or not c.comparable
            or ((c.cost or c.calls) and abs(c.cost) >= self.min_change)
        )


@exactly
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

    With `prices="head"` and a *book*, the tokens of both sides are priced by it: the remaining change is usage, and the
    change of prices is shown separately. Two reports with the same prices, of another version than *book*'s, are
    compared as recorded. Percentages are of the groups that both sides have.

    Raises:
        ConfigError: a rule is not valid, or the reports are grouped in different ways.
    """
    rules = [r if isinstance(r, Rule) else parse_rule(r) for r in fail_on]
    rules += [r._replace(warn=True) if isinstance(r, Rule) else parse_rule(r, warn=True) for r in warn_on]
    if base is None:
        verdict = _no_base(if_no_base, rules)
        nothing = Totals()
        return Diff(
            None,
            head,
            (),
            nothing,
            head.totals,
            nothing,
            nothing,
            None,
            None,
            False,
            prices,
            min_change,
            (),
            verdict,
            head.prices,
        )
    if base.by != head.by:
        msg = f"the base is grouped by {base.by} and the head by {head.by}; compare reports of one kind"
        raise ConfigError(msg)
    if "tag" in head.by.split(","):
        msg = "by tag, a call with two tags is in two rows, whose sum is no total; compare by tag:NAME, or by label"
        raise ConfigError(msg)
    of_base = of_head = None
    if prices == "head" and book is not None and not _are_alike_and_foreign(base, head, book):
        at_s = head.run.began_s or time.time()
        of_base, of_head = Repricer(book, base, at_s), Repricer(book, head, at_s)
    before = {g.id: g for g in base.groups}
    after = {g.id: g for g in head.groups}
    names = [*after, *(name for name in before if name not in after)]
    changes = [_change(name, before.get(name), after.get(name), of_base, of_head) for name in names]
    common = [c for c in changes if c.base is not None and c.head is not None]
    common_base = total_of(c.base for c in common if c.base is not None)
    common_head = total_of(c.head for c in common if c.head is not None)
    recorded = _difference(
        total_of(c.recorded for c in common if c.recorded is not None), total_of(after[c.id].totals for c in common)
    )
    usage = _difference(common_base, common_head)
    models = _models(before, after, of_base, of_head)
    checks = tuple(check for rule in rules for check in checks_of(rule, changes, models, head, min_change))
    return Diff(
        base,
        head,
        tuple(sorted(changes, key=lambda c: (-abs(c.cost), c.id))),
        total_of(c.base for c in changes if c.base is not None),
        total_of(c.head for c in changes if c.head is not None),
        common_base,
        common_head,
        recorded,
        None if of_base is None or recorded is None or usage is None else recorded - usage,
        any(side is not None and side.approximate for side in (of_base, of_head)),
        prices,
        min_change,
        checks,
        judge(checks),
        book.version if book is not None and of_base is not None else head.prices,
        age,
    )


def _are_alike_and_foreign(base: Summary, head: Summary, book: Pricing) -> bool:
    """Whether both sides were priced by the same book other than *book*; false for old reports, which do not say."""
    alike = (base.prices, base.digest) == (head.prices, head.digest) and base.digest != "unknown"
    return alike and not is_priced_by(book, head)


def _sentence(change: Decimal | None, base: Totals, head: Totals) -> str:
    """A change in a few words, and the sums that it lies between."""
    if change is None:
        words = "change unknown"
    else:
        percent = percent_text(change, base.cost)
        words = f"{change_text(change)}{f' ({percent})' if percent else ''}" if change else "no change"
    return f"{words}, {cost_text(base)} -> {cost_text(head)}"


def _difference(base: Totals, head: Totals) -> Decimal | None:
    return None if base.open or head.open else head.cost - base.cost


def _change(
    name: str, base: Group | None, head: Group | None, of_base: Repricer | None, of_head: Repricer | None
) -> Change:
    recorded = base.totals if base is not None else None
    priced = recorded if base is None or of_base is None else of_base.group(base)
    now = (of_head.group(head) if of_head is not None else head.totals) if head is not None else None
    comparable = not (priced is not None and priced.open) and not (now is not None and now.open)
    if priced is None:
        return Change(name, "new", None, now, None, comparable)
    if now is None:
        return Change(name, "gone", priced, None, recorded, comparable)
    same = (priced.cost, priced.calls, priced.tokens) == (now.cost, now.calls, now.tokens)
    return Change(name, "same" if same else "changed", priced, now, recorded, comparable)


def _models(
    before: Mapping[str, Group], after: Mapping[str, Group], of_base: Repricer | None, of_head: Repricer | None
) -> dict[str, tuple[Totals, Totals]]:
    """The sums of each model over the groups of both sides."""
    found: dict[str, tuple[Totals, Totals]] = {}
    none = Totals()
    for name in before.keys() & after.keys():
        for line in before[name].models:
            old, new = found.get(line.kind.model, (none, none))
            found[line.kind.model] = (old + (of_base.line(line) if of_base else line.totals), new)
        for line in after[name].models:
            old, new = found.get(line.kind.model, (none, none))
            found[line.kind.model] = (old, new + (of_head.line(line) if of_head else line.totals))
    return found


def _no_base(if_no_base: IfNoBase, rules: list[Rule]) -> Verdict:
    headline = "token_meter: no base to compare with"
    if rules:
        headline += f"; {len(rules)} rule{'' if len(rules) == 1 else 's'} not judged"
    if if_no_base == "fail":
        return Verdict("exceeded", headline, headline, BROKEN)
    return Verdict("warn" if if_no_base == "warn" else "unknown", headline, headline, OK)
