"""Many blocks whose threads race for a limit: a few in the tests, 5,000 in `make soak`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from time import sleep
from typing import Any

from tests.budget.any_openai import URL
from tests.meter.test_reading import call
from tests.meter.threads import busily_switching, together
from token_meter import meter
from token_meter.budget.account import Ask, admit
from token_meter.budget.amounts import Amounts
from token_meter.prices import PriceBook
from token_meter.types import Call, Price

MILLION = Decimal("0.15")
"""A million prompt tokens of gpt-4o-mini, as `call()` has them."""
FIT, ASKED = 11, 24
LIMITS: dict[str, dict[str, Any]] = {
    "cost": {"max_cost": MILLION * FIT},
    "tokens": {"max_tokens": FIT * 10**6},
    "calls": {"max_calls": FIT},
}


class Book(PriceBook):
    """A price book of the user's own, that does *first* before it prices."""

    def __init__(self, first: Callable[[Call], object]) -> None:
        super().__init__(hosts={URL: "openai"})
        object.__setattr__(self, "first", first)

    def price(self, call: Call) -> Price:
        self.first(call)  # type: ignore[attr-defined]
        return super().price(call)


def blocks_that_fill(limit: str, blocks: int) -> None:
    """In each block four threads ask for more than fits: as much as fits passes, and no look misses what has returned.

    A call that is just ending is held and counted for a moment, so the last to ask may be refused though it would fit:
    it fits when the others have gone.
    """
    wanted = Amounts(MILLION, 10**6, 1)
    stale: list[tuple[int, int]] = []
    with busily_switching():
        for number in range(blocks):
            nap_s = number % 2 * 1e-5
            cb = meter(prices=Book(lambda _, nap_s=nap_s: sleep(nap_s)), warn_at=None, **LIMITS[limit])
            account, passed, returned = cb.budget.account, deque[bool](), deque[bool]()

            def one(cb: Any = cb, account: Any = account, passed: Any = passed, returned: Any = returned) -> bool:
                reservation = admit([Ask(account, wanted)]).reservation
                if reservation is None:
                    return False
                passed.append(True)
                cb.add(call())
                reservation.release(was_sent=True)
                returned.append(True)
                least, seen = len(returned), cb.successful_requests
                if seen < least:
                    stale.append((seen, least))
                return True

            def work(one: Any = one) -> None:
                for _ in range(ASKED // 4):
                    one()

            with cb:  # open: what ends waits in the queue
                together(work, work, work, work)
                assert len(passed) <= FIT, f"{len(passed)} of {FIT} in block {number}"
                while one():
                    pass
            assert len(passed) == FIT, f"{len(passed)} of {FIT} in block {number}"
            assert (account.remaining, account.reserved.calls) == (Amounts(**{limit: 0}), 0)
    assert stale == []
