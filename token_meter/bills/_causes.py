"""The outcome of a comparison: causes with their parts, and what is unexplained. It knows no ledger and no prices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from token_meter.bills._rows import ZERO, Tokens

CAUSES = {
    "not-ours": "not ours: other keys or projects",
    "not-settled": "days that are not settled yet",
    "never-seen": "requests that the ledger has not seen",
    "estimates": "cut streams and estimates",
    "fees": "fees: tools, storage, training, lines that are not understood",
    "midnight": "calls over midnight and batches: the bill has them on another day",
    "unpriced": "a tier, batch or model without a price here",
    "rates": "rates differ",
    "rounding": "rounding of the bill",
    "unexplained": "unexplained",
}
"""In the order in which they are told."""


class Part(NamedTuple):
    """A row of a cause: how much the bill has more than the ledger. `amount` is `None` where money is not compared."""

    day: str
    model: str
    tokens: Tokens = Tokens()
    amount: Decimal | None = None
    note: str = ""


@dataclass(slots=True)
class Cause:
    """One reason, with its parts."""

    code: str
    parts: list[Part] = field(default_factory=list)

    @property
    def text(self) -> str:
        return CAUSES[self.code]

    @property
    def tokens(self) -> Tokens:
        total = Tokens()
        for part in self.parts:
            total = total.plus(part.tokens)
        return total

    @property
    def amount(self) -> Decimal:
        """US dollars that the bill has more than the ledger."""
        return sum((part.amount for part in self.parts if part.amount is not None), ZERO)


@dataclass(slots=True)
class Reconciliation:
    """A comparison. `bill` and `ours` are sums over the same days and providers; `has_costs`: money was compared."""

    since: str
    until: str
    providers: tuple[str, ...]
    bill: Tokens
    ours: Tokens
    bill_amount: Decimal
    our_amount: Decimal
    has_usage: bool
    has_requests: bool
    has_costs: bool
    causes: tuple[Cause, ...]
    notes: tuple[str, ...] = ()
    rows: int = 0

    @property
    def unexplained(self) -> Cause:
        return self.causes[-1]

    @property
    def share(self) -> Decimal:
        """The larger share of the bill that is unexplained, of its money or of its tokens."""
        shares = [ZERO]
        if self.has_costs:
            off = sum((abs(part.amount or ZERO) for part in self.unexplained.parts), ZERO)
            billed = abs(self.bill_amount)
            shares.append(off / billed if billed else ZERO if not off else Decimal(1))
        if self.has_usage:
            lost = sum(abs(part.tokens.input) + abs(part.tokens.output) for part in self.unexplained.parts)
            shares.append(Decimal(lost) / self.bill.total if self.bill.total else ZERO if not lost else Decimal(1))
        return max(shares)


def together(each: Iterable[Reconciliation], since: str, until: str, notes: tuple[str, ...]) -> Reconciliation:
    """The comparisons of several providers as one."""
    whole = Reconciliation(
        since, until, (), Tokens(), Tokens(), ZERO, ZERO, False, True, False,
        tuple(Cause(code) for code in CAUSES), notes,
    )  # fmt: skip
    for one in each:
        whole.providers += one.providers
        whole.notes += one.notes
        whole.rows += one.rows
        if one.has_usage:
            whole.bill, whole.ours = whole.bill.plus(one.bill), whole.ours.plus(one.ours)
        if one.has_costs:
            whole.bill_amount += one.bill_amount
            whole.our_amount += one.our_amount
        whole.has_usage |= one.has_usage
        whole.has_requests &= one.has_requests
        whole.has_costs |= one.has_costs
        for cause, more in zip(whole.causes, one.causes, strict=True):
            cause.parts += more.parts
    return whole
