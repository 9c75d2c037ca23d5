"""The limits of a run: budgets of all its processes together, in a SQLite file next to the shards."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter.budget.amounts import Amounts, parse_limits
from token_meter.budget.shared import Budget, nano_of
from token_meter.exceptions import BudgetStoreError, LedgerError
from token_meter.ledger._place import make_run_dir
from token_meter.stores import (
    Answer,
    AsyncBudgetStore,
    BudgetRow,
    BudgetStore,
    LeaseRequest,
    LeaseRow,
    MemoryBudgetStore,
    Settlement,
    StoreAsk,
    StoreError,
    StoreState,
    Units,
    Window,
)
from token_meter.stores.rule import total
from token_meter.stores.sqlite import SQLiteBudgetStore

if TYPE_CHECKING:
    from token_meter.ledger import RunReader
    from token_meter.prices import PriceBook

FILE = "budgets.db"
_WAIT_S = 2.0
"""Seconds that a call waits for other processes of the run, which the run then says it could not be judged without."""


class RunStore:
    """The store of a run. It is made with the first call, and kept in this process alone where that fails."""

    def __init__(self, run_dir: Path) -> None:
        self.label = f"of the run in {run_dir}"
        self._run_dir = run_dir
        self._store: BudgetStore | None = None

    def _opened(self) -> BudgetStore:
        if self._store is None:
            store: BudgetStore = SQLiteBudgetStore(self._run_dir / FILE, wait_s=_WAIT_S)
            try:
                make_run_dir(self._run_dir)
                store.read(())
            except (StoreError, OSError, LedgerError):  # the ledger cannot be written either, and the run says so
                store = MemoryBudgetStore()
            self._store = store
        return self._store

    def step(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """See `BudgetStore`."""
        return self._opened().step(settlements, request, epoch)

    async def astep(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """See `AsyncBudgetStore`."""
        store = self._opened()
        if isinstance(store, AsyncBudgetStore):
            return await store.astep(settlements, request, epoch)
        return store.step(settlements, request, epoch)

    def read(self, windows: Sequence[Window]) -> Answer:
        """See `BudgetStore`. A run without a call has no file, and gets none by being read."""
        if self._store is None and not (self._run_dir / FILE).exists():
            return Answer("done", 0, "", tuple(StoreState() for _ in windows))
        return self._opened().read(windows)

    def put(self, window: Window, spent: Units, definition: str = "") -> None:
        """See `BudgetStore`."""
        self._opened().put(window, spent, definition)

    def budgets(self) -> list[BudgetRow]:
        """See `BudgetStore`."""
        return self._opened().budgets()

    def leases(self) -> list[LeaseRow]:
        """See `BudgetStore`."""
        return self._opened().leases()

    def close(self) -> None:
        """Close the file."""
        if self._store is not None:
            self._store.close()


class RunBudget(Budget):
    """A limit of a run. Calls whose size cannot be estimated may run in parallel, as those of a suite do.

    With *live_only*, only the cost of live calls counts. If answers may come from a cassette or a mock, it is not known
    before a call is sent whether it is live. Then `reserves` is false: only spent money counts, and the calls in flight
    when the limit is reached overshoot it.
    """

    largest = 2**62

    def __init__(
        self,
        name: str,
        limits: Amounts,
        store: RunStore,
        *,
        live_only: bool = False,
        failed: Callable[[str], None] = lambda _: None,
    ) -> None:
        cost, tokens, calls = limits
        super().__init__(
            name, max_cost=cost, max_tokens=tokens, max_calls=calls, store=store, on_store_error="send"
        )  # fmt: skip
        self.live_only = live_only
        self._failed = failed

    @property
    def reserves(self) -> bool:
        """Whether calls reserve budget before they are sent."""
        return not self.live_only or not {"pytest", "vcr", "respx"} & sys.modules.keys()

    def ask(self, now_ms: int, wanted: Amounts, *, is_enforced: bool) -> StoreAsk:
        """What a call asks: the smallest amount for one that is not known, which passes until the limit is reached."""
        if not self.reserves:
            window = self.period.window(self.name, now_ms)
            return StoreAsk(window, Units(None, None, None), Units(0, 0, 1), is_enforced, self.definition)
        asked = super().ask(now_ms, wanted, is_enforced=is_enforced)
        return asked._replace(wanted=Units(*(1 if amount is None else amount for amount in asked.wanted)))

    def counts(self, call: Any) -> bool:
        """Whether what a call used counts."""
        return not self.live_only or call.source == "live"

    def field_over(self, state: StoreState, wanted: Amounts) -> str | None:
        """The cost, where nothing is reserved and more than the limit has been spent."""
        limit = self.limits.cost
        if self.reserves or limit is None or wanted.cost == 0:
            return None
        return "nano_usd" if (state.spent.nano_usd or 0) > nano_of(limit, up=False) else None

    def over(self) -> str | None:
        """The field of which more than the limit has been spent. Never raises: what cannot be read is not over."""
        try:
            spent = self.read().spent
        except BudgetStoreError:
            return None
        for field, limit, used in zip(Amounts._fields, self.limits, spent, strict=True):
            if limit is not None and used is not None and used > limit:
                return "spent" if self.live_only else field
        return None

    def described(self) -> str:
        """Messages name the run, not this budget."""
        return ""

    def store_failed(self, error: BudgetStoreError) -> None:
        """Let the run say that its limits were not shared; its programs go on without a word of ours."""
        self._failed(f"limits not shared: {error.__cause__ or error}")


def budgets_of(settings: Mapping[str, Any], run_dir: Path, failed: Callable[[str], None]) -> list[RunBudget]:
    """The limits of a table of `max_*` settings: those on all calls, and the one on what live calls cost."""
    store = RunStore(run_dir)
    limits = parse_limits(*(settings.get(f"max_{field}") for field in Amounts._fields))
    spend = parse_limits(settings.get("max_spend"))
    rows = (("pytest", limits, False), ("spend", spend, True))
    return [
        RunBudget(name, amounts, store, live_only=live_only, failed=failed)
        for name, amounts, live_only in rows
        if amounts is not None
    ]


def share(meter: Any, budget: RunBudget) -> None:
    """Let all processes of the run share the limits of *meter*."""
    if meter.budget is not None:
        meter.budget.account.limits = Amounts()
        meter.budget.shared = (budget,)


def count_earlier(budgets: Sequence[RunBudget], rows: RunReader, book: PriceBook) -> None:
    """Count what a run that is continued has used before."""
    spent = {budget: Units() for budget in budgets}
    for row in rows:
        call = row.call
        for usage, n in row.usages or ((call.usage, row.calls),):
            cost = book.price(call._replace(usage=usage)).cost if usage is not None else None
            # An SDK's retries belong to one call.
            tokens, calls = (usage.total_tokens or 0 if usage is not None else 0), n * (call.attempt == 0)
            used = Units(n * nano_of(cost or Decimal(0), up=False), n * tokens, calls)
            for budget, before in spent.items():
                if budget.counts(call):
                    spent[budget] = total((before, used))
    for budget, amounts in spent.items():
        budget.client.store.put(budget.period.window(budget.name, 0), amounts)
