"""Stores for budgets that outlast a meter or are shared: the Protocol, and an implementation in memory.

Amounts are integers, so that they add up without error in any engine; money is in nano-dollars, 1e-9 US dollars.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import NamedTuple, Protocol

LEASE_S = 900.0
"""Seconds that a call may hold a reservation. So a process that was killed blocks a budget no longer than that."""


class Units(NamedTuple):
    """Nano-dollars, tokens and calls. `None` means: no limit, or an amount that cannot be estimated."""

    nano_usd: int | None = 0
    tokens: int | None = 0
    calls: int | None = 0


class StoreAsk(NamedTuple):
    """What a call wants to reserve in one budget.

    Attributes:
        key: the budget's name.
        limit: what may be spent in total.
        wanted: what the call may use at most; `None` in a field that cannot be estimated. Such calls run one at a time.
    """

    key: str
    limit: Units
    wanted: Units


class StoreState(NamedTuple):
    """The state of one budget.

    Attributes:
        spent: what settled calls used, plus `lost`.
        held: what calls in flight may still use.
        lost: what calls with an expired lease had reserved; a later `settle` corrects it.
    """

    spent: Units = Units()
    held: Units = Units()
    lost: Units = Units()


class StoreRefusal(NamedTuple):
    """The outermost budget that the call could exceed.

    Attributes:
        ask: what the call wanted.
        field: `nano_usd`, `tokens` or `calls`.
        state: the state of the budget at that moment.
    """

    ask: StoreAsk
    field: str
    state: StoreState


class BudgetStore(Protocol):
    """Keeps budgets by name. Each method is one atomic step over all budgets that it concerns.

    Methods that take a call's id are idempotent, because a client repeats a request when it got no answer.
    """

    def admit(self, id: str, asks: Sequence[StoreAsk], *, lease_s: float = LEASE_S) -> StoreRefusal | None:
        """Reserve for call *id* in all budgets, outermost first, and return `None`; or in none, and say why.

        *lease_s*: seconds until the reservation expires.
        """

    def settle(self, id: str, used: Units) -> None:
        """Replace the reservation of call *id* by what it used, in every budget; also after its lease has expired."""

    def release(self, id: str) -> None:
        """Give back the reservation of call *id*, which was not sent."""

    def read(self, key: str) -> StoreState:
        """The state of the budget *key*; of a key that was never used, all zero."""


class _Lease(NamedTuple):
    asks: tuple[StoreAsk, ...]
    until: float


class MemoryBudgetStore:
    """A `BudgetStore` in this process: the reference for other stores, and a store for tests.

    Args:
        clock: a monotonic clock, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._leases: dict[str, _Lease] = {}
        self._lost: dict[str, _Lease] = {}
        self._spent: dict[str, Units] = {}
        self._settled: set[str] = set()

    def admit(self, id: str, asks: Sequence[StoreAsk], *, lease_s: float = LEASE_S) -> StoreRefusal | None:
        """Reserve for call *id* in all budgets, or in none."""
        with self._lock:
            self._expire()
            if id in self._leases or id in self._lost or id in self._settled:
                return None
            for ask in asks:
                state = self._state(ask.key)
                field = _broken(ask, state, is_blind_one_out=self._is_blind_one_out(ask.key))
                if field is not None:
                    return StoreRefusal(ask, field, state)
            self._leases[id] = _Lease(tuple(asks), self._clock() + lease_s)
            return None

    def settle(self, id: str, used: Units) -> None:
        """Replace the reservation of call *id* by what it used."""
        with self._lock:
            lease = self._leases.pop(id, None) or self._lost.pop(id, None)
            if lease is not None:
                self._settled.add(id)
                for ask in lease.asks:
                    self._spent[ask.key] = _sum((self._spent.get(ask.key, Units()), used))

    def release(self, id: str) -> None:
        """Give back the reservation of call *id*."""
        with self._lock:
            self._leases.pop(id, None)

    def read(self, key: str) -> StoreState:
        """The state of the budget *key*."""
        with self._lock:
            self._expire()
            return self._state(key)

    def _expire(self) -> None:
        now = self._clock()
        for id in [id for id, lease in self._leases.items() if lease.until <= now]:
            self._lost[id] = self._leases.pop(id)

    def _state(self, key: str) -> StoreState:
        held, lost = (
            _sum(ask.wanted for lease in leases.values() for ask in lease.asks if ask.key == key)
            for leases in (self._leases, self._lost)
        )
        return StoreState(_sum((self._spent.get(key, Units()), lost)), held, lost)

    def _is_blind_one_out(self, key: str) -> bool:
        return any(ask.key == key and None in ask.wanted for lease in self._leases.values() for ask in lease.asks)


def _broken(ask: StoreAsk, state: StoreState, *, is_blind_one_out: bool) -> str | None:
    """The first limit that *ask* could exceed. A call of unknown size may pass while no other one is in flight."""
    rows = zip(Units._fields, ask.limit, ask.wanted, state.spent, state.held, strict=True)
    for field, limit, wanted, spent, held in rows:
        if limit is None or wanted == 0:
            continue
        committed = (spent or 0) + (held or 0)
        if (committed >= limit or is_blind_one_out) if wanted is None else committed + wanted > limit:
            return field
    return None


def _sum(many: Iterable[Units]) -> Units:
    columns = [(row.nano_usd or 0, row.tokens or 0, row.calls or 0) for row in many]
    return Units(*map(sum, zip(*columns, strict=True))) if columns else Units()
