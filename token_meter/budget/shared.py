"""A budget that outlasts a meter and that processes share: its limits, its period, its store."""

from __future__ import annotations

import json
from copy import copy
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from token_meter._defaults import default_store
from token_meter._money import EXACT
from token_meter.budget.amounts import Amounts, parse_limits, shown
from token_meter.budget.periods import Period
from token_meter.budget.store_client import CLIENTS, StoreClient
from token_meter.exceptions import BudgetStoreError, ConfigError, LedgerError
from token_meter.stores import BudgetStore, StoreAsk, StoreState, Units, Window
from token_meter.stores.addresses import store_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from token_meter.types import Call

_NANO = 9


class BudgetState(NamedTuple):
    """What a budget has spent in its present window.

    Attributes:
        spent: what finished calls used, plus `lost`.
        held: what calls in flight may still use.
        lost: what calls had reserved whose process did not end them within the lease; a late end corrects it.
        remaining: what one more call may use; `None` in a field without a limit.
        starts_at: the begin of the window; `None` for a total.
        resets_at: its end.
    """

    spent: Amounts
    held: Amounts
    lost: Amounts
    remaining: Amounts
    starts_at: datetime | None
    resets_at: datetime | None


class Budget:
    """A limit that processes and machines share: `meter(budgets=[Budget("team:search", max_cost=500, per="month")])`.

    A call reserves in all budgets of all open meters, or is refused before it is sent.

    Args:
        name: the budget's name in its store. Programs that name it share it.
        max_cost: US dollars that may be spent in each period; at most 9 million.
        max_tokens: the same in tokens, of prompts and answers together.
        max_calls: the same in calls; an SDK's retries belong to one call.
        per: `total`, `minute`, `hour`, `day`, `month`, or `rolling:24h`; by the store's clock.
        tz: where days and months begin: `UTC`, a zone such as `Europe/Berlin`, or an offset such as `+02:00`.
        store: `redis://...`, `valkey://...`, `sqlite:///file.db`, or a `BudgetStore`. Default:
            `token_meter.configure(store=...)`, `TOKEN_METER_STORE`, pyproject.toml, else a file in `.token_meter`.
        on_store_error: what to do with a call while the store does not answer: `refuse` it with a `BudgetStoreError`,
            or `send` it, and settle it when the store answers again.

    Raises:
        ConfigError: an argument is not valid, or the store's package is not installed.
    """

    largest = 2**53 - 1
    """Redis compares amounts as doubles, which are exact up to here: 9.0 million dollars."""

    def __init__(
        self,
        name: str,
        *,
        max_cost: Decimal | str | float | None = None,
        max_tokens: int | str | None = None,
        max_calls: int | str | None = None,
        per: str = "total",
        tz: str = "UTC",
        store: BudgetStore | str | None = None,
        on_store_error: Literal["refuse", "send"] = "refuse",
    ) -> None:
        if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name) <= 200:
            msg = f"a budget's name must be 1 to 200 printable characters, not {name!r}"
            raise ConfigError(msg)
        if on_store_error not in ("refuse", "send"):
            msg = f"on_store_error must be 'refuse' or 'send', not {on_store_error!r}"
            raise ConfigError(msg)
        limits = parse_limits(max_cost, max_tokens, max_calls)
        if limits is None:
            msg = f"budget {name!r} needs a limit: max_cost=, max_tokens= or max_calls="
            raise ConfigError(msg)
        self.name = name
        self.limits = limits
        self.period = Period(per, tz)
        self.is_needed = on_store_error == "refuse"
        self.client = client_of(default_store_made() if store is None else store)
        self._limit = Units(
            None if limits.cost is None else nano_of(limits.cost, up=False), limits.tokens, limits.calls
        )
        if any(amount is not None and amount > self.largest for amount in self._limit):
            msg = f"budget {name!r}: a limit may be at most $9,000,000, or {self.largest:,} tokens or calls"
            raise ConfigError(msg)
        self.definition = json.dumps(
            {**{f"max_{field}": str(x) for field, x in limits._asdict().items() if x is not None}, "per": per, "tz": tz}
        )

    def read(self) -> BudgetState:
        """What has been spent in the present window, over all processes.

        Raises:
            BudgetStoreError: the store does not answer.
        """
        window, answer = self.client.read(lambda now_ms: self.period.window(self.name, now_ms))
        return self.state_of(window, answer.states[0])

    @property
    def remaining(self) -> Amounts:
        """What one more call may use; `None` in a field without a limit.

        Raises:
            BudgetStoreError: the store does not answer.
        """
        return self.read().remaining

    def state_of(self, window: Window, state: StoreState) -> BudgetState:
        """The state of a window, in the words of users."""
        left = (
            None if limit is None else max(0, limit - (spent or 0) - (held or 0))
            for limit, spent, held in zip(self._limit, state.spent, state.held, strict=True)
        )
        begin, end = (
            datetime.fromtimestamp(ms / 1000, UTC) if window.end_ms else None for ms in (window.start_ms, window.end_ms)
        )
        spent, held, lost = map(amounts_of, (state.spent, state.held, state.lost))
        return BudgetState(spent, held, lost, amounts_of(Units(*left)), begin, end)

    def ask(self, now_ms: int, wanted: Amounts, *, is_enforced: bool) -> StoreAsk:
        """What a call asks of the store at this moment."""
        units = Units(None if wanted.cost is None else nano_of(wanted.cost, up=True), wanted.tokens, wanted.calls)
        if self._limit.nano_usd is None:  # its cost was not looked up
            units = units._replace(nano_usd=0 if units.nano_usd is None else units.nano_usd)
        if self._limit.tokens is None and units.tokens is None:
            units = units._replace(tokens=0)
        return StoreAsk(self.period.window(self.name, now_ms), self._limit, units, is_enforced, self.definition)

    def described(self) -> str:
        """How messages name it."""
        return f"budget {self.name!r} ({self.period.shown(self.period.window(self.name, self.client.now_ms()))})"

    def in_short(self) -> str:
        """What it has spent in the present window, for a meter's text; empty for a budget without a name of its own."""
        where = self.described()
        if not where:
            return ""
        try:
            state = self.read()
        except BudgetStoreError:
            return f"{where}: its store does not answer"
        told = (
            f"{shown(field, getattr(state.spent, field))} of {shown(field, limit)}"
            for field, limit in self.limits._asdict().items()
            if limit is not None
        )
        return f"{where}: {', '.join(told)}"

    def nearly_spent(self, state: StoreState, share: Decimal) -> Iterator[tuple[str, str]]:
        """The fields of which that share of the limit is spent, each with a text that says so."""
        for field, limit, used in zip(Amounts._fields, self._limit, state.spent, strict=True):
            if limit and used is not None and used >= limit * share:
                spent, whole = getattr(amounts_of(state.spent), field), getattr(self.limits, field)
                yield field, f"{self.described()} has used {shown(field, spent)} of its limit of {shown(field, whole)}"

    def tightened(self, other: Budget) -> Budget:
        """This budget with the lower limits of both, which share a window."""
        found = copy(self)
        found.limits = Amounts(*map(_lower, self.limits, other.limits))
        found._limit = Units(*map(_lower, self._limit, other._limit))
        found.is_needed = self.is_needed or other.is_needed
        return found

    def store_failed(self, error: BudgetStoreError) -> None:
        """Say that calls are sent while the store does not answer, once in each outage."""
        self.client.warn("down", f"{error}".replace("The call was not sent", "Calls are sent all the same"))

    def counts(self, call: Call) -> bool:
        """Whether what *call* used counts against this budget."""
        return True

    def field_over(self, state: StoreState, wanted: Amounts) -> str | None:
        """A field that is spent, for a budget that reserves nothing: the store has not looked at it."""
        return None

    def __repr__(self) -> str:
        return f"Budget({self.name!r}, {self.definition}, store={self.client.store.label!r})"


