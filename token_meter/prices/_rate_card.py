"""Computes what one usage costs by a table of rates.

Rates are converted to integers once, so that a call is priced by a few integer products: exact, 30 times faster than
another `calc_price`, and independent of the decimal context of the caller's thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from operator import add, lt
from typing import NamedTuple, NoReturn, TypeAlias

from token_meter._fees import LARGEST
from token_meter.types import Usage

TOKEN_UNITS = (
    "input", "cached_input", "cache_write", "cache_write_long", "output", "input_audio", "cached_audio", "output_audio",
    "input_image", "cached_image", "output_image",
)  # fmt: skip
"""The units with a rate per 1M tokens. Totals include their parts; a part with its own rate is subtracted first."""

UNITS = (*TOKEN_UNITS, "audio_minute")
"""All units: those of tokens, and minutes of audio for models that are billed by duration."""

WORDS = {
    "input": "input tokens",
    "cached_input": "cached input",
    "cache_write": "cache writes",
    "cache_write_long": "cache writes with the long time to live",
    "output": "output tokens",
    "input_audio": "audio input",
    "cached_audio": "cached audio",
    "output_audio": "audio output",
    "cached_image": "cached images",
    "audio_minute": "seconds of audio",
}
"""The names of units in messages about a missing rate."""

RateTable: TypeAlias = tuple[tuple[int, Mapping[str, Decimal]], ...]
"""Rates by band, ascending: `((0, {...}), (272_000, {...}))`; a band applies above its start, in input tokens."""

# calc_price has 28 digits in a new thread; with the same number, divisions by 3600 and 60 round the same way.
EXACT = Context(prec=28)
_WIDE = Context(prec=80)


class UnpriceableError(Exception):
    """A usage has no price; the message says why, for users.

    Attributes:
        unit: the part of the usage that has no rate, without which the rest has a price; `None`: there is no rest.
    """

    def __init__(self, text: str, unit: str | None = None) -> None:
        super().__init__(text)
        self.unit = unit


class AtLeastError(UnpriceableError):
    """A usage costs at least so much (`cost`); the message says what is not known of the rest."""

    def __init__(self, cost: Decimal, reason: str) -> None:
        super().__init__(reason)
        self.cost = cost


class _Band(NamedTuple):
    """Rates as integers over one divisor. The rate of a part is its difference to its total's; `None`: no rate."""

    divisor: Decimal
    input: int | None
    output: int | None
    cached: int | None
    write: int | None
    write_long: int | None
    rates: Mapping[str, int]
    minute: Decimal | None


