"""A process's side of a budget store: what waits to be settled, what it has seen before, and when it asks no more.

A step is one generator, which a caller runs or awaits. It knows no meter.
"""

from __future__ import annotations

import asyncio
import atexit
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from time import monotonic, time_ns
from typing import NamedTuple, TypeVar

from token_meter._failures import internal_error
from token_meter._fork import in_child
from token_meter.exceptions import BudgetStoreError, BudgetWarning
from token_meter.stores import Answer, AsyncBudgetStore, BudgetStore, LeaseRequest, Settlement, StoreAsk, StoreError
from token_meter.stores.protocol import LATE_MS, LEASE_MS, REPEAT_MS, Window

PAUSE_S = 1.0
"""For how long a store that failed is not asked again: one caller in this time waits for it, the others do not."""
_BATCH = 64
"""Settlements that one step carries."""
_KEPT = 10_000
"""Settlements that wait for a store that is down. The oldest ones beyond are dropped: their leases count as spent."""
_TRIES = 3
"""How often the current window is looked for: a step may fall on its end."""

T = TypeVar("T")


class StoreStep(NamedTuple):
    """What the store is asked in one step."""

    settlements: Sequence[Settlement]
    request: LeaseRequest | None
    epoch: str


class _Waiting(NamedTuple):
    settlement: Callable[[], Settlement]
    since_s: float
    tried_s: float | None


Plan = Generator[StoreStep, Answer, T]


