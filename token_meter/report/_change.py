"""One group of a report, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from token_meter.report._formatting import change_text, percent_text
from token_meter.report._summary import ZERO, Totals

State: TypeAlias = Literal["changed", "same", "new", "gone"]


@dataclass(frozen=True, slots=True)
class Change:
    """One group, before and after.

    Attributes:
        state: `new` without a base, `gone` without a head (removed, deselected or not reached: reports do not say).
        base: the base, with the prices of the comparison; likewise *head*.
        recorded: the base with its recorded prices.
        comparable: both sides are priced completely.
    """

    id: str
    state: State
    base: Totals | None
    head: Totals | None
    recorded: Totals | None
    comparable: bool

    @property
    def cost(self) -> Decimal:
        """The difference in US dollars."""
        return (self.head.cost if self.head else ZERO) - (self.base.cost if self.base else ZERO)

    @property
    def calls(self) -> int:
        """The difference in calls."""
        return (self.head.calls if self.head else 0) - (self.base.calls if self.base else 0)

    @property
    def text(self) -> str:
        """The cell of a table: `+$0.0009 (+4.1%)`, `new`, `=`."""
        return self.shown(None)

    def shown(self, places: int | None) -> str:
        """The same by the scale of a column."""
        if self.state in ("new", "gone"):
            return self.state
        if not self.comparable:
            return "?"
        if self.cost == 0:
            return "=" if self.calls == 0 else f"{self.calls:+,} call{'' if abs(self.calls) == 1 else 's'}"
        assert self.base is not None
        percent = percent_text(self.cost, self.base.cost)
        change = change_text(self.cost, places)
        return change if percent is None else f"{change} ({percent})"