def _lower(mine: Any, other: Any) -> Any:
    return other if mine is None else mine if other is None else min(mine, other)


def nano_of(cost: Decimal, *, up: bool) -> int:
    """US dollars in nano-dollars: rounded up where it is reserved, to the nearest where it was used."""
    scaled = cost.scaleb(_NANO, context=EXACT)
    return int(scaled.to_integral_value(ROUND_CEILING if up else ROUND_HALF_EVEN, context=EXACT))


def amounts_of(units: Units) -> Amounts:
    """Nano-dollars in US dollars."""
    cost = None if units.nano_usd is None else Decimal(units.nano_usd).scaleb(-_NANO, context=EXACT)
    return Amounts(cost, units.tokens, units.calls)


def default_store_made() -> object:
    """The default store. For a file in the data directory, the directory is made.

    Raises:
        ConfigError: it cannot be made.
    """
    store = default_store()
    if isinstance(store, str) and store.startswith("sqlite:///"):
        from token_meter.ledger._place import make_data_dir

        try:
            make_data_dir(Path(store.removeprefix("sqlite:///")).parent)
        except (OSError, LedgerError) as error:
            msg = f"no budget store can be made at {store}: {error}; name another one with Budget(store=...)"
            raise ConfigError(msg) from error
    return store


def client_of(store: object) -> StoreClient:
    """This process's client of a store, or of the store at an address.

    Raises:
        ConfigError: it is neither.
    """
    if isinstance(store, str):
        store = store_at(store)
    if not isinstance(store, BudgetStore):
        msg = f"store must be an address such as redis://host:6379/0 or sqlite:///budgets.db, not {store!r}"
        raise ConfigError(msg)
    return next((client for client in CLIENTS if client.store is store), None) or StoreClient(store)


def budgets_of(given: Iterable[Any]) -> tuple[Budget, ...]:
    """The budgets of a meter.

    Raises:
        ConfigError: one of them is not a `Budget`.
    """
    found = tuple(given) if not isinstance(given, (str, Budget)) else (given,)
    for one in found:
        if not isinstance(one, Budget):
            msg = f"budgets must be token_meter.Budget objects, not {one!r}"
            raise ConfigError(msg)
    return found
