"""A budget as its store knows it, without the program that named it: for lists, corrections and a new start."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from token_meter.budget.amounts import Amounts, parse_limits
from token_meter.budget.periods import Period
from token_meter.budget.shared import amounts_of, nano_of
from token_meter.exceptions import BudgetStoreError, ConfigError
from token_meter.stores import BudgetRow, BudgetStore, LeaseRow, Settlement, StoreError, StoreState, Units, Window
from token_meter.stores.protocol import checked
from token_meter.stores.rule import total


class StoredBudget(NamedTuple):
    """One budget in its present window.

    Attributes:
        name: its name.
        limits: its limits, as the program gave them that used it last.
        period: when it starts again.
        window: the present window.
        spent: what finished calls used, plus `lost`.
        held: what calls in flight may still use.
        lost: what calls reserved that did not end within their lease.
    """

    name: str
    limits: Amounts
    period: Period
    window: Window
    spent: Amounts
    held: Amounts
    lost: Amounts

    @classmethod
    def of(cls, row: BudgetRow, store: BudgetStore, now_ms: int) -> StoredBudget:
        """The budget of a row."""
        told: dict[str, Any] = json.loads(row.definition or "{}")
        limits = parse_limits(*(told.get(f"max_{field}") for field in Amounts._fields)) or Amounts()
        period = Period(told.get("per", "total"), told.get("tz", "UTC"))
        window = period.window(row.name, now_ms)
        state: StoreState = checked(store.read([window])).states[0]
        return cls(row.name, limits, period, window, *map(amounts_of, (state.spent, state.held, state.lost)))

    def put(self, store: BudgetStore, spent: Amounts) -> None:
        """Set what was spent in the present window."""
        store.put(self.window, Units(nano_of(spent.cost or Decimal(0), up=False), spent.tokens or 0, spent.calls or 0))


class StoredBudgets:
    """All budgets of a store.

    Every method raises a `BudgetStoreError` if the store does not answer.
    """

    def __init__(self, store: BudgetStore) -> None:
        self._store = store

    def __iter__(self) -> Iterator[StoredBudget]:
        try:
            now = checked(self._store.read(())).now_ms
            yield from [StoredBudget.of(row, self._store, now) for row in self._store.budgets()]
        except StoreError as error:
            raise self._failed(error) from error

    def find(self, name: str, period: Period | None = None) -> StoredBudget:
        """The budget *name*. With *period*, also one that a store has forgotten.

        Raises:
            ConfigError: the store does not know it.
        """
        found = {budget.name: budget for budget in self}
        if name in found:
            return found[name]
        if period is not None:
            now = checked(self._store.read(())).now_ms
            return StoredBudget(name, Amounts(), period, period.window(name, now), Amounts(), Amounts(), Amounts())
        from token_meter._text import suggestion

        msg = f"no budget {name!r} in {self._store.label}{suggestion(name, found)}"
        raise ConfigError(msg)

    def leases(self, name: str) -> list[LeaseRow]:
        """The calls that hold something of the budget *name*."""
        try:
            return [row for row in self._store.leases() if any(c.window.budget == name for c in row.charges)]
        except StoreError as error:
            raise self._failed(error) from error

    def put(self, budget: StoredBudget, spent: Amounts) -> None:
        """Set what was spent in the present window, and let programs go on that have seen the store emptied."""
        try:
            budget.put(self._store, spent)
        except StoreError as error:
            raise self._failed(error) from error

    def seed(self, budget: StoredBudget, used: Iterable[tuple[float, Amounts]]) -> Amounts:
        """Set what was spent to the sum of *used*: when, in seconds since the epoch, and what. It may be repeated."""
        windows = {window: Units() for window in (budget.window, *budget.window.before())}
        for started_s, amounts in used:
            units = Units(nano_of(amounts.cost or Decimal(0), up=False), amounts.tokens, amounts.calls)
            for window, before in windows.items():
                if not window.end_ms or window.start_ms <= started_s * 1000 < window.end_ms:
                    windows[window] = total((before, units))
        try:
            for window, spent in windows.items():
                self._store.put(window, spent)
        except StoreError as error:
            raise self._failed(error) from error
        return amounts_of(total(windows.values()))

    def release(self, id: str) -> None:
        """Take back what a call holds, or has lost.

        Raises:
            ConfigError: no call has this id.
        """
        try:
            if id not in {row.id for row in self._store.leases()}:
                msg = f"no call {id!r} holds anything in {self._store.label}"
                raise ConfigError(msg)
            self._store.step([Settlement(id)], None)
        except StoreError as error:
            raise self._failed(error) from error

    def _failed(self, error: StoreError) -> BudgetStoreError:
        why = f"{error}".rstrip(".")
        return BudgetStoreError(f"the budget store {self._store.label} cannot be used: {why}; start it or use another")
