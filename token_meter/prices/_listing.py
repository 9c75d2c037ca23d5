"""Lists prices as rows, for `token-meter prices`."""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from token_meter._text import suggestion
from token_meter.prices import _overlay, _public
from token_meter.prices._book import PriceBook
from token_meter.prices._by_model import BY_MODEL, MAKERS
from token_meter.prices._fees import FEES, WITHOUT_RATE
from token_meter.prices._hosts import HOSTS, STATES_DOLLARS
from token_meter.prices._lists import BUILT_IN, Sources
from token_meter.prices._lookup import published
from token_meter.prices._overlay_newer import LISTED
from token_meter.prices._rate_card import EXACT, UNITS, RateTable, UnpriceableError
from token_meter.prices._uplifts import matches

_PER = {"mtok": "1M tokens", "hours": "hour", "kcount": "1K", "kpages": "1K pages", "mchars": "1M characters"}


class PriceRow(NamedTuple):
    """One rate of one model.

    Attributes:
        provider: the provider's id.
        model: the model.
        tier: `standard`, a service tier, or `batch`.
        unit: the unit that is billed: `input`, `cached_input`, `output`, …
        rate: US dollars for *per* units.
        per: the number of units that the rate is for, such as 1,000,000 tokens.
        above: the rate applies to calls with more input tokens than this.
        source: where the rate is published.
    """

    provider: str
    model: str
    tier: str
    unit: str
    rate: Decimal
    per: str
    above: int
    source: str


def describe(
    model: str, provider: str = "openai", *, book: PriceBook | None = None, at_s: float | None = None
) -> list[PriceRow]:
    """Return every rate of *model* in all tiers, at one moment (default: now); empty when it has no price."""
    name, provider = model.strip().lower(), provider.strip().lower()
    own = [] if book is None else [r for r in book.overrides if r.provider == provider]
    sources = BUILT_IN if book is None else book._terms.sources
    when_s = time.time() if at_s is None else at_s
    rows: list[PriceRow] = []
    told: set[tuple[str, str]] = set()
    for override in own:
        if matches(override.model, name):
            pair = (override.tier or "", override.processing or "")
            told.add(pair)
            rows += _rows(provider, name, pair, override.sheet, override.source)
    more = [(row.tier.replace("*", ""), row.processing.replace("*", "")) for row in _overlay.ROWS
            if row.provider == provider and row.is_whole]  # fmt: skip
    more += sources.public.pairs(provider, name)
    for listed in (*sources.rows, *LISTED):
        if listed.provider == provider and matches(listed.model, name):
            more += [("", tier) if tier == "batch" else (tier, "") for tier in listed.factors]
            if listed.like is not None:
                more += _pairs_of(provider, listed.like, when_s, sources)
    pairs: list[tuple[str, str]] = [("", "")]
    for pair in pairs:  # the list grows in the loop: the standard price names the other tiers
        try:
            price = published(provider, name, *pair, when_s, sources)
        except UnpriceableError:
            price = None
        if pair == ("", ""):
            public = price.public.contexts if price is not None and price.public is not None else ()
            pairs += dict.fromkeys(other for other in (*public, *more) if other != pair)
        if price is None or pair in told:
            continue
        if price.sheet is not None:
            rows += _rows(provider, name, pair, price.sheet, price.source)
        elif price.public is not None:
            for key, rate in price.public.listed:
                unit, _, per = key.rpartition("_")
                rows.append(PriceRow(provider, name, _tier(pair), unit, rate, _PER.get(per, per), 0, price.source))
    return rows


def sellers(model: str, *, book: PriceBook | None = None) -> list[str]:
    """Return the providers at which *model* has a price: who makes models first, then who sells those of others."""
    known = known_providers(book=book)
    ordered = [*(name for name in MAKERS if name in known), *(name for name in known if name not in MAKERS)]
    return [name for name in ordered if describe(model, name, book=book)]


def _pairs_of(provider: str, model: str, at_s: float, sources: Sources) -> tuple[tuple[str, str], ...]:
    try:
        found = published(provider, model, "", "", at_s, sources).public
    except UnpriceableError:
        return ()
    return () if found is None else found.contexts


