"""A store in this process: the plainest form of the rule, which the others are tested against."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from secrets import token_hex

from token_meter._fork import in_child
from token_meter.stores.protocol import (
    Answer,
    BudgetRow,
    Charge,
    LeaseRequest,
    LeaseRow,
    Settlement,
    StoreAsk,
    StoreState,
    Units,
    Window,
)  # fmt: skip
from token_meter.stores.rule import is_current, total, unknown_of, verdict

_generation = 0


@in_child
def _after_fork() -> None:
    global _generation
    _generation += 1


class _Lease:
    def __init__(self, request: LeaseRequest, until_ms: int) -> None:
        self.charges = tuple(Charge(ask.window._replace(back=0), ask.wanted) for ask in request.asks)
        self.until_ms = until_ms
        self.is_lost = False


class MemoryBudgetStore:
    """A `BudgetStore` in this process, for tests. It forgets nothing.

    Args:
        clock: the time in milliseconds since the epoch.
    """

    label = "memory"

    def __init__(self, clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._clock = clock
        self._lock, self._lock_generation = threading.Lock(), _generation
        self.flush()

    def flush(self) -> None:
        """Forget everything, as a server does that restarts without a file."""
        self._epoch, self._is_accepted = token_hex(8), False
        self._leases: dict[str, _Lease] = {}
        self._settled: set[str] = set()
        self._spent: dict[Window, Units] = {}
        self._definitions: dict[str, str] = {}

    def step(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """Make the settlements, then reserve for the call in all its budgets, or in none."""
        with self._own_lock():
            now = self._expire()
            for settlement in settlements:
                self._settle(settlement)
            if request is None:
                return Answer("done", now, self._epoch)
            if epoch not in ("", self._epoch) and not self._is_accepted:
                return Answer("flushed", now, self._epoch)
            return self._reserve(request, now)

    def _reserve(self, request: LeaseRequest, now: int) -> Answer:
        states = tuple(self._state(ask.window) for ask in request.asks)
        if request.id in self._leases or request.id in self._settled:
            return Answer("done", now, self._epoch, states)
        if not all(is_current(ask, now) for ask in request.asks):
            return Answer("moved", now, self._epoch)
        found = verdict(request.asks, states)
        if found.status == "done":
            self._leases[request.id] = _Lease(request, now + request.lease_ms)
            for ask in request.asks:
                self._use(ask)
        return Answer(found.status, now, self._epoch, states, found.exceeded)

    def _use(self, ask: StoreAsk) -> None:
        self._spent.setdefault(ask.window._replace(back=0), Units())
        if ask.definition:
            self._definitions[ask.window.budget] = ask.definition

    def _settle(self, settlement: Settlement) -> None:
        if settlement.id in self._settled:
            return
        self._settled.add(settlement.id)
        lease = self._leases.pop(settlement.id, None)
        for window, used in settlement.charges:
            key = window._replace(back=0)
            if lease is None or any(charge.window == key for charge in lease.charges):
                self._spent[key] = total((self._spent.get(key, Units()), used))

    def _expire(self) -> int:
        now = self._clock()
        for lease in self._leases.values():
            lease.is_lost = lease.is_lost or lease.until_ms <= now
        return now

    def _state(self, window: Window) -> StoreState:
        parts = [part._replace(back=0) for part in (window, *window.before())]
        held = [used for lease in self._leases.values() if not lease.is_lost
                for part, used in lease.charges if part in parts]  # fmt: skip
        lost = total(
            used for lease in self._leases.values() if lease.is_lost for part, used in lease.charges if part in parts
        )
        spent = total((*(self._spent.get(part, Units()) for part in parts), lost))
        unknown = [unknown_of(used) for used in held]
        return StoreState(spent, total(held), lost, (sum(a for a, _ in unknown), sum(b for _, b in unknown)))

    def read(self, windows: Sequence[Window]) -> Answer:
        """The states of these windows."""
        with self._own_lock():
            now = self._expire()
            return Answer("done", now, self._epoch, tuple(map(self._state, windows)))

    def put(self, window: Window, spent: Units, definition: str = "") -> None:
        """Set what has been spent in a window, and accept the present epoch."""
        with self._own_lock():
            self._expire()
            self._is_accepted = True
            key = window._replace(back=0)
            self._spent[key] = total([spent])
            for lease in self._leases.values():
                if lease.is_lost:  # what it may have used is part of what was set
                    lease.charges = tuple(charge for charge in lease.charges if charge.window != key)
            if definition:
                self._definitions[window.budget] = definition

    def budgets(self) -> list[BudgetRow]:
        """All budgets by name."""
        with self._own_lock():
            self._expire()
            names = sorted({window.budget for window in self._spent} | self._definitions.keys())
            return [
                BudgetRow(name, self._definitions.get(name, ""), tuple((w, self._state(w)) for w in self._of(name)))
                for name in names
            ]

    def _of(self, name: str) -> list[Window]:
        return sorted((w for w in self._spent if w.budget == name), key=lambda w: w.start_ms, reverse=True)

    def leases(self) -> list[LeaseRow]:
        """All calls in flight, and those whose lease has expired."""
        with self._own_lock():
            self._expire()
            rows = [LeaseRow(id, one.until_ms, one.is_lost, one.charges) for id, one in self._leases.items()]
            return sorted(rows, key=lambda row: (row.until_ms, row.id))

    def close(self) -> None:
        """Do nothing."""

    def _own_lock(self) -> threading.Lock:
        if self._lock_generation != _generation:
            self._lock, self._lock_generation = threading.Lock(), _generation
        return self._lock
