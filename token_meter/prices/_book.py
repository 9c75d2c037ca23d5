"""The price book: returns the price of a finished call, and never raises."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import Any, Literal, NoReturn

from token_meter.exceptions import ConfigError
from token_meter.prices import _overlay
from token_meter.prices import _validation as given
from token_meter.prices._by_model import BY_MODEL
from token_meter.prices._contract import Terms, terms_of
from token_meter.prices._listed import Listed
from token_meter.prices._lists import PriceList
from token_meter.prices._lookup import Entry
from token_meter.prices._pricing import Linear, charged, failed, linear, price_of
from token_meter.prices._rate_card import UnpriceableError
from token_meter.prices._rates import Rates
from token_meter.types import Call, Price, Usage

_KEPT = 4096
_KEY = ("base_url", "host", "provider", "response_model", "request_model", "service_tier", "processing", "api")
_key = attrgetter(*_KEY)
_ON_UNPRICED = ("warn", "raise", "ignore")


class _Memo:
    """The rates looked up so far. It is replaced when the public price data changes."""

    __slots__ = ("entries", "snapshot")

    def __init__(self, snapshot: object) -> None:
        self.snapshot = snapshot
        self.entries: dict[tuple[str | None, ...], Entry] = {}


class PriceBook:
    """Prices calls by these sources, in this order: the provider's own bill, private rates, overlay, public list.

    A book is immutable, and may be shared between threads and meters.

    Args:
        overrides: private rates; a row replaces the public one of its provider, model and tier as a whole.
        multipliers: factors on list prices by base URL: `{"https://acme.openai.azure.com/": "1.1"}`.
        models: the model behind a deployment: `{("https://acme.openai.azure.com/", "prod-chat"): "gpt-4o"}`.
        hosts: the provider behind a base URL: `{"https://gw.corp/v1": "openai"}`; `"by-model"` for a gateway with
            models of several, who are then told by the model's name.
        on_unpriced: what to do when counted tokens have no price: `warn`, `raise` or `ignore`.
        name: the book's name in reports.
        web_search: US dollars per 1,000 web searches, instead of the published rates.
        listed: list prices of models that the public list does not have yet.
        public: a file of `token-meter prices update`, in the place of the list that comes with the package.
        fees: own rates per 1,000 of what is billed beside tokens (`{"file_search": "2"}`), instead of the published
            ones; `False`: other terms apply, and such a fee is named in `Price.missing`.
    """

    __slots__ = ("_memo", "_shown", "_terms", "name", "on_unpriced")

    name: str | None
    on_unpriced: str
    _terms: Terms
    _memo: _Memo
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
        listed: Iterable[Listed] = (),
        public: str | os.PathLike[str] | PriceList | None = None,
        fees: Mapping[str, Decimal | str | int] | Literal[False] | None = None,
    ) -> None:
        if on_unpriced not in _ON_UNPRICED:
            msg = f"on_unpriced must be one of {', '.join(_ON_UNPRICED)}, not {on_unpriced!r}"
            raise ConfigError(msg)
        if name is not None:
            given.word(name, "name")
        if isinstance(public, (str, os.PathLike)):
            from token_meter.prices._list_file import read_list

            public = read_list(public)
        elif public is not None and not hasattr(public, "own"):
            msg = f"public must be the path of a list of prices, not {public!r}"
            raise ConfigError(msg)
        terms = terms_of(overrides, multipliers, models, hosts, listed, public, fees, web_search)
        fixed: dict[str, Any] = {
            "name": name,
            "on_unpriced": on_unpriced,
            "_terms": terms,
            "_memo": _Memo(None),
            "_shown": f"{len(terms.overrides)} overrides, {len(multipliers or ())} multipliers, "
            f"{len(models or ())} models, {len(hosts or ())} hosts"
            + (f", {len(terms.sources.rows)} listed" if terms.sources.rows else ""),
        }
        for field, value in fixed.items():
            object.__setattr__(self, field, value)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> PriceBook:
        """Read a book from a `.json` or `.toml` file.

        Raises:
            ConfigError: the file cannot be read or is not valid.
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
        msg = f"a price book is immutable; make a new one instead of setting {name!r}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __deepcopy__(self, memo: object) -> PriceBook:
        return self  # immutable

    def __copy__(self) -> PriceBook:
        return self

    def __repr__(self) -> str:
        named = f"{self.name!r}: " if self.name else ""
        return f"<PriceBook {named}{self._shown}, on_unpriced={self.on_unpriced!r}>"

    @property
    def overrides(self) -> tuple[Rates, ...]:
        """The private rates."""
        return self._terms.overrides

    @property
    def version(self) -> str:
        """The price data that this book uses, as reports show it."""
        parts = [self._terms.sources.public.stamp, f"overlay {_overlay.AS_OF}"]
        own = len(self._terms.overrides), len(self._terms.sources.rows)
        if self.name or any(own):
            counts = [
                f"{n} {word}{'' if n == 1 else 's'}" for n, word in zip(own, ("override", "list row"), strict=True)
            ]
            parts.append(f"{self.name or 'price book'} ({', '.join(counts if own[1] else counts[:1])})")
        return " + ".join(parts)

    @property
    def as_of(self) -> date | None:
        """The day of the list prices; `None` when it is not known."""
        return self._terms.sources.public.as_of

    @property
    def digest(self) -> str:
        """A digest of the private terms, since books may share a name; empty without any."""
        return self._terms.digest()

    def provider_of(self, base_url: str | None) -> str | None:
        """Return the provider of calls to *base_url* (or `host`, `host:port`); `None` when it is not known."""
        return self._terms.provider_of(base_url)

    def price(self, call: Call) -> Price:
        """Return what *call* costs and the source of the price, or the reason why it has none. Never raises."""
        return next(self.price_each(call, (call.usage,)))

    def priced(self, call: Call) -> Call:
        """Return *call* with its price and its provider. Never raises."""
        try:
            provider = call.provider or self._terms.provider_of(call.base_url or call.host)
            if provider == BY_MODEL:
                provider = self._terms.maker_of(call)
        except Exception:  # noqa: BLE001  # the observer never harms the observed
            provider = None
        return call._replace(price=self.price(call), provider=provider)

    def slow_part(self, call: Call) -> Callable[[], object] | None:
        """What has to be loaded before `price` of *call*; `None`: nothing."""
        is_known = self._terms.sources.public.current is not None or _key(call) in self._memo.entries
        return None if is_known else partial(self._entry, call)

    def price_each(self, call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        """Return what calls like *call* cost with each of *usages*; their rates are looked up once. Never raises."""
        entry, believes = self._entry(call), self._believes(call)
        for usage in usages:
            listed = price_of(usage, entry)
            yield charged(usage, listed) if believes and usage is not None else listed

    def _believes(self, call: Call) -> bool:
        """Whether an amount that the answer states is what was charged."""
        try:
            return self._terms.states_dollars(call)
        except Exception:  # noqa: BLE001  # the observer never harms the observed
            return False

    def price_together(self, calls: Sequence[Call]) -> Price | None:
        """Return the price of calls that differ in usage and time only, all in all; `None` where each must be priced
        by itself. Never raises.
        """
        if type(self) is not PriceBook:  # a subclass may price each call in a way of its own
            return None
        try:
            entry = self._entry(calls[0])
            starts = [call.started_s for call in calls]
            if entry.together is None or not entry.since <= min(starts) <= max(starts) < entry.until:
                return None
            if entry.up_to < math.inf and any((call.tokens.prompt_tokens or 0) > entry.up_to for call in calls):
                return None
            if self._believes(calls[0]) and any(call.tokens.provider_cost is not None for call in calls):
                return None
            cost = entry.together([call.tokens for call in calls])
            return None if cost is None else Price(cost, entry.source, None)
        except Exception:  # noqa: BLE001  # the observer never harms the observed
            return None

    def linear(self, call: Call) -> Linear | None:
        """Return how calls like *call* are priced by their sum; `None` where each must be priced by itself."""
        return linear(self._entry(call)) if type(self) is PriceBook else None  # a subclass may price in its own way

    def _entry(self, call: Call) -> Entry:
        """Find the rates for *call*, cached as long as they are valid."""
        try:
            key = _key(call)
            if self._memo.snapshot is not (snapshot := self._terms.sources.public.current):
                object.__setattr__(self, "_memo", _Memo(snapshot))
            entry = self._memo.entries.get(key)
            if entry is None or not entry.since <= call.started_s < entry.until:
                entry = self._remember(key, call)
        except Exception as exc:  # noqa: BLE001  # the observer never harms the observed
            return Entry(0, 0, None, None, failed(exc), free=False)
        return entry

    def _remember(self, key: tuple[str | None, ...], call: Call) -> Entry:
        entry = self._resolve(call)
        if self._memo.snapshot is None:  # maybe this look-up has loaded the list
            object.__setattr__(self, "_memo", _Memo(self._terms.sources.public.current))
        if len(self._memo.entries) >= _KEPT:
            self._memo.entries.clear()
        self._memo.entries[key] = entry
        return entry

    def _resolve(self, call: Call) -> Entry:
        try:
            return self._terms.find(call)
        except UnpriceableError as exc:
            at_s = call.started_s
            hour = at_s - at_s % 3600 if math.isfinite(at_s) else at_s
            return Entry(hour, hour + 3600, None, None, Price(None, None, str(exc)), free=False)
