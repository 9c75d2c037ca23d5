"""The private terms of a price book, and the choice of the rates that apply to a call."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from token_meter._text import WHERE_PRICES_GO, suggestion
from token_meter.exceptions import ConfigError
from token_meter.prices import _overlay, _public
from token_meter.prices import _validation as given
from token_meter.prices._by_model import BY_MODEL, maker_of
from token_meter.prices._fees import SEARCHES, fee_list
from token_meter.prices._hosts import (
    HOSTS,
    LITELLM,
    STATED_IN_HEADERS,
    STATES_DOLLARS,
    Place,
    PlaceMap,
    known_provider,
    place_of,
    registered,
    states_usd,
)
from token_meter.prices._listed import Listed
from token_meter.prices._lists import BUNDLED, PriceList, Sources
from token_meter.prices._lookup import Entry, cheaper_of, entry_of, published, with_fee
from token_meter.prices._rate_card import EXACT, RateCard, RateTable, UnpriceableError
from token_meter.prices._rates import STANDARD, Rates
from token_meter.prices._uplifts import ASSUMED, factor_of, matches, split_tier
from token_meter.types import Call, Price

_LONGEST = 200
_UNNAMED = {"moderations": "omni-moderation-latest"}
"""The default model of an api whose requests need not name one (OpenAI's API reference, 2026-11)."""
WINDOW = "window-"
"""Before the hours of a completion window where a tier stands: what runs in the background within them costs less."""
_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}")


