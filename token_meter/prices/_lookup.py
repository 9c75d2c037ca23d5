"""Finds published rates for one kind of call: those of the overlay, then those of the public list."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from token_meter.prices import _overlay, _public
from token_meter.prices._fees import FeeList
from token_meter.prices._holidays import is_day_off
from token_meter.prices._listed import Listed, in_tier, multiplied, newest, shaped
from token_meter.prices._lists import BUILT_IN, BUNDLED, Sources
from token_meter.prices._overlay_newer import LISTED
from token_meter.prices._overlay_row import complete
from token_meter.prices._rate_card import EXACT, AtLeastError, RateCard, RateTable, UnpriceableError
from token_meter.types import Price, Usage


class Entry(NamedTuple):
    """How to price one kind of call between two moments: by `cost`, or, without a price, why not (`reason`).

    `together` prices several usages as a whole, where that is known to be the sum of their costs. With a `doubt`,
    `cost` is a lower bound, and `open` names what is not known. `counts_rest`: what a total has on top of its parts is
    output. `fees` are what is billed beside tokens; `other` prices tokens of another model (by its name) at the same
    provider. Above `up_to` tokens of a prompt, `cost` is a lower bound.
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
    fees: FeeList | None = None
    other: Callable[[str], RateTable | None] | None = None
    open: str = "service tier"
    up_to: float = math.inf


class Published(NamedTuple):
    """A published price.

    Attributes:
        sheet: its rates; `None` when only `calc` of genai-prices can apply them.
        public: the public price; `None` when a row is complete.
        source: where it is published.
        since: the start of its validity, in seconds of the epoch.
        until: the end of its validity (exclusive), in seconds of the epoch.
        like: the model that the row is shaped after.
        lost_above: from here on the standard price has another band, and this tier has none.
        other: the price that may hold instead.
        doubt: why one of two prices holds, and which one is not known.
    """

    sheet: RateTable | None
    public: _public.Found | None
    source: str
    since: float = -math.inf
    until: float = math.inf
    like: str | None = None
    lost_above: int | None = None
    other: Published | None = None
    doubt: str | None = None


def published(
    provider: str, model: str, tier: str, processing: str, at_s: float, sources: Sources = BUILT_IN
) -> Published:
    """Find the published price of *model* at one moment.

    Raises:
        UnpriceableError: there is none, or none for this tier.
    """
    rows = sources.rows
    row, since = newest(rows, provider, model, at_s) if rows else (None, 0)
    if row is not None:
        return _of_row(row, since, f"listed {row.note or 'in the price file'}", tier, processing, at_s, sources)
    sheet = sources.public.own(provider, model, tier, processing)
    if sheet is not None:
        usual = sources.public.own(provider, model, "", "")
        return Published(sheet, None, sources.public.label, lost_above=_lost(sheet, usual))
    if reason := _overlay.NO_USD.get(provider):
        raise UnpriceableError(reason)
    overlay = f"overlay {_overlay.AS_OF}"
    row, since = newest(LISTED, provider, model, at_s)
    if row is not None and not _is_listed(provider, model, at_s, sources):
        return _of_row(row, since, overlay, tier, processing, at_s, sources)
    found = _public_or_overlay(provider, model, tier, processing, at_s, sources, overlay)
    if (provider, model) in _overlay.DISPUTED:
        found = found._replace(source=f"{found.source} (disputed)")
    return found


def _lost(sheet: RateTable, usual: RateTable | None) -> int | None:
    """Where a band of the standard price begins that a tier does not have."""
    return usual[1][0] if len(sheet) == 1 and usual is not None and len(usual) > 1 else None


def _look_up(
    provider: str, model: str, tier: str, processing: str, at_s: float, sources: Sources
) -> tuple[_public.Found, str]:
    """The public price and its source: of the book's list, or, where that does not have the model, of the package's."""
    data = sources.public.data
    if data is not None:
        try:
            _public.look_up(provider, model, tier="", processing="", at_s=at_s, data=data)
        except UnpriceableError:
            pass
        else:
            found = _public.look_up(provider, model, tier=tier, processing=processing, at_s=at_s, data=data)
            return found, sources.public.label
    return _public.look_up(provider, model, tier=tier, processing=processing, at_s=at_s), BUNDLED.label


