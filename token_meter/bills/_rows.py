"""The rows of a bill, whichever provider wrote it: tokens by day and model, and money by day and line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, NamedTuple

from token_meter.exceptions import LedgerError
from token_meter.types import Usage

ZERO = Decimal(0)
KINDS = ("input", "cached input", "cache write", "output")
"""What lines of costs are for, where they are for tokens."""

_DATE = re.compile(r"[-@]\d{4}-?\d{2}-?\d{2}$")
_TIERS = {"default": None, "standard": None, "auto": None, "": None, "batch": None}


def tier_of(text: str | None) -> str | None:
    """A tier, `None` for the usual one, whatever it is called."""
    text = (text or "").lower()
    return _TIERS.get(text, text)


def amount_of(value: object) -> Decimal:
    """An amount as it is written.

    Raises:
        ValueError: it is no finite number.
        InvalidOperation: it is none at all.
    """
    amount = Decimal(str(value))
    if not amount.is_finite() or abs(amount) >= 10**15:
        msg = f"{value} is no amount"
        raise ValueError(msg)
    return amount


def page_of(text: str | bytes) -> dict[str, Any]:
    """A page of an endpoint.

    Raises:
        LedgerError: it is none.
    """
    try:
        page = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        page = None
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        msg = "what answered there has no usage and costs: its answer is no page of them"
        raise LedgerError(msg)
    return page


def undated(model: str) -> str:
    """A model's name without its maker and its date."""
    return _DATE.sub("", model.rpartition("/")[2])


class Tokens(NamedTuple):
    """Requests and tokens; cached and written tokens are parts of the input. They add up and can be below zero."""

    requests: int = 0
    input: int = 0
    cached: int = 0
    written: int = 0
    output: int = 0

    def plus(self, other: Tokens) -> Tokens:
        return Tokens(*(a + b for a, b in zip(self, other, strict=True)))

    def minus(self, other: Tokens) -> Tokens:
        return Tokens(*(a - b for a, b in zip(self, other, strict=True)))

    @property
    def total(self) -> int:
        """Input and output."""
        return self.input + self.output

    @property
    def usage(self) -> Usage:
        """As the usage of one call, to price it."""
        return Usage(self.input, self.output, self.total, self.cached, self.written)


NOTHING = Tokens()


class UsageRow(NamedTuple):
    """What a provider counted on one UTC day. `requests` is `None` where it does not say."""

    day: str
    provider: str
    model: str
    tokens: Tokens
    requests: int | None
    tier: str | None = None
    is_batch: bool = False
    key: str | None = None
    project: str | None = None


class CostRow(NamedTuple):
    """What a provider charged on one UTC day for one line, in US dollars.

    Attributes:
        line: its name, as the provider writes it.
        model: whose tokens it is for; `None` for anything else: a tool, storage, training, a line not understood.
        kind: one of `KINDS`; `None` where it is for all tokens of the model.
        quantity: how many tokens, where the provider says so.
    """

    day: str
    provider: str
    line: str
    amount: Decimal
    model: str | None = None
    kind: str | None = None
    tier: str | None = None
    is_batch: bool = False
    quantity: Decimal | None = None
    key: str | None = None
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """All rows. `has_requests`: whether its usage says how many requests there were; `covered`: days that it is for."""

    usage: tuple[UsageRow, ...] = ()
    costs: tuple[CostRow, ...] = ()
    notes: tuple[str, ...] = ()
    covered: tuple[str, ...] = ()

    @property
    def has_requests(self) -> bool:
        return all(row.requests is not None for row in self.usage)

    @property
    def days(self) -> tuple[str, ...]:
        """The days with a row, in order."""
        return tuple(sorted({row.day for row in self.usage} | {row.day for row in self.costs}))

    @property
    def providers(self) -> tuple[str, ...]:
        """Who wrote it, in order."""
        return tuple(sorted({row.provider for row in self.usage} | {row.provider for row in self.costs}))

    def between(self, since: str, until: str) -> Bill:
        """The rows of these days."""
        return replace(
            self,
            usage=tuple(row for row in self.usage if since <= row.day < until),
            costs=tuple(row for row in self.costs if since <= row.day < until),
        )

    def of(self, provider: str) -> Bill:
        """The rows of one provider."""
        return replace(
            self,
            usage=tuple(row for row in self.usage if row.provider == provider),
            costs=tuple(row for row in self.costs if row.provider == provider),
        )

    def plus(self, others: Iterable[Bill]) -> Bill:
        bills = (self, *others)
        return Bill(
            tuple(row for bill in bills for row in bill.usage),
            tuple(row for bill in bills for row in bill.costs),
            tuple(dict.fromkeys(note for bill in bills for note in bill.notes)),
            tuple(sorted({day for bill in bills for day in bill.covered})),
        )
