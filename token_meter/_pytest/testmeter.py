"""The meter of one test, fed by the session."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any

from token_meter._meter import Meter
from token_meter._money import add_usd
from token_meter.types import Call

if TYPE_CHECKING:
    from token_meter.report import Totals


class TestMeter(Meter):
    """The cost of this test's calls so far. Calling it returns a new meter, as `token_meter.meter` does."""

    __test__ = False  # in spite of its name, pytest must not collect it
    was_opened = True  # the session feeds it

    def __init__(self, prices: Any = None) -> None:
        super().__init__("test", prices=prices, keep_calls=True, on_unpriced="ignore")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Act as `token_meter.meter`, which this fixture hides: `with meter() as cb`, `@meter`, `meter("name")`."""
        if len(args) == 1 and not kwargs and callable(args[0]):
            return Meter()(args[0])
        return Meter(*args, **kwargs)

    @property
    def records(self) -> tuple[Call, ...]:
        """The test's calls, priced, oldest first."""
        return self.calls

    @property
    def spent(self) -> Decimal:
        """The cost of live calls, US dollars; a replayed cassette is free."""
        live = (c.cost for c in self.calls if c.source == "live" and c.cost is not None)
        return reduce(add_usd, live, Decimal(0))

    def totals(self) -> Totals:
        """The sums in the form that reports and limits use."""
        from token_meter.report import Tokens, Totals

        calls = self.calls
        tokens = Tokens(
            self.prompt_tokens, self.cached_tokens, self.cache_write_tokens, self.completion_tokens,
            self.reasoning_tokens, self.total_tokens,
        )  # fmt: skip
        return Totals(
            calls=len(calls),
            live=sum(c.source == "live" for c in calls),
            replayed=sum(c.source == "replay" for c in calls),
            mocked=sum(c.source == "mock" for c in calls),
            unpriced=sum(map(_is_unpriced, calls)),
            partly_priced=sum(map(_is_partly_priced, calls)),
            tokens=tokens,
            cost=self.cost,
            spent=self.spent,
            retries=sum(c.attempt > 0 for c in calls),
            live_unpriced=sum(c.source == "live" and _is_unpriced(c) for c in calls),
            live_partly_priced=sum(c.source == "live" and _is_partly_priced(c) for c in calls),
        )


def _is_unpriced(call: Call) -> bool:
    """Whether its cost is unknown; a refused call without usage cost nothing that is known."""
    return call.cost is None and (call.usage is not None or call.is_success)


def _is_partly_priced(call: Call) -> bool:
    """Whether only a part of its cost is known."""
    return call.price is not None and call.price.cost is not None and not call.price.is_whole
