"""Prices one usage by the rates that were found for its call: whole, or the part that has rates. Never raises."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

from token_meter._fees import LARGEST, Fees
from token_meter.prices._counts import contradicts, reconciled, unexplained
from token_meter.prices._fees import AS_OF, BY_PIECE, DEEP_RESEARCH, OTHER_MODEL, UPSTREAM
from token_meter.prices._lookup import Entry
from token_meter.prices._rate_card import (
    EXACT,
    WORDS,
    AtLeastError,
    RateCard,
    UnpriceableError,
)
from token_meter.types import Price, Usage

_LOG = logging.getLogger("token_meter")
_new = tuple.__new__

NO_USAGE = Price(None, None, "no usage: the answer carried no counts")
ANOMALY = Decimal(100)
"""A stated charge of more than so many times the list price is not believed: a unit was mistaken."""
DEAREST_TOKEN = Decimal("0.1")
"""US dollars for a token that no list reaches by a factor of a hundred; above it, and a fee, nothing is believed."""
DEAREST_FEE = Decimal(10)
_MILLION = Decimal(1_000_000)


def price_of(usage: Usage | None, entry: Entry) -> Price:
    """What *usage* costs by *entry*, without what a provider says it charged."""
    try:
        if entry.free and (usage is None or usage.prompt_tokens is None):
            return Price(Decimal(0), entry.source, None)
        if usage is None:
            return NO_USAGE
        if entry.cost is None:
            is_by_piece = _is_by_piece(usage) and entry.fees is not None
            return _in_parts(usage, entry, _no_tokens) if is_by_piece else entry.refusal or NO_USAGE
        fees = entry.fees
        if (
            entry.doubt is not None or unexplained(usage) or contradicts(usage) or usage.web_searches or usage.fees
            or (fees is not None and (fees.per_call or fees.provider == "perplexity"))
        ):  # fmt: skip
            return _in_parts(usage, entry, entry.cost)
        try:
            # NamedTuple's own constructor takes twice as long.
            return _new(Price, (entry.cost(usage), entry.source, None, ()))
        except AtLeastError as known:
            return Price(known.cost, entry.source, str(known), (_LONG_CONTEXT,))
        except UnpriceableError:
            return _in_parts(usage, entry, entry.cost)
    except UnpriceableError as exc:
        return Price(None, None, str(exc))
    except Exception as exc:  # noqa: BLE001  # the observer never harms the observed
        return failed(exc)


class Linear(NamedTuple):
    """How calls of text that leave between two moments are priced by their sum.

    A call has to have a prompt of at most `up_to` tokens, a total that is the sum of prompt and output, and no tokens
    written to a cache. It may have output, tokens from a cache, or an output that is not known, as is said here.
    `refusal`: why no call has a price. `per_token`: US dollars for one of the prompt, one of the output, and one from a
    cache on top.
    """

    since: float
    until: float
    up_to: float
    output: bool
    cached: bool
    one_way: bool
    price: Callable[[Usage], Price]
    refusal: str | None = None
    source: str | None = None
    per_token: tuple[Decimal, ...] = ()

    def price_sum(self, usage: Usage, largest: int, last: float) -> Price | None:
        """What calls cost of which the sum, the *largest* prompt and the *last* departure are known; `None` where their
        sum does not tell.
        """
        if last >= self.until or largest > self.up_to:
            return None
        if (usage.completion_tokens and not self.output) or (usage.cached_tokens and not self.cached):
            return None
        return self.price(usage)


def linear(entry: Entry) -> Linear | None:
    """How calls by *entry* are priced by their sum; `None` where each must be priced by itself."""
    fees, card = entry.fees, getattr(entry.together, "__self__", None)
    if entry.cost is None:
        refusal = entry.refusal or NO_USAGE
        return Linear(entry.since, entry.until, math.inf, True, True, True, lambda _: refusal, refusal.reason)
    if entry.doubt is not None or (fees is not None and (fees.per_call or fees.provider == "perplexity")):
        return None
    if not isinstance(card, RateCard) or (bounds := card.linear()) is None:
        return None
    up_to, output, cached, one_way, each = bounds

    def price(usage: Usage) -> Price:
        return Price(card.cost_of_sum(usage), entry.source, None)

    up_to = min(up_to, entry.up_to)
    return Linear(entry.since, entry.until, up_to, output, cached, one_way, price, None, entry.source, each)


def charged(usage: Usage, listed: Price) -> Price:
    """What the provider says it charged for *usage*, if it says so and that can be; else what the list says."""
    amount = usage.provider_cost
    if amount is None:
        return listed
    if not amount.is_finite() or amount < 0:
        return Price(None, None, "the provider reports a cost that is not an amount")
    bound = listed.cost and EXACT.multiply(listed.cost, ANOMALY)
    if not bound:
        tokens = (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        bound = EXACT.add(EXACT.multiply(DEAREST_TOKEN, Decimal(tokens)), DEAREST_FEE) if tokens else None
    if bound is not None and amount > bound:
        reason = f"the provider states a charge of ${amount:f}, which is more than {ANOMALY} times the list price"
        return Price(listed.cost, listed.source, reason, (*listed.missing, "provider's charge"))
    if any(name == UPSTREAM for name, _ in usage.fees or ()):
        return Price(amount, "provider", "the router does not say what the key's owner pays upstream", (UPSTREAM,))
    return Price(amount, "provider", None)


def failed(error: Exception) -> Price:
    """No price, because of a failure of ours or of a book's."""
    _LOG.debug("token_meter could not price a call", exc_info=True)
    return Price(None, None, f"pricing failed: {type(error).__name__}")


