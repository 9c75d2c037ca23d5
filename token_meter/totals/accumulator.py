"""Adds up what has ended, whoever brings it, and prices it when a cost is read. It knows no block and no seam.

A call is added by one append to a queue, which is atomic everywhere: in threads, in finalizers, in signal handlers.
Reading folds the queue into sums under the tally's lock; costs are folded apart, when a cost is first read.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from token_meter._fork import in_child
from token_meter.exceptions import ConfigError, UnpricedWarning
from token_meter.totals.totals import BoundedGroups, SubTotal, Totals, TotalsView
from token_meter.types import Call, Price

if TYPE_CHECKING:
    from token_meter.context.ports import UnreadCall, WaitingEstimate
    from token_meter.prices import PriceBook

_LATE, _OPENED, _CLOSED = "late", "opened", "closed"
_FOLD_AT = 64
"""Calls that wait unread before they are folded in passing; bounds the memory of a meter that nobody reads."""
_PRICE_AT = 1024
"""Counted calls that wait for their price before they are priced in passing."""

_generation = 0
_renewing = threading.Lock()


@in_child
def _after_fork() -> None:
    """A lock that another thread held at the fork is held for ever in the child: all locks are made anew."""
    global _generation, _renewing
    _generation += 1
    _renewing = threading.Lock()


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
        self._guesses: deque[WaitingEstimate] | None = None
        self._unpriced: deque[Call] = deque()
        self._kept: deque[Call] | None = None
        if keep_calls:
            self._kept = deque(maxlen=None if keep_calls is True else int(keep_calls))
        self._sums = Totals()
        self._by_model = BoundedGroups()
        self._by_tag = BoundedGroups()
        self._reasons: dict[str, str] = {}
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
            self._fold()

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
        if self._inbox or self._guesses:
            self._fold(is_read=True)
        return self._sums

    def _priced(self) -> Totals:
        if self._inbox or self._guesses:
            self._fold(is_read=True)
        if self._unpriced:
            self._price()
        return self._sums

    def _charged(self) -> Totals:
        sums = self._priced()
        if self._unsaid:
            self._warn()
        return sums

    @property
    def by_model(self) -> Mapping[str, SubTotal]:
        """Sub-totals by the model that served (else that was asked for), with the same attributes, as of now."""
        with self._own_lock():
            self._charged()
            return self._by_model.snapshot()

    @property
    def by_tag(self) -> Mapping[str, SubTotal]:
        """Sub-totals by tag, with the same attributes, as of now. A call with two tags is in both."""
        with self._own_lock():
            self._charged()
            return self._by_tag.snapshot()

    @property
    def calls(self) -> tuple[Call, ...]:
        """The calls that have ended, oldest first, priced.

        Raises:
            ConfigError: the meter was not told to keep them.
        """
        if self._kept is None:
            msg = "this meter keeps no single calls; say meter(keep_calls=True), or keep_calls=1000 for the last 1000"
            raise ConfigError(msg)
        with self._own_lock():
            self._counted()
            kept = self._kept.copy()  # a finalizer may bring a call while they are priced: it holds the lock as we do
            return tuple(self.priced(call) for call in kept)

    @property
    def unpriced_models(self) -> Mapping[str, str]:
        """The models without a price that were used, with the reason why there is none."""
        self._charged()
        return dict(self._reasons)

    @property
    def price_source(self) -> str:
        """The price tables in use, with their versions."""
        version: str = self._prices_in_use().version
        return version

    # Folding.

    def _own_lock(self) -> threading.RLock:
        if self._lock_generation != _generation:
            with _renewing:
                if self._lock_generation != _generation:
                    self._lock, self._folding = threading.RLock(), False
                    self._lock_generation = _generation
        return self._lock

    @contextmanager
    def _frozen(self) -> Iterator[None]:
        """Hold the sums as they are now: what ends meanwhile, in other threads or in finalizers, waits in the queue."""
        with self._own_lock():
            self._charged()
            was, self._folding = self._folding, True
            try:
                yield
            finally:
                self._folding = was

    def waiting_guesses(self) -> list[WaitingEstimate]:
        """The calls whose tokens are still to be estimated."""
        waiting = (*(self._guesses or ()), *self._inbox.copy())
        settled = (item.settle() if hasattr(item, "settle") else item for item in waiting)
        return [item for item in settled if not isinstance(item, Call | str)]

    def _fold(self, *, is_read: bool = False) -> None:
        """Move the queue into the sums. Re-entered, by a finalizer while we hold the lock, it leaves that to us.

        Only when somebody reads are tokens estimated, and not while the lock is held.
        """
        if is_read:
            for pending in self.waiting_guesses():
                pending.resolve()
        with self._own_lock():
            if self._folding:
                return
            self._folding = True
            try:
                if is_read and self._guesses:
                    self._inbox.extendleft(reversed(self._guesses))
                    self._guesses = None
                inbox = self._inbox
                while inbox:
                    item = inbox.popleft()
                    if isinstance(item, str):
                        self._mark(item)
                        continue
                    found = item.settle() if not isinstance(item, Call) and hasattr(item, "settle") else item
                    if isinstance(found, Call):
                        self._count(found)
                    else:
                        self._count_guess(found, is_read=is_read)
            finally:
                self._folding = False
        if len(self._unpriced) > _PRICE_AT:
            self._price()

    def _mark(self, mark: str) -> None:
        if mark is _LATE:
            self._sums.late_calls += 1
        else:
            self._sums.open_streams += 1 if mark is _OPENED else -1

    def _count_guess(self, pending: WaitingEstimate, *, is_read: bool) -> None:
        if is_read:
            self._count(pending.resolve())
            return
        if self._guesses is None:
            self._guesses = deque()
        self._guesses.append(pending)

    def _count(self, call: Call) -> None:
        self._sums.count(call)
        self._by_model[call.model or "(unknown)"].count(call)
        for tag in call.tags:
            self._by_tag[tag].count(call)
        if call.usage is not None:
            self._unpriced.append(call)
        if self._kept is not None:
            self._kept.append(call)

    def _price(self) -> None:
        with self._own_lock():
            if self._folding:
                return
            self._folding = True
            try:
                waiting = self._unpriced
                while waiting:
                    call = waiting.popleft()
                    price = self.price_of(call)
                    self._sums.charge(price.cost)
                    model = call.model or "(unknown)"
                    self._by_model[model].charge(price.cost)
                    for tag in call.tags:
                        self._by_tag[tag].charge(price.cost)
                    if price.cost is None and model not in self._reasons and len(self._reasons) < BoundedGroups.LIMIT:
                        self._reasons[model] = price.reason or "no price"
                        if self.on_unpriced == "warn":
                            self._unsaid.append((model, self._reasons[model]))
            finally:
                self._folding = False

    def _warn(self) -> None:
        """Say what has no price, to somebody who reads: while calls are counted, a warning may be an error."""
        while self._unsaid:
            model, reason = self._unsaid.popleft()
            msg = f"token_meter counted tokens of {model!r} whose price is not known: {reason}"
            warnings.warn(msg, UnpricedWarning, stacklevel=4)

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
            from token_meter.prices import DEFAULT_BOOK

            self._book = DEFAULT_BOOK
        return self._book