class RateCard:
    """Prices usages by one table of rates; immutable.

    Attributes:
        free: every rate is 0, so that the price is known without any count.
    """

    __slots__ = ("_above", "_base", "_embeds", "_images", "_kinds", "free")

    def __init__(self, sheet: RateTable, *, api: str = "chat", factor: Decimal | None = None) -> None:
        bands = [(start, _band(rates, factor)) for start, rates in sheet]
        self._base = bands[0][1]
        self._above = tuple(reversed(bands[1:]))
        self._images = api == "images"
        self._embeds = api == "embeddings"
        # What is generated beside text at another rate: an answer that does not tell it apart has no price.
        self._kinds = () if self._images else tuple(
            kind for kind in ("audio", "image")
            if any(rates.get(f"output_{kind}") not in (None, rates.get("output")) for _, rates in sheet)
        )  # fmt: skip
        self.free = all(rate == 0 for _, rates in sheet for rate in rates.values())

    def cost(self, usage: Usage) -> Decimal:
        """Return what *usage* costs in US dollars, exactly.

        Raises:
            UnpriceableError: a count has no rate, is missing or contradicts another.
        """
        return self._cost_in(self._band_of(usage.prompt_tokens or 0), usage)

    def cost_of_many(self, usage: Usage) -> Decimal:
        """Return what many requests cost, of which *usage* is the sum: how much each sent decides on its rates.

        Raises:
            UnpriceableError: as `cost`, and where some may have sent so much that other rates apply.
        """
        prompt, largest = usage.prompt_tokens or 0, dict(usage.fees or ()).get(LARGEST)
        if not self._above or prompt <= self._above[-1][0]:
            return self._cost_in(self._base, usage)
        if largest == prompt:
            return self.cost(usage)  # it had one request
        if largest is None or largest > self._above[-1][0]:
            msg = "requests of the job may have been billed at the rates of a long context"
            raise UnpriceableError(msg, "long_context")
        return self._cost_in(self._base, usage)

    def cost_together(self, usages: Sequence[Usage]) -> Decimal | None:
        """Return what *usages* cost in all; `None` where that is not known to be the price of their sum.

        It is, where all are in the lowest band, hold text only, and have a total that is the sum of both directions.

        Raises:
            UnpriceableError: a count has no rate.
        """
        prompts, completions, totals, cached, write, write_long, reasoning, *others = zip(*usages, strict=True)
        charges = others.pop(-2)
        if self._images or self._kinds or charges.count(None) < len(charges):
            return None
        if any(map(any, (write, write_long, *others))):
            return None
        if None in prompts or None in completions or tuple(map(add, prompts, completions)) != totals:
            return None
        if any(map(lt, completions, [count or 0 for count in reasoning])):
            return None
        known = [count or 0 for count in cached]
        if any(map(lt, prompts, known)) or (self._above and max(prompts) > self._above[-1][0]):
            return None
        return self._cost_in(self._base, Usage(sum(prompts), sum(completions), sum(totals), sum(known)))

    def cost_of_sum(self, usage: Usage) -> Decimal:
        """The same of calls of text, of which the sum is known, and that they are `linear`."""
        return self._cost_in(self._base, usage)

    def linear(self) -> tuple[float, bool, bool, bool, tuple[Decimal, ...]] | None:
        """Which calls cost what their sum costs: those up to which prompt; may they have output, parts from a cache, an
        output that is not known; and the dollars for a token sent, made, and cached on top. `None`: no calls.
        """
        sent, made, cached = rates = (self._base.input, self._base.output, self._base.cached)
        if self._images or self._kinds or sent is None:
            return None
        up_to = self._above[-1][0] if self._above else float("inf")
        each = tuple(_WIDE.divide(Decimal(rate or 0), self._base.divisor) for rate in rates)
        return up_to, made is not None, cached is not None, self._embeds or not made, each

    def _band_of(self, prompt: int) -> _Band:
        for start, band in self._above:
            if prompt > start:
                return band
        return self._base

    def _cost_in(self, band: _Band, usage: Usage) -> Decimal:
        (
            prompt, completion, total, cached, write, write_long, reasoning, in_audio, out_audio, c_audio,
            in_image, out_image, c_image, out_text, seconds, _searches, beside, _charged, _fees,
        ) = usage  # fmt: skip
        if beside:
            msg = f"{beside} tokens are outside of the usage and are billed at another model's price"
            raise UnpriceableError(msg, "tool_usage")
        if prompt is None:
            if seconds is None or completion:
                msg = "the answer does not say how many tokens were sent"
                raise UnpriceableError(msg, "input")
            prompt = 0
        if completion is None:
            if seconds is None and not self._embeds and band.output:
                msg = "the answer does not say how many tokens were generated"
                raise UnpriceableError(msg, "output")
            out = 0
        else:
            out = completion
            # Some leave reasoning out of the completion tokens, but not out of the total.
            if reasoning and total is not None and total - prompt - out == reasoning:
                out = total - prompt
        amount = 0
        if prompt:
            if band.input is None:
                _refuse("input")
            amount = prompt * band.input
        if out:
            if band.output is None:
                _refuse("output")
            amount += out * band.output
        inside = 0
        if cached:
            if band.cached is None:
                _refuse("cached_input")
            inside = cached
            amount += cached * band.cached
        if write:
            if band.write is None:
                _refuse("cache_write")
            inside += write
            amount += write * band.write
        if write_long:
            if band.write_long is None:
                _refuse("cache_write_long")
            if write_long > (write or 0):
                _contradict("long cache writes", "cache writes")
            amount += write_long * band.write_long
        if inside > prompt:
            _contradict("cached and written tokens", "input tokens")
        if self._images or in_audio or out_audio or c_audio or in_image or out_image or c_image:
            if self._images and not out_image:
                out_image = out - (out_text or 0)
            amount += _modalities(
                band.rates, prompt - inside, cached or 0, out,
                (in_audio or 0, out_audio or 0, c_audio), (in_image or 0, out_image or 0, c_image),
            )  # fmt: skip
        cost = _WIDE.divide(Decimal(amount), band.divisor)
        if seconds:
            if band.minute is None:
                _refuse("audio_minute")
            spoken = EXACT.divide(EXACT.multiply(band.minute, Decimal(repr(seconds))), Decimal(60))
            cost = EXACT.add(cost, spoken)
        for kind in self._kinds:
            if out and (out_audio if kind == "audio" else out_image) is None:
                msg = f"the answer does not say how much of its output was {kind}"
                raise UnpriceableError(msg, f"untold_{kind}")
        return cost