class StoreClient:
    """One store, as all budgets of this process use it."""

    def __init__(self, store: BudgetStore) -> None:
        self.store = store
        self._waiting: deque[_Waiting] = deque()  # one append is atomic, also in a finalizer
        self._epoch = ""
        self._offset_ms = 0
        self._closed_until_s = 0.0
        self._failure = ""
        self._warned: set[str] = set()
        CLIENTS.append(self)

    # What budgets ask.

    def admit(self, id: str, asks: Callable[[int], tuple[StoreAsk, ...]]) -> Answer:
        """Reserve for a call. *asks* gives what it wants at a moment of the store's clock.

        Raises:
            BudgetStoreError: the store does not answer, or knows nothing of what this process has told it.
        """
        return self._run(self._admission(id, asks))

    async def aadmit(self, id: str, asks: Callable[[int], tuple[StoreAsk, ...]]) -> Answer:
        """The same, awaited."""
        return await self._arun(self._admission(id, asks))

    def queue(self, settlement: Callable[[], Settlement]) -> None:
        """Settle a call with the next step, which asks what it used. One append: a finalizer may do it."""
        self._waiting.append(_Waiting(settlement, monotonic(), None))

    @property
    def has_waiting(self) -> bool:
        """Whether calls wait to be settled."""
        return bool(self._waiting)

    def settle(self) -> None:
        """Settle what waits. Never raises: what fails waits on."""
        if self._waiting:
            try:
                self._run(self._settling())
            except BudgetStoreError:
                pass  # it was said when the store failed, and is said again when a call asks
            except Exception:
                internal_error("settle")

    async def asettle(self) -> None:
        """The same, awaited; a task that is being cancelled leaves it to the next step."""
        if self._waiting and not _is_cancelled():
            try:
                await self._arun(self._settling())
            except BudgetStoreError:
                pass  # as above
            except Exception:
                internal_error("settle")

    def read(self, window: Callable[[int], Window]) -> tuple[Window, Answer]:
        """Settle what waits, then read a window.

        Raises:
            BudgetStoreError: the store does not answer.
        """
        self.settle()
        if monotonic() < self._closed_until_s:
            raise BudgetStoreError(self._told(self._failure))
        for _ in range(_TRIES):
            asked = window(self.now_ms())
            try:
                answer = self.store.read([asked])
            except StoreError as error:
                raise self._failed(error) from error
            self._take(answer, is_admission=False)
            if window(answer.now_ms) == asked:
                break
        return asked, answer

    def now_ms(self) -> int:
        """The store's time, as far as it is known here."""
        return time_ns() // 1_000_000 + self._offset_ms

    def warn(self, what: str, text: str) -> None:
        """Warn, once in each outage."""
        if what not in self._warned:
            self._warned.add(what)
            warnings.warn(text, BudgetWarning, stacklevel=2)

    # How it asks.

    def _run(self, plan: Plan[T]) -> T:
        try:
            step = next(plan)
            while True:
                try:
                    answer = self.store.step(*step)
                except StoreError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as done:
            found: T = done.value
            return found

    async def _arun(self, plan: Plan[T]) -> T:
        store = self.store
        if not isinstance(store, AsyncBudgetStore) or not _is_in_loop():
            return self._run(plan)
        try:
            step = next(plan)
            while True:
                try:
                    answer = await store.astep(*step)
                except StoreError as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(answer)
        except StopIteration as done:
            found: T = done.value
            return found
        finally:
            plan.close()  # a task that is cancelled puts back what it has taken out of the queue

    def _admission(self, id: str, asks: Callable[[int], tuple[StoreAsk, ...]]) -> Plan[Answer]:
        for _ in range(_TRIES):
            answer = yield from self._step(LeaseRequest(id, asks(self.now_ms()), LEASE_MS))
            if answer.status == "flushed":
                msg = (
                    f"the budget store {self.store.label} has lost what it knew: it was emptied, has dropped keys, or "
                    "was restarted without its file. The call was not sent: set its budgets with `token-meter budget "
                    "seed NAME --from LEDGER`, or let them start from zero with `token-meter budget set NAME`"
                )
                raise BudgetStoreError(msg)
            if answer.status != "moved":
                return answer
        msg = f"the budget store {self.store.label} has another time at each step; is its clock being set?"
        raise BudgetStoreError(msg)

    def _settling(self) -> Plan[None]:
        while self._waiting:
            yield from self._step(None)

    def _step(self, request: LeaseRequest | None) -> Plan[Answer]:
        now = monotonic()
        if now < self._closed_until_s:
            raise BudgetStoreError(self._told(self._failure))
        if self._closed_until_s:
            self._closed_until_s = now + PAUSE_S  # this caller tries it; the others go on without
        batch = self._batch(now)
        try:
            answer = yield StoreStep([waiting.settlement() for waiting in batch], request, self._epoch)
        except StoreError as error:
            self._put_back(batch)
            raise self._failed(error) from error
        except GeneratorExit:
            self._put_back(batch)
            raise
        if answer.status == "version":
            self._put_back(batch)
            msg = (
                f"the budget store {self.store.label} is of version {answer.epoch!r}, which this token_meter does not "
                "read: use one version of token_meter everywhere, or another `?namespace=` for this one"
            )
            raise BudgetStoreError(msg)
        self._take(answer, is_admission=request is not None)
        return answer

    def _take(self, answer: Answer, *, is_admission: bool) -> None:
        self._closed_until_s = 0.0
        self._warned.discard("down")
        self._offset_ms = answer.now_ms - time_ns() // 1_000_000
        if answer.evicts:
            text = (
                f"the server of the budget store {self.store.label} may drop budgets when its memory is full "
                f"(maxmemory-policy {answer.evicts}), and they would start from zero: set it to noeviction, or use a "
                "server of its own"
            )
            self.warn("evicts", text)
        if self._epoch in ("", answer.epoch):
            self._epoch = answer.epoch
        elif is_admission and answer.status != "flushed":
            self._epoch, before = answer.epoch, self._epoch
            self.warn(before, f"the budget store {self.store.label} was emptied, and its budgets have been set anew")

    def _failed(self, error: StoreError) -> BudgetStoreError:
        self._closed_until_s = monotonic() + PAUSE_S
        self._failure = str(error)
        return BudgetStoreError(self._told(self._failure))

    def _told(self, failure: str) -> str:
        return (
            f"the budget store {self.store.label} cannot be reached: {failure}. The call was not sent: start the "
            "store, or let calls pass meanwhile with Budget(on_store_error='send')"
        )

    def _batch(self, now: float) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while len(batch) < _BATCH:
            try:
                waiting = self._waiting.popleft()
            except IndexError:
                break
            since, tried = waiting.since_s, waiting.tried_s
            is_stale = now - since > LATE_MS / 1000 or (tried is not None and now - tried > REPEAT_MS / 1000)
            if not is_stale:  # one that may have been made already must not be made again
                batch.append(waiting._replace(tried_s=tried or now))
        return batch

    def _put_back(self, batch: list[_Waiting]) -> None:
        self._waiting.extendleft(reversed(batch))
        while len(self._waiting) > _KEPT:
            self._waiting.popleft()


CLIENTS: list[StoreClient] = []


def _is_in_loop() -> bool:
    """Whether asyncio runs; under trio, a store is called as in code without a loop."""
    return asyncio._get_running_loop() is not None


def _is_cancelled() -> bool:
    task = asyncio.current_task() if _is_in_loop() else None
    return task is not None and task.cancelling() > 0


@atexit.register
def _settle_all() -> None:
    """Settle at the end of the program what finalizers have left."""
    for client in CLIENTS:
        client.settle()


@in_child
def _after_fork() -> None:
    """What the parent has not settled, the parent settles."""
    for client in CLIENTS:
        client._waiting.clear()
