"""What a ledger has for a bill: tokens and money by UTC day of departure, model and tier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from token_meter.bills._rows import NOTHING, ZERO, Tokens, tier_of
from token_meter.types import Call

if TYPE_CHECKING:
    from token_meter.ledger import Row
    from token_meter.prices import PriceBook

_DAY_S = 86_400
_NEAR_S = 120.0
"""Seconds by which a call may have ended before midnight, and still be on the next day's bill: clocks differ."""


class Cell(NamedTuple):
    """A row of the comparison. `variant` is `batch`, a tier, or `None` for the usual one."""

    day: str
    provider: str
    model: str
    variant: str | None = None


@dataclass(slots=True)
class OurCell:
    """Sums of one cell, and what is doubtful about them.

    Attributes:
        fee: the part of `cost` that is for web searches.
        example: one of its calls, by which differences are priced.
        near_midnight: the calls that may be on the next day's bill, the last to end first.
    """

    tokens: Tokens = NOTHING
    cost: Decimal = ZERO
    fee: Decimal = ZERO
    unpriced: int = 0
    reason: str | None = None
    estimated: int = 0
    unanswered: int = 0
    example: Call | None = None
    near_midnight: list[tuple[float, Tokens]] = field(default_factory=list)


@dataclass(slots=True)
class Ours:
    """All cells; and how many calls are not in them, because they were replayed, mocked or refused."""

    cells: dict[Cell, OurCell] = field(default_factory=dict)
    free: int = 0
    refused: int = 0


def ours_of(rows: Iterable[Row], book: PriceBook, *, counts_mocked: bool = False) -> Ours:
    """Add up single calls (`read_run(..., merge=False)`); with *counts_mocked* those to test servers too."""
    ours = Ours()
    for row in rows:
        call = row.call
        if call.source == "replay" or (call.source == "mock" and not counts_mocked):
            ours.free += 1
        elif call.usage is None and call.status is not None and call.status >= 400:
            ours.refused += 1
        else:
            _add(ours.cells, book.priced(call), book)
    for cell in ours.cells.values():
        cell.near_midnight.sort(key=lambda late: -late[0])
    return ours


def _add(cells: dict[Cell, OurCell], call: Call, book: PriceBook) -> None:
    day = datetime.fromtimestamp(call.started_s, UTC).strftime("%Y-%m-%d")
    variant = "batch" if call.processing == "batch" else tier_of((call.service_tier or "").rstrip("?"))
    key = Cell(day, call.provider or "(unknown)", call.model or "(no model)", variant)
    cell = cells.setdefault(key, OurCell())
    if call.usage is None and call.status is None:  # it left, and nothing came back: it may be on the bill
        cell.unanswered += 1
        return
    cell.example = cell.example or call
    usage, price = call.tokens, call.price
    sent, out = usage.prompt_tokens or 0, usage.billable_output_tokens or 0
    tokens = Tokens(1, sent, usage.cached_tokens or 0, usage.cache_write_tokens or 0, out)
    cell.tokens = cell.tokens.plus(tokens)
    if call.certainty != "exact":
        cell.estimated += 1
    if price is None or price.cost is None or price.reason is not None:
        cell.unpriced += 1
        cell.reason = price.reason if price is not None else "no price"
    if price is not None and price.cost is not None:
        cell.cost += price.cost
        if usage.web_searches:
            bare = book.price(call._replace(usage=usage._replace(web_searches=None)))
            cell.fee += price.cost - (bare.cost or ZERO)
    end_s = call.started_s + call.duration_s
    if end_s // _DAY_S > call.started_s // _DAY_S or (end_s + _NEAR_S) // _DAY_S > end_s // _DAY_S:
        cell.near_midnight.append((end_s, tokens))


def value_of(book: PriceBook, example: Call | None, tokens: Tokens) -> Decimal:
    """What a difference is worth by our prices: what was added, less what was taken away."""
    if example is None:
        return ZERO
    added = Tokens(*(max(count, 0) for count in tokens))
    taken = Tokens(*(max(-count, 0) for count in tokens))
    call = example._replace(price=None, certainty="exact")
    prices = [book.price(call._replace(usage=_sane(some).usage)).cost or ZERO for some in (added, taken)]
    return prices[0] - prices[1]


def _sane(tokens: Tokens) -> Tokens:
    """Parts are no more than their total, which in a difference they may be."""
    return tokens._replace(input=max(tokens.input, tokens.cached + tokens.written))


_SAMPLE = 1_000
"""Tokens by which a rate is read: few, because long prompts have rates of their own."""


def unit_prices(book: PriceBook, example: Call) -> Mapping[str, Decimal | None]:
    """US dollars for a million tokens of each kind, by our prices; `None` where there is none."""
    samples = {
        "input": Tokens(0, _SAMPLE), "cached input": Tokens(0, _SAMPLE, _SAMPLE),
        "cache write": Tokens(0, _SAMPLE, 0, _SAMPLE), "output": Tokens(0, 0, 0, 0, _SAMPLE),
    }  # fmt: skip
    call = example._replace(price=None, certainty="exact")
    prices = {kind: book.price(call._replace(usage=tokens.usage)) for kind, tokens in samples.items()}
    return {kind: None if price.cost is None else price.cost * 1_000 for kind, price in prices.items()}
