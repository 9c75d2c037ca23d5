"""Adds up what has ended, whoever brings it, and prices it when a cost is read. It knows no block and no seam.

A call is added by one append to a queue, which is atomic everywhere: in threads, in finalizers, in signal handlers.
A reader folds the queue into sums under the tally's lock, and so waits for a fold under way in another thread: it sees
every call that has returned. Costs are folded apart, when a cost is first read. A price book may be the user's own, and
take its time, read this meter, or wait for a thread that does: no lock is held while it is asked.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from token_meter._defaults import default_book, is_put_off
from token_meter._fork import in_child
from token_meter._warn import warn_unpriced
from token_meter.exceptions import ConfigError
from token_meter.totals.breakdown import Breakdown
from token_meter.totals.pricing import alike, prices_of
from token_meter.totals.totals import SubTotal, Totals, TotalsView
from token_meter.types import Call, Price

if TYPE_CHECKING:
    from token_meter.context.ports import UnreadCall, WaitingEstimate
    from token_meter.prices import PriceBook

_LATE, _OPENED, _CLOSED = "late", "opened", "closed"
_FOLD_AT = 64
"""Calls that wait unread before they are folded in passing; bounds the memory of a meter that nobody reads."""
_PRICE_AT = 64
"""Groups of like calls that wait for their price before they are priced in passing."""

_generation = 0
_renewing = threading.RLock()


@in_child
def _after_fork() -> None:
    """A lock that another thread held at the fork is held for ever in the child: all locks are made anew."""
    global _generation, _renewing
    _generation += 1
    _renewing = threading.RLock()


def _settled(item: Call | WaitingEstimate | UnreadCall | str) -> Call | WaitingEstimate | str:
    """What waits in the queue, with its answer read."""
    settle = getattr(item, "settle", None)
    return item if settle is None else settle()  # type: ignore[return-value]  # what cannot be settled is no `UnreadCall`


class Accumulator(TotalsView):
    """The queue and the sums of one meter."""

    def __init__(
        self,
        prices: PriceBook | None,
        on_unpriced: Literal["warn", "raise", "ignore"],
        keep_calls: bool | int,
    ) -> None:
        self.is_open = False
        self.on_unpriced = on_unpriced
        self.keeps_calls = bool(keep_calls)
        self._book = prices
        self._inbox: deque[Call | WaitingEstimate | UnreadCall | str] = deque()
        self._guesses: deque[WaitingEstimate] = deque()
        self._unpriced: deque[list[Call]] = deque()  # in groups of like calls
        self._charged_count = 0  # of groups
        self._kept: deque[Call] | None = None
        if keep_calls:
            self._kept = deque(maxlen=None if keep_calls is True else int(keep_calls))
        self._totals = Breakdown()
        self._pricing: set[int] = set()  # the threads that ask the price book
        self._unsaid: deque[tuple[str, str]] = deque()
        self._lock = threading.RLock()
        self._lock_generation = _generation
        self._folding = False

    # What the hub and the attempts bring.

    def add(self, call: Call | WaitingEstimate | UnreadCall) -> None:
        """Count a call that has ended; its body may be read, or its tokens estimated, when somebody reads a number."""
        inbox = self._inbox
        inbox.append(call)
        if len(inbox) > _FOLD_AT or not self.is_open:
            self._fold_in_passing()

    def count_late_call(self) -> None:
        """Count a call that started after this meter had closed."""
        self._inbox.append(_LATE)

    def opened_stream(self) -> None:
        """Count a stream, or background response, that is under way."""
        self._inbox.append(_OPENED)

    def closed_stream(self) -> None:
        """Take back what `opened_stream` counted."""
        self._inbox.append(_CLOSED)

    # Reading.

    def _counted(self) -> Totals:
        self._resolve()
        with self._own_lock():
            self._fold(is_read=True)
        self._price_in_passing()
        return self._totals.sums

    def _charged(self) -> Totals:
        sums = self.priced_sums()
        self._warn()
        return sums

    def priced_sums(self) -> Totals:
        """The sums, with every counted call priced, and without a word of what has no price: for a limit, in a call."""
        self._resolve()
        with self._own_lock():
            self._fold(is_read=True)
            waiting = (self._charged_count, tuple(self._unpriced))
        self._price(*waiting)
        return self._totals.sums

    def sums_now(self, *, priced: bool) -> Totals | None:
        """The sums as they are, for a caller who holds a lock; `None` where a price book is to be asked first."""
        with self._own_lock():
            self._fold(is_read=True)
            waits = priced and self._unpriced and threading.get_ident() not in self._pricing
            return None if waits else self._totals.sums

    def _frozen(self) -> Breakdown:
        """All sums of this moment, priced: what ends meanwhile, in other threads or in finalizers, is not in them."""
        self._resolve()
        with self._own_lock():
            self._fold(is_read=True)
            was, self._folding = self._folding, True
            try:
                still, waiting = self._totals.copy(), (self._charged_count, tuple(self._unpriced))
            finally:
                self._folding = was
        for group, price in self._price(*waiting):
            still.charge(group, price)
        return still

    def _told(self) -> Breakdown:
        """The same, and a warning of what has no price."""
        still = self._frozen()
        self._warn()
        return still

    @property
    def by_model(self) -> Mapping[str, SubTotal]:
        """Sub-totals by the model that served (else that was asked for), with the same attributes, as of now."""
        return self._told().by_model.snapshot()

    @property
    def by_tag(self) -> Mapping[str, SubTotal]:
        """Sub-totals by tag, with the same attributes, as of now. A call with two tags is in both."""
        return self._told().by_tag.snapshot()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that have ended, oldest first, priced.

        Raises:
            ConfigError: the meter was not told to keep them.
        """
        if self._kept is None:
            msg = "this meter keeps no single calls; say meter(keep_calls=True), or keep_calls=1000 for the last 1000"
            raise ConfigError(msg)
        self._resolve()
        with self._own_lock():
            self._fold(is_read=True)
            kept = self._kept.copy()
        return tuple(self.priced(call) for call in kept)

    @property
    def unpriced_models(self) -> Mapping[str, str]:
        """The models without a price that were used, with the reason why there is none."""
        self._charged()
        return self._totals.reasons.copy()

    @property
    def price_source(self) -> str:
        """The price tables in use, with their versions."""
        return self._prices_in_use().version

    # Folding.

    def _own_lock(self) -> threading.RLock:
        if self._lock_generation != _generation:
            with _renewing:
                if self._lock_generation != _generation:
                    self._lock, self._folding, self._pricing = threading.RLock(), False, set()
                    self._lock_generation = _generation
        return self._lock

    def _resolve(self) -> None:
        """Make the estimates that a reader needs, before the lock is held."""
        if self._inbox or self._guesses:
            for item in (*self._guesses.copy(), *self._inbox.copy()):
                found = _settled(item)
                if not isinstance(found, (Call, str)):
                    found.resolve()

    def _fold_in_passing(self) -> None:
        """Let no more wait than must. Nobody reads, and it may be a finalizer, amid whatever locks its thread holds.

        So it waits for no lock: what another thread's hold keeps in the queue, the next call or reader takes along.
        """
        lock = self._own_lock()
        if not lock.acquire(blocking=False):
            return
        try:
            self._fold()
        finally:
            lock.release()
        self._price_in_passing()

    def _price_in_passing(self) -> None:
        """Let not too many calls wait for their price where nobody reads a cost."""
        if len(self._unpriced) > _PRICE_AT and not self._pricing and not is_put_off(self._book, self._unpriced):
            with self._own_lock():
                waiting = (self._charged_count, tuple(self._unpriced))
            self._price(*waiting)

    def _fold(self, *, is_read: bool = False) -> None:
        """Move the queue into the sums; the lock is held. Re-entered, by a finalizer, it leaves that to us."""
        if self._folding:
            return
        self._folding = True
        ended: list[Call] = []
        try:
            if is_read and self._guesses:
                self._inbox.extendleft(reversed(self._guesses))
                self._guesses.clear()
            inbox = self._inbox
            while inbox:
                item = _settled(inbox.popleft())
                if isinstance(item, Call):
                    ended.append(item)
                elif item is _LATE:
                    self._totals.sums.late_calls += 1
                elif isinstance(item, str):
                    self._totals.sums.opened(1 if item is _OPENED else -1)
                elif is_read:
                    ended.append(item.resolve())
                else:
                    self._guesses.append(item)
        finally:
            try:
                self._count(ended)
            finally:
                self._folding = False

    def _count(self, ended: list[Call]) -> None:
        for group in alike(ended):
            self._totals.count(group)
            if used := [call for call in group if call.usage is not None]:
                self._unpriced.append(used)
        if self._kept is not None:
            self._kept.extend(ended)

    def _price(self, at: int, groups: Sequence[list[Call]]) -> list[tuple[list[Call], Price]]:
        """Ask what counted calls cost, and add it. Two threads may ask of one call; it is charged once.

        *at* counts the groups that had been charged when *groups* were those that waited.
        A price book that reads the meter that asks it finds the sums as they are.
        """
        thread = threading.get_ident()
        if not groups or thread in self._pricing:
            return []
        self._pricing.add(thread)
        failures: list[Exception] = []
        try:
            priced = prices_of(self._prices_in_use(), groups, failures)
            with self._own_lock():
                charged = self._charged_count - at  # by another thread, which was faster
                if not charged:
                    self._charge(priced, len(groups))
        finally:
            self._pricing.discard(thread)
        if charged:
            self._price(at + charged, groups[charged:])
        if failures:
            raise failures[0]
        return priced

    def _charge(self, priced: list[tuple[list[Call], Price]], groups: int) -> None:
        """Add what the groups cost that have waited longest; the lock is held."""
        for calls, price in priced:
            reason = self._totals.charge(calls, price)
            if reason is not None and self.on_unpriced == "warn":
                self._unsaid.append((calls[0].model or "(unknown)", reason))
        self._charged_count += groups
        for _ in range(groups):
            self._unpriced.popleft()

    def _warn(self) -> None:
        """Say what has no price, once, to a reader: while calls are counted, a warning may be an error."""
        while self._unsaid:
            model, reason = self._unsaid.popleft()
            warn_unpriced(model, reason)

    def price_of(self, call: Call) -> Price:
        """What *call* costs by this meter's price book."""
        return self._prices_in_use().price(call)

    def priced(self, call: Call) -> Call:
        """*call* with its price by this meter's price book, and who is paid."""
        return self._prices_in_use().priced(call)

    def knows_host(self, base_url: str) -> bool:
        """Whether this meter's own price book says who is paid behind *base_url*."""
        return self._book is not None and self._book.provider_of(base_url) is not None

    def _prices_in_use(self) -> PriceBook:
        if self._book is None:
            self._book = default_book()
        return self._book
