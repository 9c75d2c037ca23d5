"""Finds published rates for one kind of call: those of the overlay, then those of the public list."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from token_meter.prices import _overlay, _public
from token_meter.prices._rate_card import EXACT, RateCard, RateTable, UnpriceableError
from token_meter.types import Price, Usage


class Entry(NamedTuple):
    """How to price one kind of call between two moments: by `cost`, or, without a price, why not (`reason`).

    `together` prices several usages as a whole, `of_sum` their sum, where that is known to be the sum of their costs.
    With a `doubt`, `cost` is a lower bound. `counts_rest`: what a total has on top of its parts is output.
    """

    since: float
    until: float
    cost: Callable[[Usage], Decimal] | None
    source: str | None
    refusal: Price | None
    free: bool
    together: Callable[[Sequence[Usage]], Decimal | None] | None = None
    doubt: str | None = None
    counts_rest: bool = False
    of_sum: Callable[[Usage, int], Decimal | None] | None = None


class Published(NamedTuple):
    """A published price.

    Attributes:
        sheet: its rates; `None` when only `calc_price` of genai-prices can apply them.
        public: the public price; `None` when the overlay's row is complete.
        source: where it is published.
        since: the start of its validity, in seconds of the epoch.
        until: the end of its validity (exclusive), in seconds of the epoch.
    """

    sheet: RateTable | None
    public: _public.Found | None
    source: str
    since: float = -math.inf
    until: float = math.inf


def published(provider: str, model: str, tier: str, processing: str, at_s: float) -> Published:
    """Find the published price of *model* at one moment.

    Raises:
        UnpriceableError: there is none, or none for this tier.
    """
    if reason := _overlay.NO_USD.get(provider):
        raise UnpriceableError(reason)
    overlay, source = f"overlay {_overlay.AS_OF}", f"genai-prices {_public.version()}"
    rows = _overlay.rows_for(provider, model, tier, processing)
    for row in rows:
        if row.is_whole:
            return Published(row.sheet, None, overlay)
    weekend_s: float | None = None
    for row in rows:
        if row.weekend_hour is not None:
            day = datetime.fromtimestamp(at_s, UTC)
            if day.weekday() >= 5:
                weekend_s = day.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
                at_s = weekend_s + row.weekend_hour * 3600
    found = _public.look_up(provider, model, tier=tier, processing=processing, at_s=at_s)
    sheet, since, until = found.sheet, found.since, found.until
    helped = False
    if weekend_s is not None:
        since, until, helped = weekend_s, weekend_s + 86_400, True
    if sheet is not None:
        for row in rows:
            if row.adds:
                sheet, helped = _overlay.complete(sheet, row), True
    if helped:
        source = f"{source} + {overlay}"
    if (provider, model) in _overlay.DISPUTED:
        source = f"{source} (disputed)"
    return Published(sheet, found, source, since, until)


def entry_of(price: Published, api: str, factor: Decimal | None) -> Entry:
    """Prepare a published price, multiplied by *factor*, for many calls of one api."""
    source = price.source if factor is None else f"{price.source} x {factor.normalize(EXACT):f}"
    if price.sheet is not None:
        card = RateCard(price.sheet, api=api, factor=factor)
        # Only a row of the overlay makes a model free: a 0 in the public list may be a missing price.
        is_free = card.free and price.public is None
        return Entry(
            price.since, price.until, card.cost, source, None, is_free, card.cost_together, of_sum=card.cost_of_sum
        )
    assert price.public is not None  # no sheet: `calc_price` is asked for each call
    ask = price.public.ask

    def cost(usage: Usage) -> Decimal:
        amount = ask(usage, api)
        return amount if factor is None else EXACT.multiply(amount, factor)

    return Entry(price.since, price.until, cost, source, None, free=False)


def with_fee(entry: Entry, per_million: Decimal) -> Entry:
    """*entry* with a fee for each input token on top of what the model costs."""
    base = entry.cost
    if base is None:
        return entry

    def cost(usage: Usage) -> Decimal:
        fee = EXACT.multiply(per_million, Decimal(usage.prompt_tokens or 0)).scaleb(-6, EXACT)
        return EXACT.add(base(usage), fee)

    return entry._replace(cost=cost, together=None, of_sum=None, source=f"{entry.source} + router")


def cheaper_of(one: Entry, other: Entry, doubt: str) -> Entry:
    """The least that a call costs which is priced by one of two entries, and nobody says by which."""
    first, second = one.cost, other.cost
    if first is None or second is None:
        return one if first is None else other

    def cost(usage: Usage) -> Decimal:
        return min(first(usage), second(usage))

    since, until = max(one.since, other.since), min(one.until, other.until)
    source = one.source if one.source == other.source else f"{one.source} or {other.source}"
    return Entry(since, until, cost, source, None, one.free and other.free, None, doubt, one.counts_rest)


def sum_price(entry: Entry, usage: Usage, largest: int) -> Price | None:
    """The price of calls of text with the sum *usage*; `None` where each must be priced by itself."""
    if entry.cost is None:
        return entry.refusal
    if entry.of_sum is None or entry.doubt is not None:
        return None
    try:
        cost = entry.of_sum(usage, largest)
    except UnpriceableError as exc:
        return Price(None, None, str(exc))
    return None if cost is None else Price(cost, entry.source, None)