def _in_parts(usage: Usage, entry: Entry, cost: Callable[[Usage], Decimal]) -> Price:
    """The price of a usage with fees, or of one that has no price as a whole: what is known, and what is missing.

    Raises:
        UnpriceableError: no part is known.
    """
    reasons: list[str] = []
    missing: list[str] = []
    fees, unpaid = entry.fees.of(usage) if entry.fees is not None else (Decimal(0), ())
    elsewhere = _of_other_models(usage, entry, missing)
    tokens = _sure(usage, entry, reasons, missing)
    if elsewhere is not None:
        tokens = tokens._replace(tool_usage_tokens=None)
    if _is_by_piece(usage):
        known = Decimal(0)
        is_any = bool(fees)
        if not is_any:
            msg = f"no rate is known for {', '.join(unpaid)}"
            raise UnpriceableError(msg)
    else:
        known, is_any = _known_part(tokens, cost, reasons, missing)
    if not (is_any or fees or elsewhere):
        raise UnpriceableError(reasons[0])
    if unpaid:
        missing += unpaid
        reasons.append(f"no rate is known for {', '.join(unpaid)}")
    if entry.doubt is not None:
        missing.append(entry.open)
        reasons.append(entry.doubt)
    beside = EXACT.add(fees, elsewhere or Decimal(0))
    source = f"{entry.source} + fees {AS_OF}" if beside else entry.source
    whole = EXACT.add(known, beside) if beside else known
    return Price(whole, source, "; ".join(reasons) or None, tuple(missing))


def _is_by_piece(usage: Usage) -> bool:
    """Whether there are no tokens: speech is billed by the character, and some images by the piece."""
    fees = usage.fees
    return bool(fees) and usage[:2] == (None, None) and all(name in BY_PIECE for name, _ in fees or ())


def _no_tokens(usage: Usage) -> Decimal:
    return Decimal(0)


def _sure(usage: Usage, entry: Entry, reasons: list[str], missing: list[str]) -> Usage:
    """*usage* without the tokens of a total that no count explains, and of parts for which a total has no room."""
    if contradicts(usage) and not (entry.fees is not None and entry.fees.model == DEEP_RESEARCH):
        missing.append("counts that contradict each other")
        reasons.append("the counts contradict each other: a total is less than its parts")
        return reconciled(usage)
    rest = unexplained(usage)
    if rest and entry.counts_rest:
        return usage._replace(reasoning_tokens=rest)
    if rest and rest != usage.reasoning_tokens:
        thoughts, shown = usage.reasoning_tokens or 0, usage.completion_tokens or 0
        sure = thoughts if shown < thoughts <= rest else 0  # more than was shown: it cannot be a part of that
        missing.append("tokens of no known kind")
        reasons.append(
            f"{rest - sure} tokens of the total are neither prompt nor completion, and their rate is not known"
        )
        return usage._replace(
            completion_tokens=shown + sure, total_tokens=(usage.prompt_tokens or 0) + shown + sure
        )  # fmt: skip
    return usage


def _of_other_models(usage: Usage, entry: Entry, missing: list[str]) -> Decimal | None:
    """What the tokens of other models cost, which the answer names; `None` where it names none."""
    found: Decimal | None = None
    for name, count in usage.fees or ():
        unit, at, model = name.partition(OTHER_MODEL)
        if not at or entry.fees is None:
            continue
        sheet = entry.other(model) if entry.other is not None and entry.fees.own is not None else None
        rates = {} if sheet is None else sheet[0][1]
        rate = rates.get(unit, rates.get(_TEXT_UNIT.get(unit, "")))
        if rate is None or count is None:
            missing.append(f"{WORDS.get(unit, unit)} of {model}")
        else:
            cost = EXACT.divide(EXACT.multiply(rate, Decimal(count)), _MILLION)
            found = EXACT.add(found or Decimal(0), cost)
        found = found or Decimal(0)
    return found


