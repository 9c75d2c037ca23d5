"""The public list prices of genai-prices: imported at the first price, asked through its snapshot's `calc` only.

It never starts `UpdatePrices` and never uses the network; prices that the app itself updates are used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from token_meter.prices._rate_card import EXACT, RateTable, UnpriceableError
from token_meter.prices._units import KEYS, check_covered, counts_of, sheet_of
from token_meter.types import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, PriceCalculation


class Found(NamedTuple):
    """A public price: its rates, or, if it has more than rates per token, a function that prices each call.

    Attributes:
        sheet: the rates; `None` when `RateCard` cannot apply them.
        ask: prices one usage through `calc_price`.
        since: the start of its validity, in seconds of the epoch.
        until: the end of its validity (exclusive), in seconds of the epoch.
        listed: the rates in genai-prices' own words.
        contexts: the pairs of tier and processing that have their own price at this moment.
    """

    sheet: RateTable | None
    ask: Callable[[Usage, str], Decimal]
    since: float
    until: float
    listed: tuple[tuple[str, Decimal], ...]
    contexts: tuple[tuple[str, str], ...]


_get_snapshot: Callable[[], object] | None = None
unread = 0
"""How many lists in files were named and are not read yet: the first price by one of them takes its time."""


_refused: dict[tuple[str, str, str, str], tuple[object, float, float, str]] = {}
"""Why names and tiers have no price, by list and time: a long ledger asks for each hour again, which takes its time."""
_KEPT = 1_000


def snapshot() -> object:
    """Return the current price data, and load it if necessary. An update replaces the object."""
    global _get_snapshot
    if _get_snapshot is None:
        from genai_prices.data_snapshot import get_snapshot

        get_snapshot()  # loads it: a thread that finds the function must not wait
        _get_snapshot = get_snapshot
    return _get_snapshot()


def current() -> object:
    """Return the current price data, or `None` before it is loaded."""
    return None if _get_snapshot is None else _get_snapshot()


@cache
def version() -> str:
    """Return the installed version of genai-prices, without importing it."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of

    try:
        return version_of("genai-prices")
    except PackageNotFoundError:
        return "(not installed)"


def updated_at() -> str | None:
    """Return when the app last updated the prices (UTC), or `None` when the bundled ones are used."""
    import sys

    if "genai_prices" not in sys.modules:
        return None
    found: Any = snapshot()
    stamp = found.timestamp if found.from_auto_update else None
    return None if stamp is None else stamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp() -> str:
    """The data in use, for reports: the version, and when the app last updated it."""
    updated = updated_at()
    return f"genai-prices {version()}" + (f" (updated {updated})" if updated else "")


def providers() -> set[str]:
    """The ids of the providers in the package's list."""
    return {found.id for found in snapshot().providers}  # type: ignore[attr-defined]  # a snapshot of genai-prices


def look_up(provider: str, model: str, *, tier: str, processing: str, at_s: float, data: object | None = None) -> Found:
    """Find the public price of *model* at one moment, in *data* or in the current one.

    Raises:
        UnpriceableError: there is none, or none for this tier.
    """
    from genai_prices import Usage as Counts

    found: Any = snapshot() if data is None else data
    place = (provider, model, tier, processing)
    of, since, until, reason = _refused.get(place, (None, 0.0, 0.0, ""))
    if of is found and since <= at_s < until:
        raise UnpriceableError(reason)

    def refusal(text: str, since: float = -math.inf, until: float = math.inf) -> UnpriceableError:
        if len(_refused) >= _KEPT:
            _refused.clear()
        _refused[place] = found, since, until, text
        return UnpriceableError(text)

    # `calc` caches every name for ever, so it must not be called with a name that has no price.
    try:
        priced = found.find_provider(None, provider, None).find_model(model, all_providers=found.providers)
    except LookupError:
        msg = f"provider {provider} has no price list"
        raise refusal(msg) from None
    if priced is None:
        msg = f"{provider} has no price for {model}"
        raise refusal(msg)
    when = datetime.fromtimestamp(at_s, UTC)
    context = {_context_of(provider, tier): tier} if tier else {"processing": processing} if processing else None
    if tier and processing:
        msg = f"tier {tier} has no rate in a {processing}"
        raise refusal(msg)

    def calculate(counts: Counts) -> PriceCalculation:
        with localcontext(EXACT):
            answer: PriceCalculation = found.calc(counts, model, provider, None, when, context)
            return answer

    answer = calculate(Counts())
    if context is not None and not _has_variant(answer, context, when):
        word = f"tier {tier}" if tier else processing
        msg = f"{word} has no rate for {model} at {provider}"
        raise refusal(msg, *_valid(answer.model, at_s))

    def ask(usage: Usage, api: str) -> Decimal:
        check_covered(answer.model_price, usage)
        try:
            return calculate(Counts(**counts_of(usage, api))).total_price
        except ValueError as exc:
            msg = f"the counts contradict each other: {exc}"
            raise UnpriceableError(msg) from exc

    since, until = _valid(answer.model, at_s)
    listed = tuple(
        (key, rate if isinstance(rate, Decimal) else rate.base)
        for key, rate in vars(answer.model_price).items()
        if rate is not None
    )
    sheet = sheet_of(answer.model_price)
    if sheet is not None and context is not None:
        sheet = _without_inherited(sheet, answer, context, when)
    return Found(sheet, ask, since, until, listed, _contexts(answer, when))