class Terms(NamedTuple):
    """Private rates, and the mapping of hosts to providers and of deployments to models.

    Attributes:
        overrides: the private rates.
        multipliers: factors on list prices by base URL.
        models: the model behind a deployment, by its name, then by base URL.
        hosts: the provider behind a base URL.
        sources: where list prices are found.
        fees: own rates of what is billed beside tokens, per 1,000; `None`: none of it has a price.
    """

    overrides: tuple[Rates, ...]
    multipliers: PlaceMap[Decimal]
    models: Mapping[str, PlaceMap[str]]
    hosts: PlaceMap[str]
    sources: Sources = Sources()
    fees: Mapping[str, Decimal] | None = MappingProxyType({})

    def digest(self, *more: object) -> str:
        """A digest of twelve hexadecimal digits; empty without any terms."""
        rows = [(*map(str, (r.provider, r.model, r.tier, r.processing)), r.sheet) for r in self.overrides]
        models = sorted((name, places.rows) for name, places in self.models.items())
        listed = [row.terms for row in self.sources.rows]
        public = "" if self.sources.public is BUNDLED else self.sources.public.stamp
        fees = ("no fees",) if self.fees is None else sorted(self.fees.items())
        given = (rows, self.multipliers.rows, models, self.hosts.rows, *filter(None, (listed, public, fees, *more)))
        return hashlib.sha256(repr(given).encode()).hexdigest()[:12] if any(given) else ""

    def provider_of(self, base_url: str | None) -> str | None:
        """Return the provider of calls to *base_url*; `None` when it is not known."""
        if not base_url:
            return None
        return self.hosts.get(base_url) or known_provider(base_url)

    def states_dollars(self, call: Call) -> bool:
        """Whether the charge that the answer states is one in US dollars; what was recorded by hand is."""
        where = call.base_url or call.host
        provider = self.provider_of(where) or call.provider
        return states_usd(provider) or (where is None and provider is None)

    def find(self, call: Call) -> Entry:
        """Resolve the provider, the model, the tier and the rates of a call.

        Raises:
            UnpriceableError: no price is known; the message says why.
        """
        tier = call.service_tier or ""
        if not tier.endswith("?"):
            return self._find(call)
        asked = tier.removesuffix("?")
        standard = self._find(call._replace(service_tier=None))
        other = self._find(call._replace(service_tier=asked))
        if other.cost is None:
            if asked not in _overlay.DEARER_TIERS:
                return other
            other = standard
        return cheaper_of(standard, other, f"tier {asked} was asked for, and the answer does not say which one served")

    def _find(self, call: Call) -> Entry:
        where = call.base_url or call.host or ""
        provider = self.provider_of(where) or call.provider
        if provider is None:
            place = place_of(where)
            shown = "unknown" if place is None else str(place._replace(path=""))
            row = f'hosts = {{ "{shown}" = "PROVIDER" }}'
            msg = f"host {shown} has no known provider; say who is paid by {row} in a price file ({WHERE_PRICES_GO})"
            raise UnpriceableError(msg)
        spelled, also = self._model(call, where)
        by_model = provider == BY_MODEL
        if by_model:
            provider, spelled = maker_of(spelled, call.started_s, self._own(), self.sources)
        try:
            found = self._entry_of(call, provider, spelled, also, where)
        except UnpriceableError as exc:  # what is billed by the character needs no rate for tokens
            hour = call.started_s - call.started_s % 3600
            reason = str(exc) + self._of_another_maker(call, provider, where)
            found = Entry(hour, hour + 3600, None, f"list of {provider}", Price(None, None, reason), free=False)
        found = self._with_fees(found, call, provider, spelled)
        if by_model:
            why = "by the model's name" if call.provider == BY_MODEL else f"{BY_MODEL} as hosts says"
            found = found._replace(source=f"{found.source}, {why}")
        return found

    def _of_another_maker(self, call: Call, provider: str, where: str) -> str:
        """A word on a host that the user mapped to one provider, and that serves the models of several."""
        maker = self.maker_of(call) if self.hosts.get(where) == provider else None
        return "" if maker in (None, provider) else f" ({maker} lists it: map a gateway's host to {BY_MODEL!r})"

    def _with_fees(self, entry: Entry, call: Call, provider: str, spelled: str) -> Entry:
        """*entry* with what its model costs beside tokens."""
        fees = fee_list(provider, _overlay.plain_name(provider, spelled), self.fees)
        is_by_token = not fees.per_call and provider != "perplexity"
        other = partial(self._sheet_of, provider, call.started_s, call.processing or "")
        return entry._replace(fees=fees, other=other, together=entry.together if is_by_token else None)

    def _sheet_of(self, provider: str, at_s: float, processing: str, model: str) -> RateTable | None:
        """The rates of another model at the same provider, whose tokens stand beside those of a call."""
        own = self._override(provider, (model,), "", processing)
        try:
            return (
                own.sheet if own is not None else published(provider, model, "", processing, at_s, self.sources).sheet
            )
        except UnpriceableError:
            return None

    def maker_of(self, call: Call) -> str | None:
        """Who is paid for a call to a host that goes by the model; `None` when no maker lists it."""
        try:
            model, _ = self._model(call, call.base_url or call.host or "")
            return maker_of(model, call.started_s, self._own(), self.sources)[0]
        except UnpriceableError:
            return None

    def _own(self) -> list[tuple[str, str]]:
        own = [(row.provider, row.model) for row in self.overrides]
        return own + [(row.provider, row.model) for row in self.sources.rows]

    def _entry_of(self, call: Call, provider: str, spelled: str, also: str | None, where: str) -> Entry:
        model = _overlay.plain_name(provider, spelled)
        named, geo = split_tier(call.service_tier or "")
        tier = "" if named in STANDARD else named
        processing = call.processing or ""
        if tier == "batch":  # Anthropic reports a batch as `service_tier`
            tier, processing = "", "batch"
        own = self._override(provider, (spelled, model, also), tier, processing)
        if own is not None:
            card = RateCard(own.sheet, api=call.api)
            if call.api.endswith("batches"):
                return Entry(-math.inf, math.inf, card.cost_of_many, own.source, None, free=False)
            return Entry(-math.inf, math.inf, card.cost, own.source, None, card.free, card.cost_together)
        if tier.startswith(WINDOW):
            msg = f"a completion window of {tier.removeprefix(WINDOW)} is discounted, and its rate is not published"
            raise UnpriceableError(msg)
        price = published(provider, model, tier, processing, call.started_s, self.sources)
        agreed = self.multipliers.get(where)
        factor, doubt = factor_of(provider, model, price.like, where, geo)
        if agreed is not None:
            factor = EXACT.multiply(factor, agreed)
        entry = entry_of(price, call.api, None if factor == 1 else factor)
        if doubt is not None:
            entry = entry._replace(doubt=doubt, open="regional uplift", together=None)
        if agreed is None and provider in ASSUMED:
            entry = entry._replace(source=f"{entry.source}, assumed {ASSUMED[provider]}")
        fee = _overlay.router_fee(provider, call.request_model)
        if provider in _overlay.REST_IS_OUTPUT:
            entry = entry._replace(counts_rest=True)
        return entry if fee is None else with_fee(entry, EXACT.multiply(fee, factor))

    def _model(self, call: Call, where: str) -> tuple[str, str | None]:
        """Return the model to price and, when the answer names a dated snapshot of it, the requested name."""
        served, asked = (name and name.strip().lower() for name in (call.response_model, call.request_model))
        for name in (served, asked):
            places = self.models.get(name or "")
            if places is not None and (meant := places.get(where)):
                return meant, None
        model = served or asked or _UNNAMED.get(call.api or "")
        if not model:
            msg = "neither the request nor the answer names a model"
            raise UnpriceableError(msg)
        if len(model) > _LONGEST:
            msg = "the name of the model is too long to be one"
            raise UnpriceableError(msg)
        snapshot = served and asked and _SNAPSHOT.fullmatch(served[len(asked) :]) and served.startswith(asked)
        return model, asked if snapshot else None

    def _override(self, provider: str, names: tuple[str | None, ...], tier: str, processing: str) -> Rates | None:
        """Return the private row for one of *names*: exact before pattern, longer pattern before shorter."""
        rows = [
            row
            for row in self.overrides
            if row.provider == provider and (row.tier or "") == tier and (row.processing or "") == processing
        ]
        for name in filter(None, names):
            fitting = [row for row in rows if matches(row.model, name)]
            if fitting:
                return max(fitting, key=lambda row: (not row.model.endswith("*"), len(row.model)))
        return None