def known_models(provider: str = "openai", *, book: PriceBook | None = None) -> list[str]:
    """Return the names that have a price at *provider*, sorted; patterns end in `*`."""
    sources = BUILT_IN if book is None else book._terms.sources
    names = {*_public_names(provider, sources.public.data), *sources.public.names(provider)}
    names.update(name for row in _overlay.ROWS if row.provider == provider for name in row.models)
    names.update(row.model for row in (*sources.rows, *LISTED) if row.provider == provider)
    if book is not None:
        names.update(row.model for row in book.overrides if row.provider == provider)
    return sorted(names)


def known_providers(*, book: PriceBook | None = None) -> list[str]:
    """Return the ids of the providers that have a price list, sorted."""
    sources = BUILT_IN if book is None else book._terms.sources
    names = {listed.id for data in _data(sources.public.data) for listed in data.providers}
    names.update(row.provider for row in _overlay.ROWS)
    names -= set(_overlay.NO_USD)
    names.update(sources.public.providers(), (row.provider for row in sources.rows))
    if book is not None:
        names.update(row.provider for row in book.overrides)
    return sorted(names)


def unknown_providers(book: PriceBook) -> dict[str, str]:
    """The hosts of a book whose provider nothing prices, with its name as it is written: most likely a slip."""
    known = {*known_providers(book=book), *_overlay.NO_USD, *HOSTS.values(), *STATES_DOLLARS, BY_MODEL}
    return {str(place): provider for place, provider in book._terms.hosts.rows if provider not in known}


def unreached_providers(book: PriceBook) -> list[str]:
    """The providers of private rates that no host leads to: a slip, or `register(Provider(...))` will name the host."""
    said = {provider for _, provider in book._terms.hosts.rows}
    if BY_MODEL in said:
        return []
    own = {row.provider for row in book.overrides} | {row.provider for row in book._terms.sources.rows}
    return sorted(own - {*known_providers(), *HOSTS.values(), *said})


def unknown_fees(book: PriceBook) -> dict[str, str]:
    """Fees of a book that no answer is known to show, but are written like one that is: a slip, and what was meant."""
    known = {*WITHOUT_RATE, *(fee.name for fee in FEES)}
    hints = {name: suggestion(name, known, alike=0.8) for name in book._terms.fees or () if name not in known}
    return {name: hint for name, hint in hints.items() if hint}


def nearest(model: str, provider: str = "openai", *, book: PriceBook | None = None, n: int = 3) -> list[str]:
    """Return up to *n* priced names similar to *model*, as a hint in messages; never used to price a call."""
    names = [name for name in known_models(provider, book=book) if not name.endswith("*")]
    return difflib.get_close_matches(model.strip().lower()[:200], names, n=n)


def _data(more: object | None) -> list[Any]:
    """The lists that a model is looked up in: of a file, if there is one, and of the package."""
    return [data for data in (more, _public.snapshot()) if data is not None]


def _public_names(provider: str, more: object | None) -> list[str]:
    """Return every exact name in the public lists of *provider*; none for an unknown provider."""
    listed = [m for data in _data(more) for found in data.providers if found.id == provider for m in found.models]
    names = []
    for model in listed:
        clauses = getattr(model.match, "or_", [model.match])
        names += [model.id, *(getattr(clause, "equals", None) for clause in clauses)]
    return [name.lower() for name in names if name]


def _rows(provider: str, model: str, pair: tuple[str, str], sheet: RateTable, source: str) -> Iterable[PriceRow]:
    for above, rates in sheet:
        for unit, rate in sorted(rates.items(), key=lambda pair: UNITS.index(pair[0])):
            per = "minute" if unit == "audio_minute" else "1M tokens"
            yield PriceRow(provider, model, _tier(pair), unit, EXACT.plus(rate), per, above, source)


def _tier(pair: tuple[str, str]) -> str:
    return " ".join(filter(None, pair)) or "standard"
