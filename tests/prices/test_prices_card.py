"""A card computes what calc_price computes, to the last digit, for every model that it takes on."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, getcontext, localcontext
from functools import cache
from typing import Any

import genai_prices
import pytest
from genai_prices import data_snapshot
from hypothesis import given
from hypothesis import strategies as st

from tests.prices.cases import A_THURSDAY_NOON_S, a_call
from token_meter.prices import PriceBook, Rates
from token_meter.prices._public import look_up
from token_meter.prices._rate_card import RateCard, RateTable, UnpriceableError
from token_meter.prices._units import counts_of
from token_meter.types import Usage

CONTEXTS = [("", ""), ("flex", ""), ("priority", ""), ("fast", ""), ("", "batch")]
SOME = ["gpt-4o", "gpt-6.1-terra", "whisper-1", "gpt-realtime", "qwen3-max", "gpt-image-1"]
COUNT = st.one_of(st.integers(0, 300), st.integers(0, 600_000), st.integers(0, 2**62))


@cache
def priced() -> list[tuple[str, str, tuple[str, str], RateTable]]:
    """Every model of every provider in every tier that a card takes on."""
    found = []
    for provider in data_snapshot.get_snapshot().providers:
        for model in provider.models:
            for context in CONTEXTS:
                with suppress(UnpriceableError):
                    sheet = look_up(
                        provider.id, model.id, tier=context[0], processing=context[1], at_s=A_THURSDAY_NOON_S
                    ).sheet
                    if sheet is not None:
                        found.append((provider.id, model.id, context, sheet))
    return found


@st.composite
def usages(draw: st.DrawFn, units: Collection[str]) -> Usage:
    """A consistent usage of what has a rate: parts fit into their totals, as a provider reports them."""

    def part(unit: str, limit: int) -> int:
        return draw(st.integers(0, limit)) if unit in units else 0

    prompt = draw(COUNT) if "input" in units else 0
    completion = draw(COUNT) if "output" in units else 0
    cached = part("cached_input", prompt)
    write = part("cache_write", prompt - cached)
    cached_audio = part("cached_audio", cached)
    cached_image = part("cached_image", cached - cached_audio)
    plain = prompt - cached - write
    audio = part("input_audio", plain)
    out_audio = part("output_audio", completion)
    more = draw(st.sampled_from([0, 300])) if "output" in units else 0
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=draw(st.one_of(st.none(), st.just(prompt + completion + more))),
        cached_tokens=cached,
        cache_write_tokens=write,
        cache_write_long_tokens=part("cache_write_long", write),
        reasoning_tokens=draw(st.integers(0, completion)),
        input_audio_tokens=cached_audio + audio,
        output_audio_tokens=out_audio,
        cached_audio_tokens=cached_audio,
        input_image_tokens=cached_image + draw(st.integers(0, plain - audio)),
        output_image_tokens=draw(st.integers(0, completion - out_audio)),
        cached_image_tokens=cached_image,
    )


def by_calc_price(provider: str, model: str, context: tuple[str, str], usage: Usage, api: str) -> Decimal:
    tier, processing = context
    with localcontext() as wide:
        wide.prec = 60  # 28 digits are not enough for 2**62 tokens
        return genai_prices.calc_price(
            genai_prices.Usage(**counts_of(usage, api)),
            model,
            provider_id=provider,
            genai_request_timestamp=datetime.fromtimestamp(A_THURSDAY_NOON_S, UTC),
            price_context={"service_tier": tier} if tier else {"processing": processing} if processing else None,
        ).total_price


@given(st.data())
def test_card_equals_calc_price(data: st.DataObject) -> None:
    """Whatever a card prices, calc_price prices the same: text, tiers, cliffs, audio, images, cached parts."""
    provider, model, context, sheet = data.draw(st.sampled_from(priced()))
    usage = data.draw(usages(sheet[0][1]))

    assert RateCard(sheet).cost(usage) == by_calc_price(provider, model, context, usage, "chat")


@pytest.mark.parametrize("model", ["gpt-image-1", "gpt-image-1-mini", "gpt-image-1.5", "gpt-image-2"])
@pytest.mark.parametrize("made", [Usage(), Usage(output_text_tokens=40), Usage(output_image_tokens=900)])
def test_an_image_body_without_details_is_all_image(model: str, made: Usage) -> None:
    """What an image model generated is billed as images, except what is said to be text."""
    sheet = look_up("openai", model, tier="", processing="", at_s=A_THURSDAY_NOON_S).sheet
    assert sheet is not None
    usage = made._replace(prompt_tokens=50, completion_tokens=1000)

    assert RateCard(sheet, api="images").cost(usage) == by_calc_price("openai", model, ("", ""), usage, "images")


@pytest.mark.parametrize(
    ("model", "start"), [("gpt-6.1-terra", 272_000), ("gpt-5.6-luna", 272_000), ("gpt-6-astra", 272_000)]
)
def test_the_cliff_is_strictly_above(model: str, start: int) -> None:
    """At the limit all tokens cost the base rate, one token later all cost the higher one."""
    sheet = look_up("openai", model, tier="", processing="", at_s=A_THURSDAY_NOON_S).sheet
    assert sheet is not None
    at, over = (Usage(prompt_tokens=n, completion_tokens=1000) for n in (start, start + 1))

    assert RateCard(sheet).cost(at) == by_calc_price("openai", model, ("", ""), at, "chat")
    assert RateCard(sheet).cost(over) == by_calc_price("openai", model, ("", ""), over, "chat")
    assert RateCard(sheet).cost(over) > RateCard(sheet).cost(at) * Decimal("1.4")


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        (Usage(prompt_tokens=10, completion_tokens=1, cached_tokens=11), "more cached and written tokens"),
        (Usage(prompt_tokens=10, completion_tokens=1, cache_write_tokens=4, cached_tokens=7), "more cached"),
        (Usage(prompt_tokens=10, completion_tokens=1, cache_write_tokens=4, cache_write_long_tokens=5), "long"),
        (Usage(prompt_tokens=10, completion_tokens=1, input_audio_tokens=11), "more audio"),
        (Usage(prompt_tokens=10, completion_tokens=1, output_audio_tokens=2), "more audio"),
        (Usage(prompt_tokens=10, completion_tokens=1, cached_audio_tokens=1), "more cached audio"),
        (Usage(prompt_tokens=10, completion_tokens=1, cached_tokens=5, cached_audio_tokens=2), "more cached audio"),
        (Usage(prompt_tokens=10, completion_tokens=1, cached_tokens=5, input_audio_tokens=2), "does not say how much"),
        (Usage(prompt_tokens=10), "how many tokens were generated"),
        (Usage(completion_tokens=10), "how many tokens were sent"),
        (Usage(), "how many tokens were sent"),
        (Usage(prompt_tokens=10, completion_tokens=1, audio_seconds=2.0), "seconds of audio"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_counts_that_cannot_be_are_not_priced(usage: Usage, words: str) -> None:
    """Counts that contradict each other, or are half there, have no price."""
    rates = {"input": 4, "cached_input": 1, "cache_write": 5, "cache_write_long": 8, "output": 16}
    audio = {"input_audio": 32, "cached_audio": 1, "output_audio": 64}
    card = RateCard(((0, {unit: Decimal(rate) for unit, rate in {**rates, **audio}.items()}),))

    with pytest.raises(UnpriceableError, match=words):
        card.cost(usage)


def test_the_callers_decimal_context_does_not_matter() -> None:
    """An app that computes with three digits still gets the exact price."""
    book = PriceBook(multipliers={"api.openai.com": "1.0123456789"})
    call = a_call("gpt-4o-mini", Usage(prompt_tokens=123_456_789, completion_tokens=987_654_321))
    other = a_call("whisper-1", Usage(audio_seconds=12.7), api="transcriptions")
    expected = book.price(call).cost, book.price(other).cost
    fresh = PriceBook(multipliers={"api.openai.com": "1.0123456789"})

    with localcontext() as narrow:
        narrow.prec = 3
        found = fresh.price(call).cost, fresh.price(other).cost

    assert found == expected
    assert getcontext().prec != 3


def test_costs_carry_no_idle_zeros() -> None:
    """An amount reads as a person would write it: records and reports show it as it is."""
    cost = PriceBook().price(a_call("gpt-4o-mini", Usage(prompt_tokens=1_000_000, completion_tokens=0))).cost

    assert str(cost) == "0.15"


def test_a_minute_of_audio_has_a_price_of_its_own() -> None:
    """A private rate per minute bills seconds."""
    book = PriceBook([Rates("openai", "whisper-1", audio_minute="0.006")])
    call = a_call("whisper-1", Usage(audio_seconds=90), api="transcriptions")

    assert book.price(call).cost == Decimal("0.009")


@given(
    model=st.one_of(
        st.none(),
        st.text(),
        st.sampled_from(SOME),
    ),
    base_url=st.one_of(st.none(), st.text(), st.sampled_from(["https://api.openai.com/v1", "https://[::1", "//@:x"])),
    tier=st.one_of(st.none(), st.text(max_size=8), st.sampled_from(["priority", "flex", "ultrafast"])),
    processing=st.one_of(st.none(), st.text(max_size=8), st.just("batch")),
    started_s=st.floats(allow_nan=True, allow_infinity=True),
    counts=st.lists(st.one_of(st.none(), st.integers(0, 2**63)), min_size=14, max_size=14),
    seconds=st.one_of(st.none(), st.floats(0, 1e300)),
    charged=st.one_of(st.none(), st.none(), st.decimals()),
)
def test_price_never_raises(counts: list[Any], seconds: Any, charged: Any, model: Any, **fields: Any) -> None:
    """Whatever a call says, there is a price or a reason, never an exception and never both."""
    usage = Usage(*counts, seconds, None, None, charged)
    base_url, tier, processing = fields["base_url"], fields["tier"], fields["processing"]

    price = PriceBook().price(
        a_call(model, usage, base_url=base_url, service_tier=tier, processing=processing, started_s=fields["started_s"])
    )

    assert (price.cost is None) == (price.source is None) == (price.reason is not None)
    assert price.cost is None or (price.cost.is_finite() and price.cost >= 0)
