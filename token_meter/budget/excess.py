"""A limit that one more call could exceed, in words: what was limited, what is spent of it, what to do."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from token_meter._money import plus
from token_meter._text import visible
from token_meter.budget.amounts import shown

_VERBS = {"cost": "spent", "tokens": "used", "calls": "made"}
_BY = {"cost": "max_cost", "tokens": "the meter's max_tokens", "calls": "max_calls"}


class Assumed(NamedTuple):
    """What a limit counts beyond what is known to be used, for calls that did not say it all.

    Attributes:
        cost: US dollars.
        tokens: the same in tokens.
        calls: how many calls that is.
        why: why it is not known of the last of them.
    """

    cost: Decimal = Decimal(0)
    tokens: int = 0
    calls: int = 0
    why: str = ""

    def and_more(self, other: Assumed) -> Assumed:
        """Both together."""
        cost, tokens = plus(self.cost, other.cost), self.tokens + other.tokens
        return Assumed(cost, tokens, self.calls + other.calls, other.why or self.why)


class Excess(NamedTuple):
    """A limit that one more call could exceed. Amounts are US dollars, tokens or calls, depending on the field.

    Attributes:
        account: the account that has the limit.
        field: `cost`, `tokens` or `calls`.
        limit: the limit.
        spent: what finished calls used, and what is assumed of those that did not say it.
        reserved: what calls in flight may still use.
        wanted: what the call may use; `None` when that cannot be estimated.
        assumed: the part of *spent* that is assumed.
        remedy: what the caller can change in the request; empty if nothing.
    """

    account: Any
    field: str
    limit: Any
    spent: Any
    reserved: Any
    wanted: Any
    assumed: Assumed = Assumed()
    remedy: str = ""

    @property
    def is_transient(self) -> bool:
        """Whether the limit is not reached, and the call only has to wait for another one of unknown size."""
        return self.wanted is None and bool(plus(self.spent, self.reserved) < self.limit)

    def describe(self, whose: str, option: str | None = None) -> str:
        """A message with what happened, the values, and what to do; *option* is what the user set the limit by."""
        field = self.field
        told = [f"{shown(field, self.spent)} {_VERBS[field]}{self._how_much_is_assumed()}"]
        if self.reserved:
            told.append(f"{shown(field, self.reserved)} reserved for calls in flight")
        need = "an amount that cannot be estimated" if self.wanted is None else shown(field, self.wanted)
        told.append("this would be one more" if field == "calls" else f"this call may need {need}")
        remedy = "" if field == "calls" or self.wanted is None else self.remedy
        remedy += f"raise {option or _BY[field]}"
        if self.is_transient:
            told[-1] += ", as may another one that is in flight: together they could overshoot by any amount"
            remedy = "send such calls one after the other"
        return (
            f"{whose} is limited to {shown(field, self.limit)} ({option or 'max_' + field}): {', '.join(told[:-1])}, "
            f"and {told[-1]}. The call was not sent: {remedy}"
            f"{'' if option else ', or let it pass within `with cb.suspended():`'}"
        )

    def _how_much_is_assumed(self) -> str:
        amount = getattr(self.assumed, self.field)
        if self.field == "calls" or not amount:
            return ""
        n = self.assumed.calls
        whose = "a call" if n == 1 else f"{n:,} calls"
        return f" ({shown(self.field, amount)} of it assumed, for {whose} of which not all is known: {self._why})"

    @property
    def _why(self) -> str:
        return visible(self.assumed.why, 160)
