"""The public list prices, as genai-prices has them: imported at the first price, asked through `calc_price` only.

It never starts `UpdatePrices` and never reaches for the network; prices that the app itself updates are honoured.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from token_meter.prices._card import EXACT, Sheet, Unpriceable
from token_meter.types import Usage

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, PriceCalculation

_KEYS = {
    "input": "input_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_long": "cache_write_1h_mtok",
    "output": "output_mtok",
    "input_audio": "input_audio_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "input_image": "input_image_mtok",
    "cached_image": "cache_image_read_mtok",
    "output_image": "output_image_mtok",
}
_UNITS = {key: unit for unit, key in _KEYS.items()}

# Rates for what no usage of ours ever counts: they can change no price.
_UNCOUNTED = frozenset(
    f"{name}_{per}"
    for name, per in (
        ("web_searches", "kcount"),
        ("social_searches", "kcount"),
        ("storage_searches", "kcount"),
        ("code_executions", "kcount"),
        ("input_video", "mtok"),
        ("output_video", "mtok"),
        ("output_citation", "mtok"),
        ("input_document", "kpages"),
        ("input_annotated_document", "kpages"),
        ("input_text_messages", "kcount"),
    )
) | {"input_mchars"}


class Found(NamedTuple):
    """A public price: its rates, or, where they are more than rates per token, the way to ask for each call.

    Attributes:
        sheet: the rates; `None` when they have a shape that a card does not understand.
        ask: prices one usage through `calc_price`.
        since: the price holds from this second of the epoch on,
        until: and before this one.
        listed: the rates in genai-prices' own words.
        contexts: the tiers and ways of processing that have a price of their own now.
    """

    sheet: Sheet | None
    ask: Callable[[Usage, str], Decimal]
    since: float
    until: float
    listed: tuple[tuple[str, Decimal], ...]
    contexts: tuple[tuple[str, str], ...]


_get_snapshot: Callable[[], object] | None = None


def snapshot() -> object:
    """Return the price data in force, an object that an update replaces; loads it when that is still to do."""
    global _get_snapshot
    if _get_snapshot is None:
        from genai_prices.data_snapshot import get_snapshot

        _get_snapshot = get_snapshot
    return _get_snapshot()


def current() -> object:
    """Return the price data in force, or `None` as long as nothing needed it."""
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
    """Return when the app last updated the prices, UTC, or `None` when the bundled ones are in force."""
    import sys

    if "genai_prices" not in sys.modules:
        return None
    found: Any = snapshot()
    stamp = found.timestamp if found.from_auto_update else None
    return None if stamp is None else stamp.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def look_up(provider: str, model: str, *, tier: str, processing: str, at_s: float) -> Found:
    """Find the public price of *model* at one moment.

    Raises:
        Unpriceable: there is none, or none for this tier.
    """
    from genai_prices import Usage as Counts
    from genai_prices import calc_price

    found: Any = snapshot()
    # calc_price keeps every name that it was ever asked for; a name without a price must not get that far.
    try:
        priced = found.find_provider(None, provider, None).find_model(model, all_providers=found.providers)
    except LookupError:
        msg = f"provider {provider} has no price list"
        raise Unpriceable(msg) from None
    if priced is None:
        msg = f"{provider} has no price for {model}"
        raise Unpriceable(msg)
    when = datetime.fromtimestamp(at_s, UTC)
    context = {"service_tier": tier} if tier else {"processing": processing} if processing else None
    if tier and processing:
        msg = f"tier {tier} has no rate in a {processing}"
        raise Unpriceable(msg)

    def calculate(counts: Counts) -> PriceCalculation:
        with localcontext(EXACT):
            return calc_price(counts, model, provider_id=provider, genai_request_timestamp=when, price_context=context)

    answer = calculate(Counts())
    if context is not None and not _has_variant(answer, context, when):
        word = f"tier {tier}" if tier else processing
        msg = f"{word} has no rate for {model} at {provider}"
        raise Unpriceable(msg)

    def ask(usage: Usage, flavour: str) -> Decimal:
        _check_covered(answer.model_price, usage)
        try:
            return calculate(Counts(**counts_of(usage, flavour))).total_price
        except ValueError as exc:
            msg = f"the counts contradict each other: {exc}"
            raise Unpriceable(msg) from exc

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


def _has_variant(answer: PriceCalculation, context: dict[str, str], when: datetime) -> bool:
    """Whether the tier has a price of its own: without one, calc_price takes the standard price, silently."""
    if not any(answer.model is model for model in answer.provider.models):
        return False  # a fallback to another provider's model ignores the context
    return any(
        variant.when == context and (variant.constraint is None or variant.constraint.active(when))
        for variant in answer.model.price_variants or ()
    )


def _without_inherited(sheet: Sheet, answer: PriceCalculation, context: dict[str, str], when: datetime) -> Sheet:
    """Leave out the rates that a tier takes over from the standard price because its own are not published.

    Batches of gpt-4.1 are half price, but what their cached input costs nobody says: not the standard rate.
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
    return tuple((start, {unit: rate for unit, rate in rates.items() if _KEYS[unit] in own}) for start, rates in sheet)