def _context_of(provider: str, tier: str) -> str:
    """What the list calls the choice that we call a tier: Anthropic's fast mode is a speed."""
    return "speed" if provider == "anthropic" and tier == "fast" else "service_tier"


def _has_variant(answer: PriceCalculation, context: dict[str, str], when: datetime) -> bool:
    """Whether the tier has its own price. For a tier without one, calc_price returns the standard price silently."""
    if not any(answer.model is model for model in answer.provider.models):
        return False  # a fallback to another provider's model ignores the context
    return any(
        variant.when == context and (variant.constraint is None or variant.constraint.active(when))
        for variant in answer.model.price_variants or ()
    )


def _without_inherited(
    sheet: RateTable, answer: PriceCalculation, context: dict[str, str], when: datetime
) -> RateTable:
    """Remove the rates that genai-prices copies from the standard price to a tier without a published rate.

    Example: batches of gpt-4.1 cost half; the rate of their cached input is not published, but is not the standard one.
    """
    own = {
        key
        for variant in answer.model.price_variants or ()
        if variant.when == context and (variant.constraint is None or variant.constraint.active(when))
        for key, rate in vars(variant.prices).items()
        if rate is not None
    }
    if not own:  # the tier is listed as costing what the standard costs
        return sheet
    return tuple((start, {unit: rate for unit, rate in rates.items() if KEYS[unit] in own}) for start, rates in sheet)


def _contexts(answer: PriceCalculation, when: datetime) -> tuple[tuple[str, str], ...]:
    """Return the `(tier, processing)` pairs that have their own price."""
    pairs = [
        (variant.when.get("service_tier") or variant.when.get("speed") or "", variant.when.get("processing", ""))
        for variant in answer.model.price_variants or ()
        if _has_variant(answer, variant.when, when) and set(variant.when) <= {"service_tier", "speed", "processing"}
    ]
    return tuple(pair for pair in pairs if pair[0] != "default")


def _valid(model: ModelInfo, at_s: float) -> tuple[float, float]:
    """Return the two seconds between which the price of *model* cannot change."""
    limits = [row.constraint for row in model.prices] if isinstance(model.prices, list) else []
    limits += [row.constraint for row in model.price_variants or ()]
    midnight = datetime.fromtimestamp(at_s, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    edges: list[datetime] = []
    for limit in limits:
        if limit is None:
            continue
        if hasattr(limit, "start_date"):
            edges.append(datetime.combine(limit.start_date, datetime.min.time(), UTC))
        elif hasattr(limit, "start_time") and limit.start_time.utcoffset() in (None, timedelta(0)):
            # Days may differ as well; `hour_off` in the overlay says so for such models.
            edges += [midnight, midnight + timedelta(days=1)]
            edges += [
                datetime.combine(midnight.date(), edge.replace(tzinfo=UTC))
                for edge in (limit.start_time, limit.end_time)
            ]
        else:
            return at_s, at_s  # a limit of an unknown kind: ask again for every call
    stamps = [edge.timestamp() for edge in edges]
    since = max((stamp for stamp in stamps if stamp <= at_s), default=-math.inf)
    return since, min((stamp for stamp in stamps if stamp > at_s), default=math.inf)
