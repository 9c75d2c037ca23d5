"""Where budgets live that outlast a meter or are shared: what a store promises, and one in memory that keeps it.

Amounts are integers, so that they add up without error in any engine; money is in nano-dollars, 1e-9 US dollars.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from time import monotonic
from typing import NamedTuple, Protocol

LEASE_S = 900.0
"""How long a call may hold what it asked for. A process that was killed holds it no longer than that."""


class Units(NamedTuple):
    """Nano-dollars, tokens and calls; of a limit, `None` means that there is none."""

    nano_usd: int | None = 0
    tokens: int | None = 0
    calls: int | None = 0


class StoreAsk(NamedTuple):
    """What a call wants of one budget.

    Attributes:
        key: the budget's name.
        limit: what may be spent of it.
        wanted: what the call may use at most; `None` where its size cannot be foreseen: such calls go one at a time.
    """

    key: str
    limit: Units
    wanted: Units


class StoreState(NamedTuple):
    """What one budget has come to.

    Attributes:
        spent: what settled calls used, and what is `lost`.
        held: what calls under way may still use.
        lost: what calls held whose lease ran out, until they are settled.
    """

    spent: Units = Units()
    held: Units = Units()
    lost: Units = Units()


class StoreRefusal(NamedTuple):
    """The outermost budget that would not hold.

    Attributes:
        ask: what was asked of it.
        field: `nano_usd`, `tokens` or `calls`.
        state: what it had come to.
    """

    ask: StoreAsk
    field: str
    state: StoreState


class BudgetStore(Protocol):
    """Keeps budgets by name. Each method is one atomic step over all budgets that it concerns.

    Every step is named by the call's id and may be repeated, as a client does that got no answer: twice is once.
    """

    def admit(self, id: str, asks: Sequence[StoreAsk], *, lease_s: float = LEASE_S) -> StoreRefusal | None:
        """Hold what call *id* may use in all budgets, outermost first, or in none: then the refusal says why."""

    def settle(self, id: str, used: Units) -> None:
        """Put what call *id* used in the place of what it held, in every budget; also after its lease ran out."""

    def release(self, id: str) -> None:
        """Give back what call *id* held: it was not sent."""

    def read(self, key: str) -> StoreState:
        """What the budget *key* has come to."""


class _Lease(NamedTuple):
    asks: tuple[StoreAsk, ...]
    until: float


class MemoryBudgetStore:
    """A `BudgetStore` in this process: the rule that other stores keep too, and a store for tests.

    Args:
        clock: seconds that only go up.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._leases: dict[str, _Lease] = {}
        self._lost: dict[str, _Lease] = {}
        self._spent: dict[str, Units] = {}
        self._settled: set[str] = set()

    def admit(self, id: str, asks: Sequence[StoreAsk], *, lease_s: float = LEASE_S) -> StoreRefusal | None:
        """Hold what call *id* may use in all budgets, or in none."""
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
        """Count what call *id* used instead of what it held."""
        with self._lock:
            lease = self._leases.pop(id, None) or self._lost.pop(id, None)
            if lease is not None:
                self._settled.add(id)
                for ask in lease.asks:
                    self._spent[ask.key] = _sum((self._spent.get(ask.key, Units()), used))

    def release(self, id: str) -> None:
        """Give back what call *id* held."""
        with self._lock:
            self._leases.pop(id, None)

    def read(self, key: str) -> StoreState:
        """What the budget *key* has come to."""
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
    """The first limit that would not hold; a call of unknown size passes below it while no other such call is out."""
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
