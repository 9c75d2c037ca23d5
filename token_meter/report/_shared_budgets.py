"""The budgets of a store as lines of a report, beside the limits of its run. They judge nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from token_meter._text import visible
from token_meter.budget.amounts import shown
from token_meter.exceptions import BudgetStoreError
from token_meter.report._summary import Check, Notice, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from token_meter.budget.stored import StoredBudget

_MOST = 20
"""Lines of budgets in a report; `token-meter budget list` shows all."""


def lines_of(budgets: Iterable[StoredBudget]) -> tuple[tuple[Check, ...], tuple[Notice, ...]]:
    """The budgets that are most nearly spent, and what a reader has to know about the others."""
    try:
        found = sorted((check for budget in budgets for check in _of(budget)), key=_left)
    except BudgetStoreError as error:
        return (), (Notice("budget_store", f"no shared budgets are shown: {error}"),)
    more = len(found) - _MOST
    told = f"{more:,} more limits of shared budgets are not shown; `token-meter budget list` shows all"
    return tuple(found[:_MOST]), (Notice("budgets_left_out", told),) if more > 0 else ()


def _of(budget: StoredBudget) -> Iterator[Check]:
    where = f"budget {visible(budget.name)} ({budget.period.shown(budget.window)})"
    for field, limit in budget.limits._asdict().items():
        if limit is None:
            continue
        spent, held = (getattr(amounts, field) or 0 for amounts in (budget.spent, budget.held))
        text = f"{where} has spent {shown(field, spent)} of {shown(field, limit)}"
        if limit:
            text += f" ({spent / limit:.0%})"
        if held:
            text += f", {shown(field, held)} held by calls in flight"
        status: Status = "warn" if spent >= limit else "ok"
        yield Check(f"budget {budget.name}", field, Decimal(limit), Decimal(spent), status, text)


def _left(check: Check) -> tuple[Decimal, str]:
    return (check.actual / check.limit * -1 if check.limit else Decimal("-Infinity")), check.scope