def _modalities(
    rates: Mapping[str, int],
    plain: int,
    cached: int,
    out: int,
    audio: tuple[int, int, int | None],
    image: tuple[int, int, int | None],
) -> int:
    """Return what audio and images cost on top of the text rates.

    Audio without its own rate has no price, because the text rate is up to 37 times too low. Images without their own
    rate are billed at the text rate.
    """
    amount = parts_in = 0
    if (audio[2] or 0) + (image[2] or 0) > cached:
        _contradict("cached audio and image tokens", "cached tokens")
    if audio[1] + image[1] > out:
        _contradict("audio and image tokens", "output tokens")
    for kind, (sent, made, from_cache) in (("audio", audio), ("image", image)):
        own_in, own_out, own_cached = (rates.get(f"{part}_{kind}") for part in ("input", "output", "cached"))
        if kind == "audio":
            if sent and own_in is None:
                _refuse("input_audio")
            if made and own_out is None:
                _refuse("output_audio")
        if own_in is not None and cached and sent and from_cache is None:
            msg = f"the answer does not say how much of the cached input was {kind}"
            raise UnpriceableError(msg, f"mixed_{kind}")
        reused = from_cache or 0
        if reused > sent:
            _contradict(f"cached {kind} tokens", f"{kind} tokens")
        if reused and own_in is not None and own_cached is None:
            _refuse(f"cached_{kind}")
        if own_in is not None and sent > reused:
            parts_in += sent - reused
            amount += (sent - reused) * (own_in - rates["input"])
        if reused and own_cached is not None:
            amount += reused * (own_cached - rates["cached_input"])
        if made and own_out is not None:
            amount += made * (own_out - rates["output"])
    if parts_in > plain:
        _contradict("audio and image tokens", "input tokens")
    return amount


def _band(rates: Mapping[str, Decimal], factor: Decimal | None) -> _Band:
    """Convert decimal rates per 1M tokens to integers over one divisor."""
    found = {unit: rate if factor is None else _WIDE.multiply(rate, factor) for unit, rate in rates.items()}
    minute = found.pop("audio_minute", None)
    places = max((-int(rate.as_tuple().exponent) for rate in found.values()), default=0)
    scale = Decimal(10) ** max(places, 0)
    whole = {unit: int(_WIDE.multiply(rate, scale)) for unit, rate in found.items()}
    text, write = whole.get("input"), whole.get("cache_write")
    return _Band(
        divisor=scale * 1_000_000,
        input=text,
        output=whole.get("output"),
        cached=_over(whole.get("cached_input"), text),
        write=_over(write, text),
        write_long=_over(whole.get("cache_write_long"), write),
        rates=whole,
        minute=minute,
    )


def _over(part: int | None, total: int | None) -> int | None:
    return None if part is None or total is None else part - total


def _refuse(unit: str) -> NoReturn:
    msg = f"no rate is known for {WORDS[unit]}"
    raise UnpriceableError(msg, unit)


def _contradict(part: str, total: str) -> NoReturn:
    msg = f"the counts contradict each other: more {part} than {total}"
    raise UnpriceableError(msg)