def _is_listed(provider: str, model: str, at_s: float, sources: Sources) -> bool:
    """Whether a list has caught up with a row of the overlay: it may be newer than this package."""
    try:
        _look_up(provider, model, "", "", at_s, sources)
    except UnpriceableError:
        return False
    return True


def _has_moved(provider: str, model: str, tier: str, processing: str, at_s: float, sources: Sources) -> bool:
    """Whether a list in a file says another thing than the package's list, which the overlay was written against.

    The overlay's row is then older than the list, and gives way.
    """
    sheets: list[RateTable | None] = []
    for data in (sources.public.data, None):
        try:
            found = _public.look_up(provider, model, tier=tier, processing=processing, at_s=at_s, data=data)
            sheets.append(found.sheet)
        except UnpriceableError:
            sheets.append(None)
    return sheets[0] is not None and sheets[0] != sheets[1]


def _public_or_overlay(
    provider: str, model: str, tier: str, processing: str, at_s: float, sources: Sources, overlay: str
) -> Published:
    rows = _overlay.rows_for(provider, model, tier, processing)
    for row in rows:
        if row.is_whole and not (
            sources.public.data is not None and _has_moved(provider, model, tier, processing, at_s, sources)
        ):
            return Published(row.sheet, None, overlay)
    off = next((row.hour_off for row in rows if row.hour_off is not None), None)
    if off is not None:
        return _by_working_day(provider, model, tier, processing, at_s, sources, overlay, off)
    found, source = _look_up(provider, model, tier, processing, at_s, sources)
    sheet = found.sheet
    if sheet is None:
        return Published(sheet, found, source, found.since, found.until)
    adding = [row for row in rows if row.adds]
    for row in adding:
        sheet = complete(sheet, row)
    lost = None
    if (tier or processing) and len(sheet) == 1:
        lost = _lost(sheet, _look_up(provider, model, "", "", at_s, sources)[0].sheet)
    return Published(
        sheet, found, f"{source} + {overlay}" if adding else source, found.since, found.until, lost_above=lost
    )


