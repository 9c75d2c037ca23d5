"""What a ledger has for a bill: tokens and money by UTC day of departure, model, tier and account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from token_meter.bills._rows import NOTHING, ZERO, Tokens, tier_of
from token_meter.types import Call, Price, Usage

if TYPE_CHECKING:
    from token_meter.ledger import Row
    from token_meter.prices import PriceBook

_DAY_S = 86_400
_NEAR_S = 120.0
"""Seconds between a call and a midnight, within which it may be on the other day's bill: clocks differ."""
_TOGETHER = 20_000
"""Calls that wait to be priced by their sums; this bounds the memory."""


class Cell(NamedTuple):
    """A row of the comparison. `variant` is `batch`, a tier, or `None` for the usual one; `account` is a key or
    project of the bill, where calls were told to be its own.
    """

    day: str
    provider: str
    model: str
    variant: str | None = None
    account: str | None = None


@dataclass(slots=True)
class OurCell:
    """Sums of one cell, and what is doubtful about them.

    Attributes:
        fee: the part of `cost` that is for web searches and other tools.
        example: one of its calls, by which differences are priced.
        batches: tokens of its batches. Each is one call here, and as many requests as it has lines on a bill.
        near_midnight: calls that may be on another day's bill: seconds by which they are rather on this one, the
            number of days to the other one, and their tokens.
    """

    tokens: Tokens = NOTHING
    cost: Decimal = ZERO
    fee: Decimal = ZERO
    unpriced: int = 0
    reason: str | None = None
    estimated: int = 0
    unanswered: int = 0
    example: Call | None = None
    batches: Tokens = NOTHING
    near_midnight: list[tuple[float, int, Tokens]] = field(default_factory=list)

    def add(self, other: OurCell) -> None:
        """Put another cell into this one. Batches cost half: they are the last to be an example."""
        is_better = self.example is None or (self.example.processing == "batch" and other.example is not None)
        self.example = other.example if is_better else self.example
        self.tokens, self.batches = self.tokens.plus(other.tokens), self.batches.plus(other.batches)
        self.cost += other.cost
        self.fee += other.fee
        self.unpriced += other.unpriced
        self.reason = self.reason or other.reason
        self.estimated += other.estimated
        self.unanswered += other.unanswered
        self.near_midnight += other.near_midnight


@dataclass(slots=True)
class Ours:
    """All cells; and how many calls are not in them, because they were replayed, mocked or refused."""

    cells: dict[Cell, OurCell] = field(default_factory=dict)
    free: int = 0
    refused: int = 0