def _contexts(answer: PriceCalculation, when: datetime) -> tuple[tuple[str, str], ...]:
    """Return the `(tier, processing)` pairs that have a price of their own."""
    pairs = [
        (variant.when.get("service_tier", ""), variant.when.get("processing", ""))
        for variant in answer.model.price_variants or ()
        if _has_variant(answer, variant.when, when) and set(variant.when) <= {"service_tier", "processing"}
    ]
    return tuple(pair for pair in pairs if pair[0] != "default")


def sheet_of(price: ModelPrice) -> Sheet | None:
    """Read the rates of a model price, or `None` when a card cannot compute with all of them."""
    rates: dict[str, Any] = {}
    starts = {0}
    for key, rate in vars(price).items():
        if rate is None or key in _UNCOUNTED:
            continue
        unit = _UNITS.get(key)
        if unit is None:
            return None
        rates[unit] = rate
        if not isinstance(rate, Decimal):
            if type(rate).__name__ != "TieredPrices":
                return None
            starts.update(tier.start for tier in rate.tiers)
    return tuple((start, {unit: _at(rate, start) for unit, rate in rates.items()}) for start in sorted(starts))


def _at(rate: Any, start: int) -> Decimal:
    """The rate for more than *start* input tokens."""
    if isinstance(rate, Decimal):
        return rate
    found: Decimal = rate.base
    for tier in rate.tiers:
        if start and tier.start <= start:
            found = tier.price
    return found


def counts_of(usage: Usage, flavour: str) -> dict[str, int | float]:
    """Translate our counts into those of genai-prices; its totals include their parts, as ours do."""
    out = usage.billable_output_tokens
    out_image = usage.output_image_tokens
    if flavour == "images" and not out_image:
        out_image = (out or 0) - (usage.output_text_tokens or 0)
    counts = {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": out,
        "output_reasoning_tokens": usage.reasoning_tokens,
        "cache_read_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_long_tokens,
        "input_audio_tokens": usage.input_audio_tokens,
        "output_audio_tokens": usage.output_audio_tokens,
        "cache_audio_read_tokens": usage.cached_audio_tokens,
        "input_image_tokens": usage.input_image_tokens,
        "output_image_tokens": out_image,
        "cache_image_read_tokens": usage.cached_image_tokens,
        "audio_seconds": usage.audio_seconds,
        "input_audio_seconds": usage.audio_seconds,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _check_covered(price: ModelPrice, usage: Usage) -> None:
    """Refuse what calc_price would bill as 0, or at another unit's rate, without a word."""
    known = {key for key, rate in vars(price).items() if rate is not None}
    needs = (
        (usage.prompt_tokens, {"input_mtok"}, "input tokens"),
        (usage.billable_output_tokens, {"output_mtok"}, "output tokens"),
        (usage.cached_tokens, {"cache_read_mtok"}, "cached input"),
        (usage.cache_write_tokens, {"cache_write_mtok"}, "cache writes"),
        (usage.cache_write_long_tokens, {"cache_write_1h_mtok"}, "cache writes with the long time to live"),
        (usage.input_audio_tokens, {"input_audio_mtok"}, "audio input"),
        (usage.output_audio_tokens, {"output_audio_mtok"}, "audio output"),
        (usage.cached_audio_tokens, {"cache_audio_read_mtok"}, "cached audio"),
        (usage.audio_seconds, {"audio_hours", "input_audio_hours"}, "seconds of audio"),
    )
    for count, keys, words in needs:
        if count and not keys & known:
            msg = f"no rate is known for {words}"
            raise Unpriceable(msg)
    if usage.beside_tokens:
        msg = f"{usage.beside_tokens} tokens were reported beside the usage and are billed at another model's price"
        raise Unpriceable(msg)


def _valid(model: ModelInfo, at_s: float) -> tuple[float, float]:
    """Return between which two seconds the price of *model* cannot change."""
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
            # The days of the week may differ too: an overlay rule says so for such models.
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
