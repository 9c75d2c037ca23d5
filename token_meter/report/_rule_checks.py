"""Checks rules against the changes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from token_meter.report._change import Change
from token_meter.report._formatting import change_text, counted, percent_text, visible
from token_meter.report._rules import Rule
from token_meter.report._summary import ZERO, Check, Status, Summary, Totals, total_of

_MONEY = ("cost", "spent")


def checks_of(
    rule: Rule, changes: list[Change], models: Mapping[str, tuple[Totals, Totals]], head: Summary, floor: Decimal
) -> list[Check]:
    common = [c for c in changes if c.base is not None and c.head is not None]
    new = [c for c in changes if c.state == "new"]
    if rule.field == "unpriced":
        return _unpriced(rule, changes, models, head)
    if rule.scope == "new":
        found = [_judge_one(rule, c.id, Totals(), c.head or Totals(), floor, c.id) for c in new]
    elif rule.scope == "test":
        found = [_judge_one(rule, c.id, c.base or Totals(), c.head or Totals(), floor, c.id) for c in common]
    elif rule.scope == "model":
        found = [_judge_one(rule, name, old, now, floor, None) for name, (old, now) in models.items()]
    else:
        # Percentages compare groups of both sides. Dollars also count new groups, but gone groups offset nothing.
        counted = common if rule.relative else [*common, *new]
        old = total_of(c.base for c in counted if c.base is not None)
        return [_judge_one(rule, "total", old, total_of(c.head for c in counted if c.head is not None), floor, None)]
    notable = sorted((c for c in found if c.status != "ok"), key=lambda c: -abs(c.actual))
    return notable or [_holds(rule, len(found))]


def _judge_one(rule: Rule, scope: str, old: Totals, now: Totals, floor: Decimal, culprit: str | None) -> Check:
    before, after = _value(old, rule.field), _value(now, rule.field)
    change = after - before
    money = rule.field in _MONEY
    doubtful = any(t.live_open if rule.field == "spent" else t.open for t in (old, now))
    found = change
    if rule.relative:
        # A change from 0 has no percentage; `new.cost` or an absolute limit judges it.
        found = change / before * 100 if before > 0 else ZERO
    exceeded = found < rule.limit if rule.limit < 0 else found > rule.limit
    if rule.relative:
        found = round(found, 9)
    if exceeded and not doubtful and abs(now.cost - old.cost) < floor:
        exceeded = False
    status: Status = ("warn" if rule.warn else "exceeded") if exceeded else "ok"
    if doubtful and money and (not exceeded or old.open or rule.limit < 0):
        text = f"{visible(scope)}: {rule.text} cannot be judged: calls without a price"
        return Check(scope, rule.field, rule.limit, found, "unknown", text, rule.text, culprit)
    shown = change_text(change) if money else f"{change:+,}"
    percent = percent_text(change, before)
    if doubtful and money:  # over the limit, by an unknown amount
        shown, percent = f"at least {shown}", None
    text = f"{visible(scope)}: {rule.field} {shown}{f' ({percent})' if percent and change else ''}"
    text += f", {'within' if status == 'ok' else 'over'} {rule.text}"
    if exceeded and rule.limit < 0:
        text += ": it fell; refresh the baseline"
    return Check(scope, rule.field, rule.limit, found, status, text, rule.text, culprit)


def _unpriced(
    rule: Rule, changes: list[Change], models: Mapping[str, tuple[Totals, Totals]], head: Summary
) -> list[Check]:
    # By the recorded prices of the head, so that gaps of another price book do not count.
    common = {c.id for c in changes if c.base is not None and c.head is not None}
    if rule.scope == "total":
        counts = {"total": head.totals.open}
    elif rule.scope == "model":
        counts = dict.fromkeys(models, 0)
        for group in head.groups:
            for line in group.models if group.id in common else ():
                counts[line.kind.model] += line.totals.open
    else:
        wanted = (lambda name: name not in common) if rule.scope == "new" else common.__contains__
        counts = {g.id: g.totals.open for g in head.groups if wanted(g.id)}
    bad: Status = "warn" if rule.warn else "exceeded"
    over = [
        Check(name, "unpriced", rule.limit, Decimal(n), bad,
              f"{visible(name)}: {counted(n, 'call')} unpriced, over {rule.text}",
              rule.text, None if name == "total" else name)
        for name, n in counts.items()
        if n > rule.limit
    ]  # fmt: skip
    return over or [_holds(rule, len(counts))]


def _holds(rule: Rule, among: int) -> Check:
    return Check(rule.scope, rule.field, rule.limit, ZERO, "ok", f"{rule.text} holds ({among} compared)", rule.text)


def _value(totals: Totals, field: str) -> Decimal:
    value: Decimal | int = totals.total_tokens if field == "tokens" else getattr(totals, field)
    return Decimal(value)