_LONG_CONTEXT = "long-context rates"
_TEXT_UNIT = {"input_image": "input", "output_image": "output", "cached_image": "cached_input"}
"""Images without a rate of their own are billed at that of text."""


def _known_part(
    usage: Usage, cost: Callable[[Usage], Decimal], reasons: list[str], missing: list[str]
) -> tuple[Decimal, bool]:
    """What the tokens cost that have a rate, and whether there are any."""
    for _ in WORDS:
        try:
            return cost(usage), any(usage[:2]) or bool(usage.audio_seconds) or not missing
        except AtLeastError as known:
            reasons.append(str(known))
            missing.append(_LONG_CONTEXT)
            return known.cost, True
        except UnpriceableError as exc:
            if exc.unit is None:
                raise
            reasons.append(str(exc))
            missing.append(_NAMES.get(exc.unit) or WORDS.get(exc.unit, exc.unit))
            usage = without(usage, exc.unit)
    return Decimal(0), False


_NAMES = {
    "tool_usage": "tokens of another model", "long_context": _LONG_CONTEXT, "mixed_audio": "cached audio",
    "mixed_image": "cached images", "untold_audio": "audio output", "untold_image": "image output",
}  # fmt: skip


def without(usage: Usage, unit: str) -> Usage:
    """*usage* without the tokens of one unit; what remains can be priced by itself."""
    out = usage.billable_output_tokens
    usage = usage._replace(completion_tokens=out, total_tokens=None)
    if unit == "tool_usage":
        return usage._replace(tool_usage_tokens=None)
    if unit == "untold_audio":  # at least the rate of text
        return usage._replace(output_audio_tokens=0)
    if unit == "untold_image":
        return usage._replace(output_image_tokens=0)
    if unit == "long_context":  # at least the rates of a short one
        return usage._replace(fees=Fees({**dict(usage.fees or ()), LARGEST: 0}))
    if unit == "output":
        return usage._replace(
            completion_tokens=0, output_audio_tokens=None, output_image_tokens=None, reasoning_tokens=None
        )
    if unit == "input":
        return usage._replace(
            prompt_tokens=0, cached_tokens=None, cache_write_tokens=None, cache_write_long_tokens=None,
            input_audio_tokens=None, input_image_tokens=None, cached_audio_tokens=None, cached_image_tokens=None,
        )  # fmt: skip
    if unit == "audio_minute":
        return usage._replace(audio_seconds=None)
    if unit == "output_audio":
        return usage._replace(completion_tokens=(out or 0) - (usage.output_audio_tokens or 0), output_audio_tokens=None)
    return _less_input(usage, unit)


def _less_input(usage: Usage, unit: str) -> Usage:
    prompt, cached = usage.prompt_tokens or 0, usage.cached_tokens or 0
    written, long = usage.cache_write_tokens or 0, usage.cache_write_long_tokens or 0
    audio, image = usage.input_audio_tokens or 0, usage.input_image_tokens or 0
    from_audio, from_image = usage.cached_audio_tokens or 0, usage.cached_image_tokens or 0
    if unit == "cached_input":
        prompt, audio, image = prompt - cached, audio - from_audio, image - from_image
        cached = from_audio = from_image = 0
    elif unit == "cache_write":
        prompt, written, long = prompt - written, 0, 0
    elif unit == "cache_write_long":
        prompt, written, long = prompt - long, max(0, written - long), 0
    elif unit == "input_audio":
        prompt, cached, audio, from_audio = prompt - audio, cached - from_audio, 0, 0
    elif unit == "cached_audio":
        prompt, cached, audio, from_audio = prompt - from_audio, cached - from_audio, audio - from_audio, 0
    elif unit == "cached_image":
        prompt, cached, image, from_image = prompt - from_image, cached - from_image, image - from_image, 0
    else:  # "mixed_...": what of the cached part is text, nothing says
        prompt, cached, audio, image = max(0, prompt - cached - audio - image), 0, 0, 0
    return usage._replace(
        prompt_tokens=max(0, prompt), cached_tokens=cached, cache_write_tokens=written, cache_write_long_tokens=long,
        input_audio_tokens=audio, input_image_tokens=image, cached_audio_tokens=from_audio,
        cached_image_tokens=from_image,
    )  # fmt: skip