def terms_of(
    overrides: Iterable[Rates],
    multipliers: Mapping[str, Decimal | str | int] | None,
    models: Mapping[tuple[str, str], str] | None,
    hosts: Mapping[str, str] | None,
    listed: Iterable[Listed] = (),
    public: PriceList | None = None,
    fees: Mapping[str, Decimal | str | int] | Literal[False] | None = None,
    web_search: Decimal | str | int | None = None,
) -> Terms:
    """Read the arguments of a `PriceBook`.

    Raises:
        ConfigError: an argument is not valid.
    """
    rows, listed_rows = _distinct(tuple(overrides)), _distinct_lists(tuple(listed))
    by_name: dict[str, list[tuple[Place, str]]] = {}
    for pair, model in given.table(models, "models").items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            msg = 'models: a key is (base URL, name), such as ("https://acme.openai.azure.com/", "prod-chat")'
            raise ConfigError(msg)
        by_name.setdefault(given.word(pair[1], "models"), []).append(
            (given.place(pair[0], "models"), given.word(model, "models"))
        )
    paid = PlaceMap(
        (given.place(url, "hosts"), given.word(provider, "hosts"))
        for url, provider in given.table(hosts, "hosts").items()
    )
    _check_paid(paid, {*(row.provider for row in rows), *(row.provider for row in listed_rows)}, public)
    STATED_IN_HEADERS.declare(place for place, provider in paid.rows if provider == LITELLM)
    factors = PlaceMap(
        (given.place(url, "multipliers"), given.rate_of(factor, "multipliers"))
        for url, factor in given.table(multipliers, "multipliers").items()
    )
    own = None
    if fees is not False:
        own = {
            given.word(name, "fees"): given.rate_of(rate, "fees") for name, rate in given.table(fees, "fees").items()
        }
    if web_search is not None:
        own = {**dict.fromkeys(SEARCHES, given.rate_of(web_search, "web_search")), **(own or {})}
    sources = Sources(listed_rows, public or BUNDLED)
    return Terms(rows, factors, {name: PlaceMap(places) for name, places in by_name.items()}, paid, sources, own)


def _check_paid(paid: PlaceMap[str], own: set[str], public: PriceList | None) -> None:
    """Refuse a provider who is most likely a slip: none that anything prices, and nearly the name of one who is known.

    Any other name may be that of a provider whom a program registers.
    """
    known = {*HOSTS.values(), *STATES_DOLLARS, *_overlay.NO_USD, "aws", BY_MODEL, *registered(), *own}
    for place, provider in paid.rows:
        hint = "" if provider in known else suggestion(provider, known, alike=0.8)
        if hint and provider not in {*_public.providers(), *(() if public is None else public.providers())}:
            msg = f"hosts: {str(place)!r} is paid to {provider!r}, whom nothing prices{hint}"
            raise ConfigError(msg)


def _distinct(rows: tuple[Any, ...]) -> tuple[Rates, ...]:
    """Check that all rows are `Rates`, and that no two are for the same provider, model, tier and processing."""
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
    return rows


def _distinct_lists(rows: tuple[Any, ...]) -> tuple[Listed, ...]:
    """Check that all rows are `Listed`, and that no two hold for the same model until the same day."""
    seen: set[tuple[str, str, str | None]] = set()
    for row in rows:
        if not isinstance(row, Listed):
            msg = f"listed must be Listed(...), not {row!r}"
            raise ConfigError(msg)
        key = (row.provider, row.model, row.until)
        if key in seen:
            last = f"until {row.until}" if row.until else "without an end"
            msg = f"two listed rows for {row.provider} {row.model} {last}; keep one, or give the earlier one an until"
            raise ConfigError(msg)
        seen.add(key)
    return rows
