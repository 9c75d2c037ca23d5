"""The price book: a finished call in, its price out, never an exception. It knows no wire and no meter."""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from token_meter.exceptions import ConfigError
from token_meter.prices import _given as given
from token_meter.prices import _overlay, _public
from token_meter.prices._card import EXACT, Card, Unpriceable
from token_meter.prices._hosts import REGIONAL, Place, PlaceMap, known_provider, place_of
from token_meter.prices._lookup import Entry, entry_of, published
from token_meter.prices._rates import STANDARD, Rates
from token_meter.types import Call, Price, Usage

_LOG = logging.getLogger("token_meter")
_KEPT = 4096
_new = tuple.__new__
_LONGEST = 200
_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}")
_ON_UNPRICED = ("warn", "raise", "ignore")


class _Memo:
    """What was resolved so far; made anew when the public price data changes."""

    __slots__ = ("entries", "snapshot")

    def __init__(self, snapshot: object) -> None:
        self.snapshot = snapshot
        self.entries: dict[tuple[str | None, ...], Entry] = {}


class PriceBook:
    """Where prices come from: the provider's own bill, private rates, the overlay, the public list, in this order.

    A book is fixed once made and may be shared between threads and meters.

    Args:
        overrides: private rates; a row replaces the public one of its provider, model and tier as a whole.
        multipliers: factors on list prices by base URL: `{"https://acme.openai.azure.com/": "1.1"}`.
        models: what a deployment really is: `{("https://acme.openai.azure.com/", "prod-chat"): "gpt-4o"}`.
        hosts: who is paid behind a base URL: `{"https://gw.corp/v1": "openai"}`.
        on_unpriced: `warn`, `raise` or `ignore`, when tokens were counted that have no price.
        name: how reports name the book.
        web_search: US dollars per 1,000 web searches, when their fee shall be part of the price; without it, it is not.
    """

    __slots__ = (
        "_hosts", "_memo", "_models", "_multipliers", "_overrides", "_search_fee", "_shown", "name", "on_unpriced",
    )  # fmt: skip

    name: str | None
    on_unpriced: str
    _hosts: PlaceMap[str]
    _models: Mapping[str, PlaceMap[str]]
    _multipliers: PlaceMap[Decimal]
    _overrides: tuple[Rates, ...]
    _memo: _Memo
    _search_fee: Decimal | None
    _shown: str

    def __init__(
        self,
        overrides: Iterable[Rates] = (),
        multipliers: Mapping[str, Decimal | str | int] | None = None,
        models: Mapping[tuple[str, str], str] | None = None,
        hosts: Mapping[str, str] | None = None,
        on_unpriced: str = "warn",
        *,
        name: str | None = None,
        web_search: Decimal | str | int | None = None,
    ) -> None:
        if on_unpriced not in _ON_UNPRICED:
            msg = f"on_unpriced must be one of {', '.join(_ON_UNPRICED)}, not {on_unpriced!r}"
            raise ConfigError(msg)
        if name is not None:
            given.word(name, "name")
        rows: tuple[Any, ...] = tuple(overrides)
        seen: set[tuple[str | None, ...]] = set()
        for row in rows:
            if not isinstance(row, Rates):
                msg = f"overrides must be Rates(...), not {row!r}"
                raise ConfigError(msg)
            key = (row.provider, row.model, row.tier, row.processing)
            if key in seen:
                msg = f"two overrides for {row.provider} {row.model} (tier {row.tier or 'standard'}); keep one"
                raise ConfigError(msg)
            seen.add(key)
        by_name: dict[str, list[tuple[Place, str]]] = {}
        for pair, model in given.table(models, "models").items():
            if not isinstance(pair, tuple) or len(pair) != 2:
                msg = 'models: a key is (base URL, name), such as ("https://acme.openai.azure.com/", "prod-chat")'
                raise ConfigError(msg)
            by_name.setdefault(given.word(pair[1], "models"), []).append(
                (given.place(pair[0], "models"), given.word(model, "models"))
            )
        fixed: dict[str, Any] = {
            "name": name,
            "on_unpriced": on_unpriced,
            "_overrides": rows,
            "_hosts": PlaceMap(
                (given.place(url, "hosts"), given.word(provider, "hosts"))
                for url, provider in given.table(hosts, "hosts").items()
            ),
            "_models": {name: PlaceMap(places) for name, places in by_name.items()},
            "_multipliers": PlaceMap(
                (given.place(url, "multipliers"), given.rate_of(factor, "multipliers"))
                for url, factor in given.table(multipliers, "multipliers").items()
            ),
            "_memo": _Memo(None),
            "_search_fee": None if web_search is None else given.rate_of(web_search, "web_search"),
            "_shown": f"{len(rows)} overrides, {len(multipliers or ())} multipliers, "
            f"{len(models or ())} models, {len(hosts or ())} hosts",
        }
        for field, value in fixed.items():
            object.__setattr__(self, field, value)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> PriceBook:
        """Read a book from a `.json` or `.toml` file.

        Raises:
            ConfigError: the file cannot be read or says something that cannot be meant.
        """
        from pathlib import Path

        from token_meter.prices._file import read_book

        file = Path(path)
        try:
            return cls(**read_book(file))
        except ConfigError as exc:
            msg = f"price file {file.name}: {exc}"
            raise ConfigError(msg) from exc

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = f"a price book is fixed once made; make a new one instead of setting {name!r}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __deepcopy__(self, memo: object) -> PriceBook:
        return self  # fixed: a copy would be the same book

    def __copy__(self) -> PriceBook:
        return self

    def __repr__(self) -> str:
        named = f"{self.name!r}: " if self.name else ""
        return f"<PriceBook {named}{self._shown}, on_unpriced={self.on_unpriced!r}>"

    @property
    def overrides(self) -> tuple[Rates, ...]:
        """The private rates."""
        return self._overrides

    @property
    def version(self) -> str:
        """The stamp for reports: which price data this book stands on."""
        parts = [f"genai-prices {_public.version()}"]
        if updated := _public.updated_at():
            parts[0] += f" (updated {updated})"
        parts.append(f"overlay {_overlay.AS_OF}")
        if self.name or self._overrides:
            count = len(self._overrides)
            parts.append(f"{self.name or 'price book'} ({count} override{'' if count == 1 else 's'})")
        return " + ".join(parts)

    def provider_of(self, base_url: str | None) -> str | None:
        """Return who is paid for calls to *base_url* (or `host`, `host:port`); `None` when nobody knows."""
        if not base_url:
            return None
        return self._hosts.get(base_url) or known_provider(base_url)

    def price(self, call: Call) -> Price:
        """Return what *call* costs and who says so, or why nobody does. Never raises."""
        usage = call.usage
        if usage is not None and usage.provider_cost is not None:
            return self._priced(usage, _UNASKED)  # no list is looked up, nor loaded
        return self._priced(usage, self._entry(call))

    def priced(self, call: Call) -> Call:
        """Return *call* with its price, and with who is paid for it. Never raises."""
        try:
            provider = call.provider or self.provider_of(call.base_url or call.host)
        except Exception:  # noqa: BLE001  # the observer never harms the observed
            provider = None
        return call._replace(price=self.price(call), provider=provider)

    def price_each(self, call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        """Return what calls like *call* cost with each of *usages*; their rates are looked up once. Never raises."""
        entry = self._entry(call)
        return (self._priced(usage, entry) for usage in usages)

    def _priced(self, usage: Usage | None, entry: Entry) -> Price:
        try:
            if usage is None:
                return Price(Decimal(0), entry.source, None) if entry.free else _NO_USAGE
            if usage.provider_cost is not None:
                return _charged(usage.provider_cost)
            if entry.cost is None:
                return entry.refusal or _NO_USAGE
            if usage.web_searches and self._search_fee is not None:
                fee = EXACT.divide(EXACT.multiply(self._search_fee, Decimal(usage.web_searches)), Decimal(1000))
                return Price(EXACT.add(entry.cost(usage), fee), f"{entry.source} + web searches", None)
            # Past NamedTuple's own constructor, which takes twice as long.
            return _new(Price, (entry.cost(usage), entry.source, None))
        except Unpriceable as exc:
            return Price(None, None, str(exc))
        except Exception as exc:  # noqa: BLE001  # the observer never harms the observed
            return _failed(exc)

    def _entry(self, call: Call) -> Entry:
        """Find the rates for *call*, remembered as long as they hold."""
        try:
            key = (
                call.base_url, call.host, call.provider, call.model_served, call.model_asked,
                call.service_tier, call.processing, call.flavour,
            )  # fmt: skip
            memo = self._memo
            if memo.snapshot is not (snapshot := _public.current()):
                memo = _Memo(snapshot)
                object.__setattr__(self, "_memo", memo)
            entry = memo.entries.get(key)
            if entry is None or not entry.since <= call.started_s < entry.until:
                entry = self._remember(key, call)
        except Exception as exc:  # noqa: BLE001  # the observer never harms the observed
            return Entry(0, 0, None, None, _failed(exc), free=False)
        return entry

    def _remember(self, key: tuple[str | None, ...], call: Call) -> Entry:
        entry = self._resolve(call)
        entries = self._memo.entries
        if len(entries) >= _KEPT:
            entries.clear()
        entries[key] = entry
        return entry

    def _resolve(self, call: Call) -> Entry:
        try:
            return self._find(call)
        except Unpriceable as exc:
            at_s = call.started_s
            hour = at_s - at_s % 3600 if math.isfinite(at_s) else at_s
            return Entry(hour, hour + 3600, None, None, Price(None, None, str(exc)), free=False)

    def _find(self, call: Call) -> Entry:
        """Resolve who is paid, for which model, in which tier, and by whose rates."""
        where = call.base_url or call.host or ""
        provider = self.provider_of(where) or call.provider
        if provider is None:
            place = place_of(where)
            shown = "unknown" if place is None else str(place._replace(path=""))
            msg = f'host {shown} has no known provider; map it with PriceBook(hosts={{"{shown}": "openai"}})'
            raise Unpriceable(msg)
        model, also = self._model(call, where)
        tier = "" if call.service_tier in STANDARD else str(call.service_tier)
        processing = call.processing or ""
        if tier == "batch":  # Anthropic names a batch in the place of the tier
            tier, processing = "", "batch"
        own = self._override(provider, (model, also), tier, processing)
        if own is not None:
            card = Card(own.sheet, flavour=call.flavour)
            return Entry(-math.inf, math.inf, card.cost, own.source, None, card.free)
        factor = self._multipliers.get(where)
        place = place_of(where)
        if provider == "openai" and place is not None and place.host in REGIONAL:
            uplift = _overlay.regional_factor(model)
            if uplift is None:
                msg = f"whether {model} costs more on {place.host} is not known"
                raise Unpriceable(msg)
            factor = uplift if factor is None else EXACT.multiply(factor, uplift)
        price = published(provider, model, tier, processing, call.started_s)
        return entry_of(price, call.flavour, None if factor == 1 else factor)

    def _model(self, call: Call, where: str) -> tuple[str, str | None]:
        """Return the model to price and, when the answer names a dated snapshot of it, the name that was asked."""
        served, asked = (name and name.strip().lower() for name in (call.model_served, call.model_asked))
        for name in (served, asked):
            places = self._models.get(name or "")
            if places is not None and (meant := places.get(where)):
                return meant, None
        model = served or asked
        if not model:
            msg = "neither the request nor the answer names a model"
            raise Unpriceable(msg)
        if len(model) > _LONGEST:
            msg = "the name of the model is too long to be one"
            raise Unpriceable(msg)
        snapshot = served and asked and _SNAPSHOT.fullmatch(served[len(asked) :]) and served.startswith(asked)
        return model, asked if snapshot else None

    def _override(self, provider: str, names: tuple[str | None, ...], tier: str, processing: str) -> Rates | None:
        """Return the private row for one of *names*: exact before pattern, longer pattern before shorter."""
        rows = [
            row
            for row in self._overrides
            if row.provider == provider and (row.tier or "") == tier and (row.processing or "") == processing
        ]
        for name in filter(None, names):
            fitting = [row for row in rows if _overlay.matches(row.model, name)]
            if fitting:
                return max(fitting, key=lambda row: (not row.model.endswith("*"), len(row.model)))
        return None


def _charged(amount: Decimal) -> Price:
    """What the provider itself says it charged."""
    if not amount.is_finite() or amount < 0:
        return Price(None, None, "the provider reports a cost that is no amount")
    return Price(amount, "provider", None)


def _failed(error: Exception) -> Price:
    _LOG.debug("token_meter could not price a call", exc_info=True)
    return Price(None, None, f"pricing failed: {type(error).__name__}")


_UNASKED = Entry(0, 0, None, None, None, free=False)
_NO_USAGE = Price(None, None, "no usage: the answer carried no counts")