def _by_working_day(
    provider: str, model: str, tier: str, processing: str, at_s: float, sources: Sources, overlay: str, off: int
) -> Published:
    """The price of a model with peak hours, which do not apply on days off."""
    day = datetime.fromtimestamp(at_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found, source = _look_up(provider, model, tier, processing, at_s, sources)
    usual = Published(found.sheet, found, source, found.since, found.until)
    is_off = is_day_off(day.date())
    if is_off is False:
        return usual
    start = day.timestamp()
    quiet = _look_up(provider, model, tier, processing, start + off * 3600, sources)[0]
    rest = Published(quiet.sheet, quiet, f"{source} + {overlay}", start, start + 86_400)
    if is_off:
        return rest
    if quiet.sheet == found.sheet:
        return usual
    return usual._replace(other=rest, doubt=f"whether {day:%Y-%m-%d} is a public holiday in China is not known")


def _of_row(
    row: Listed, since: float, source: str, tier: str, processing: str, at_s: float, sources: Sources
) -> Published:
    """The price of one row, in one tier."""
    name = tier or processing
    if row.like is not None:
        usual = _like(row, source, at_s, sources)
        usual = usual._replace(since=max(since, usual.since), until=min(row.until_s, usual.until))
    else:
        usual = Published(row.sheet, None, source, since, row.until_s)
    assert usual.sheet is not None
    if not name:
        return usual
    if (factor := row.factors.get(name)) is not None:
        return usual._replace(sheet=multiplied(usual.sheet, factor), other=None, doubt=None)
    if row.like is not None:
        standard = published(row.provider, row.like, "", "", at_s, sources)
        there = published(row.provider, row.like, tier, processing, at_s, sources)
        if there.sheet is not None and standard.sheet is not None:
            moved = in_tier(usual.sheet, standard.sheet, there.sheet)
            return usual._replace(sheet=moved, lost_above=there.lost_above, other=None, doubt=None)
    msg = f"{'tier ' * bool(tier)}{name} has no rate for {row.model} at {row.provider}"
    raise UnpriceableError(msg)


def _like(row: Listed, source: str, at_s: float, sources: Sources) -> Published:
    """The standard price of a row in the shape of another model's."""
    assert row.like is not None
    if row.like in (listed.model for listed in sources.rows if listed.like is not None):
        msg = f"{row.model} is listed like {row.like}, which is itself listed like another; name that one"
        raise UnpriceableError(msg)
    usual = published(row.provider, row.like, "", "", at_s, sources)
    if usual.sheet is None:
        msg = f"{row.model} is listed like {row.like}, whose price is not one of rates per token"
        raise UnpriceableError(msg)
    other = usual.other
    if other is not None:
        other = other._replace(sheet=shaped(row, other.sheet or ()), public=None, source=f"{source}, like {row.like}")
    return Published(
        shaped(row, usual.sheet), None, f"{source}, like {row.like}", usual.since, usual.until, row.like, None, other,
        usual.doubt,
    )  # fmt: skip


def entry_of(price: Published, api: str, factor: Decimal | None) -> Entry:
    """Prepare a published price, multiplied by *factor*, for many calls of one api."""
    if price.other is not None:
        first, second = entry_of(price._replace(other=None), api, factor), entry_of(price.other, api, factor)
        return cheaper_of(first, second, price.doubt or "")._replace(open="peak hours")
    source = price.source if factor is None else f"{price.source} x {factor.normalize(EXACT):f}"
    if price.sheet is not None:
        sheet = price.sheet
        if api in _overlay.FREE_OUTPUT:
            sheet = tuple((start, {**rates, "output": Decimal(0)}) for start, rates in sheet)
        card = RateCard(sheet, api=api, factor=factor)
        if api.endswith("batches"):
            entry = Entry(price.since, price.until, card.cost_of_many, source, None, free=False)
            return entry if price.lost_above is None else _with_lost_band(entry, price.lost_above)
        # Only a row makes a model free: a 0 in the public list may be a missing price.
        is_free = card.free and price.public is None
        entry = Entry(price.since, price.until, card.cost, source, None, is_free, card.cost_together)
        return entry if price.lost_above is None else _with_lost_band(entry, price.lost_above)
    assert price.public is not None  # no sheet: genai-prices is asked for each call
    ask = price.public.ask

    def cost(usage: Usage) -> Decimal:
        amount = ask(usage, api)
        return amount if factor is None else EXACT.multiply(amount, factor)

    return Entry(price.since, price.until, cost, source, None, free=False)


def _with_lost_band(entry: Entry, start: int) -> Entry:
    """*entry*, whose rates are a lower bound for calls with more than *start* input tokens."""
    base, together = entry.cost, entry.together
    assert base is not None

    def cost(usage: Usage) -> Decimal:
        amount = base(usage)
        if (usage.prompt_tokens or 0) > start:
            msg = f"whether this tier costs more above {start:,} input tokens, as the standard one does, is not known"
            raise AtLeastError(amount, msg)
        return amount

    return entry._replace(cost=cost, together=together, up_to=start)


def with_fee(entry: Entry, per_million: Decimal) -> Entry:
    """*entry* with a fee for each input token on top of what the model costs."""
    base = entry.cost
    if base is None:
        return entry

    def cost(usage: Usage) -> Decimal:
        fee = EXACT.multiply(per_million, Decimal(usage.prompt_tokens or 0)).scaleb(-6, EXACT)
        return EXACT.add(base(usage), fee)

    return entry._replace(cost=cost, together=None, source=f"{entry.source} + router")


def cheaper_of(one: Entry, other: Entry, doubt: str) -> Entry:
    """The least that a call costs which is priced by one of two entries, and nobody says by which."""
    first, second = one.cost, other.cost
    if first is None or second is None:
        return one if first is None else other

    def cost(usage: Usage) -> Decimal:
        return min(_least(first, usage), _least(second, usage))

    since, until = max(one.since, other.since), min(one.until, other.until)
    source = one.source if one.source == other.source else f"{one.source} or {other.source}"
    return Entry(since, until, cost, source, None, one.free and other.free, None, doubt, one.counts_rest, one.fees)


def _least(cost: Callable[[Usage], Decimal], usage: Usage) -> Decimal:
    try:
        return cost(usage)
    except AtLeastError as known:
        return known.cost
