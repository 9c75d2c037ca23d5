"""What a limit or a handler would have to wait for: so that it is waited for beside an event loop, not on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from token_meter._defaults import is_list_loaded, slow_part
from token_meter.totals.accumulator import Accumulator

if TYPE_CHECKING:
    from token_meter.types import Call


class Waiting(Accumulator):
    """An accumulator that knows what is not ready yet."""

    def slow_part(self, call: Call) -> Callable[[], object] | None:
        """What has to be loaded before `price_of` or `priced` is asked of *call*; `None`: nothing."""
        return slow_part(self._book, call)

    def is_far_behind(self, *, priced: bool) -> bool:
        """Whether a reader would wait: for estimates of long answers, or, with *priced*, for a price list."""
        if self._guesses or self._inbox:
            guesses = (*self._guesses.copy(), *self._inbox.copy())
            if any(getattr(guess, "is_slow", False) for guess in guesses):
                return True
        waiting = self._unpriced.copy() if priced and not is_list_loaded() else ()
        return any(self.slow_part(group[0]) is not None for group in waiting)

    @property
    def is_asking(self) -> bool:
        """Whether this thread asks the price book just now: what it reads of this meter is not priced yet."""
        return threading.get_ident() in self._pricing

    def catch_up(self) -> None:
        """Estimate and price what waits, without a warning."""
        self._frozen()