def ours_of(
    rows: Iterable[Row], book: PriceBook, *, counts_mocked: bool = False, names: Mapping[str, str] | None = None
) -> Ours:
    """Add up single calls (`read_run(..., merge=False)`); with *counts_mocked* those to test servers too.

    Args:
        names: what a bill calls our models (`gpt-prod`), and whose account calls with a tag are on (`tag:app=shop`).
    """
    ours, names = Ours(), names or {}
    accounts = {name.removeprefix("tag:"): account for name, account in names.items() if name.startswith("tag:")}
    groups: dict[tuple[object, ...], _Group] = {}
    waiting = 0
    for row in rows:
        call = row.call
        usage, status, processing, tags = call.usage, call.status, call.processing, call.tags
        if call.source == "replay" or (call.source == "mock" and not counts_mocked):
            ours.free += 1
            continue
        if usage is None and status is not None and status >= 400:
            ours.refused += 1
            continue
        account = next((accounts[tag] for tag in tags if tag in accounts), None) if accounts else None
        day = int(call.started_s // _DAY_S)
        key = (
            day, call.host, call.base_url, call.provider, call.api, call.request_model, call.response_model,
            call.service_tier, processing, call.certainty, status is None, account,
        )  # fmt: skip
        group = groups.get(key)
        if group is None:
            priced = book.priced(call)
            variant = "batch" if processing == "batch" else tier_of((call.service_tier or "").rstrip("?"))
            model = names.get(call.model or "", call.model)
            provider = priced.provider or "(unknown)"
            cell = Cell(day_text(day), provider, model or "(no model)", variant, account)
            group = groups[key] = _Group(ours.cells.setdefault(cell, OurCell()), call)
        if usage is None and status is None:  # it left, and nothing came back: it may be on the bill
            group.cell.unanswered += 1
            continue
        group.calls.append((call.started_s, usage))
        if processing == "batch":
            group.cell.batches = group.cell.batches.plus(_tokens(1, usage or Usage()))
        elif (near := _near_midnight(call, day)) is not None:
            group.cell.near_midnight.append((*near, _tokens(1, usage or Usage())))
        waiting += 1
        if waiting >= _TOGETHER:
            _add_up(groups.values(), book)
            waiting = 0
    _add_up(groups.values(), book)
    return ours


def _add_up(groups: Iterable[_Group], book: PriceBook) -> None:
    for group in groups:
        if group.calls:
            group.add_up(book)


def day_text(day: int) -> str:
    """The date of the day with this number since the epoch."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def _near_midnight(call: Call, day: int) -> tuple[float, int] | None:
    """The days to another day whose bill may have the call, and the seconds by which it is this one's; else `None`."""
    end_s, next_s = call.started_s + call.duration_s, float((day + 1) * _DAY_S)
    if end_s + _NEAR_S >= next_s:
        return next_s - end_s, int((end_s + _NEAR_S) // _DAY_S) - day
    after_s = call.started_s - day * _DAY_S
    return (after_s, -1) if after_s < _NEAR_S else None


def _tokens(requests: int, usage: Usage) -> Tokens:
    out = usage.billable_output_tokens or 0
    return Tokens(requests, usage.prompt_tokens or 0, usage.cached_tokens or 0, usage.cache_write_tokens or 0, out)


class _Group:
    """Calls of one cell that are priced alike, until they are added up."""

    __slots__ = ("call", "calls", "cell")

    def __init__(self, cell: OurCell, call: Call) -> None:
        self.cell, self.call = cell, call
        self.calls: list[tuple[float, Usage | None]] = []

    def add_up(self, book: PriceBook) -> None:
        """Price what waits: by sums, which is the same to the last digit, or call by call where a sum has no price."""
        calls, self.calls = self.calls, []
        if self.call.certainty != "exact":
            self.cell.estimated += len(calls)
        alike: dict[tuple[int, ...], list[tuple[float, Usage]]] = {}
        for started_s, usage in calls:
            call = self.call._replace(started_s=started_s, usage=usage)
            self.cell.example = self.cell.example or call
            if usage is None or (shape := _shape(usage)) is None:
                self._add(usage, book.price(call), 1)
                if usage is not None and (usage.web_searches or usage.fees):
                    bare = book.price(call._replace(usage=usage._replace(web_searches=None, fees=None)))
                    self.cell.fee += (book.price(call).cost or ZERO) - (bare.cost or ZERO)
            else:
                alike.setdefault(shape, []).append((started_s, usage))
        for some in alike.values():
            self._add_sum(some, book)

    def _add_sum(self, calls: list[tuple[float, Usage]], book: PriceBook) -> None:
        first, last = min(calls)[0], max(calls)[0]
        usages = [usage for _, usage in calls]
        columns = zip(*(usage[:_PLAIN] for usage in usages), strict=True)
        whole = Usage(*(None if column[0] is None else sum(column) for column in columns))
        largest = max(usage.prompt_tokens or 0 for usage in usages)
        rule = book.linear(self.call._replace(started_s=first))
        price = rule and rule.price_sum(whole, largest, last)
        if price is not None:
            self._add(whole, price, len(calls))
            return
        for started_s, usage in calls:
            self._add(usage, book.price(self.call._replace(started_s=started_s, usage=usage)), 1)

    def _add(self, usage: Usage | None, price: Price, calls: int) -> None:
        cell = self.cell
        cell.tokens = cell.tokens.plus(_tokens(calls, usage or Usage()))
        if price.cost is None or price.reason is not None:
            cell.unpriced += calls
            cell.reason = price.reason
        if price.cost is not None:
            cell.cost += price.cost


_PLAIN = 7
"""The first fields of `Usage`, which text has; a call with others is priced by itself."""


def _shape(usage: Usage) -> tuple[int, ...] | None:
    """Which counts there are, and which are above 0; `None` for a call that has no price as a part of a sum."""
    sent, made, total, cached, written = usage[:5]
    is_sum = sent is not None and made is not None and total == sent + made and (cached or 0) <= sent
    if usage.reasoning_tokens and made is not None and usage.reasoning_tokens > made:  # counts that contradict
        return None
    if not is_sum or written or (usage.reasoning_tokens or 0) > (made or 0) or any(usage[_PLAIN:]):
        return None
    return tuple([-1 if count is None else bool(count) for count in usage[:_PLAIN]])


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
    return {kind: None if price.cost is None or price.reason else price.cost * 1_000 for kind, price in prices.items()}


def value_of(book: PriceBook, example: Call, tokens: Tokens) -> Decimal:
    """What a difference is worth by our prices, as far as they are known."""
    counts = {"input": tokens.input - tokens.cached - tokens.written, "cached input": tokens.cached,
              "cache write": tokens.written, "output": tokens.output}  # fmt: skip
    prices = unit_prices(book, example)
    return sum(((prices[kind] or ZERO) * count for kind, count in counts.items()), ZERO) / 1_000_000
