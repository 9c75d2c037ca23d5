"""Prices that are not sure: tokens of no known kind, a tier that nobody names, a charge that nobody vouches for."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.prices.cases import a_call
from token_meter.prices import DEFAULT_BOOK, PriceBook, Rates
from token_meter.totals.breakdown import Breakdown
from token_meter.types import Price, Usage

GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
AZURE = "https://acme.openai.azure.com/openai/v1"
THOUSAND = Usage(1000, 100, 1100)


def price_of(model: str, usage: Usage, book: PriceBook = DEFAULT_BOOK, **fields: Any) -> Price:
    return book.price(a_call(model, usage, **fields))


def is_whole(price: Price) -> bool:
    """Whether the amount is the bill: what the sums of a meter say of it."""
    sums = Breakdown()
    sums.charge([a_call("m", THOUSAND)], price)
    return price.is_whole and not (sums.sums.unpriced_calls or sums.sums.partly_priced_calls)


REST = {
    "search results fed back, and thoughts": (Usage(151, 1089, 20689, reasoning_tokens=1120), 18329),
    "search results fed back": (Usage(100, 50, 400), 250),
    "less than the thoughts, which are inside": (Usage(100, 50, 180, reasoning_tokens=40), 30),
    "more than the thoughts, which are inside": (Usage(100, 50, 400, reasoning_tokens=40), 250),
    "audio in, of which there are seconds only": (Usage(10, 20, 405, cached_tokens=0), 375),
    "a cache that the prompt leaves out": (Usage(100, 20, 620, cached_tokens=0), 500),
}


@pytest.mark.parametrize(("usage", "open_tokens"), REST.values(), ids=REST)
def test_f140_what_nobody_explains_of_a_total_has_no_price_and_the_rest_is_a_lower_bound(
    usage: Usage, open_tokens: int
) -> None:
    price = price_of("gemini-3-flash-preview", usage, base_url=GOOGLE)
    assert usage.total_tokens is not None
    sure = usage.total_tokens - open_tokens - (usage.prompt_tokens or 0)

    assert price.cost == ((usage.prompt_tokens or 0) * Decimal("0.5") + sure * 3) / 1_000_000
    assert price.reason is not None
    assert str(open_tokens) in price.reason
    assert not is_whole(price)


@pytest.mark.parametrize(
    ("model", "host", "usage"),
    [
        ("gpt-5", "https://api.openai.com/v1", Usage(100, 20, 420, reasoning_tokens=300)),
        ("gemini-3-flash-preview", GOOGLE, Usage(100, 20, 420, reasoning_tokens=300)),
        ("grok-4", "https://api.x.ai/v1", Usage(100, 20, 420, reasoning_tokens=300)),
        ("grok-4", "https://api.x.ai/v1", Usage(100, 20, 420)),
    ],
)
def test_f140_the_rest_is_output_where_something_says_so(model: str, host: str, usage: Usage) -> None:
    """As much reasoning as the rest, or the provider's row."""
    inside = Usage(100, 320, 420)

    assert price_of(model, usage, base_url=host) == price_of(model, inside, base_url=host)
    assert is_whole(price_of(model, usage, base_url=host))


def test_f140_the_billable_output_of_a_usage_follows_the_same_rule() -> None:
    assert Usage(100, 20, 420, reasoning_tokens=300).billable_output_tokens == 320
    assert Usage(100, 20, 420, reasoning_tokens=100).billable_output_tokens == 20
    assert Usage(100, 20, 110).billable_output_tokens == 20


@pytest.mark.parametrize(
    ("model", "asked", "cost"),
    [
        ("gpt-5-nano", "flex", "0.000045"),
        ("gpt-5", "flex", "0.001125"),
        ("gpt-5", "priority", "0.00225"),
        ("gpt-5", "fast", "0.00225"),
        ("gpt-4.1", "ultrafast", "0.0028"),
        ("gpt-4.1", "scale", "0.0028"),
    ],
)
def test_f145_a_tier_that_only_the_request_names_costs_the_lower_of_two_prices_at_least(
    model: str, asked: str, cost: str
) -> None:
    price = price_of(model, THOUSAND, service_tier=f"{asked}?")

    assert price.cost == Decimal(cost)
    assert price.reason is not None
    assert asked in price.reason
    assert not is_whole(price)


def test_f145_a_tier_whose_price_nobody_knows_may_be_below_the_standard_one() -> None:
    assert price_of("gpt-4.1", THOUSAND, service_tier="turbo?").cost is None


def test_f145_a_tier_that_the_answer_names_is_sure() -> None:
    assert is_whole(price_of("gpt-5-nano", THOUSAND, service_tier="flex"))


CHARGED = THOUSAND._replace(provider_cost=Decimal("0.5"))


@pytest.mark.parametrize(
    "host", ["https://openrouter.ai/api/v1", "https://api.x.ai/v1", "https://api.perplexity.ai/v1"]
)
def test_f144_a_charge_is_believed_from_a_host_that_is_known_to_state_dollars(host: str) -> None:
    assert price_of("m", CHARGED, base_url=host) == Price(Decimal("0.5"), "provider", None)


@pytest.mark.parametrize(
    "host", ["https://gw.example.cn/v1", "http://127.0.0.1:4000/v1", "https://openrouter.ai.evil.example/v1"]
)
def test_f144_a_charge_from_any_other_host_is_no_cost(host: str) -> None:
    assert price_of("m", CHARGED, base_url=host).cost is None


def test_f144_a_charge_from_a_host_with_a_price_list_gives_way_to_the_list() -> None:
    assert price_of("gpt-5", CHARGED) == price_of("gpt-5", THOUSAND)


def test_f144_a_price_book_declares_who_states_dollars() -> None:
    book = PriceBook(hosts={"https://gw.corp/v1": "openrouter"})

    assert price_of("m", CHARGED, book, base_url="https://gw.corp/v1").cost == Decimal("0.5")


@pytest.mark.parametrize("name", ["google/gemini-2.5-flash", "models/gemini-2.5-flash", "gemini-2.5-flash"])
@pytest.mark.parametrize("host", [GOOGLE, "https://us-central1-aiplatform.googleapis.com/v1/endpoints/openapi"])
def test_a_providers_own_model_is_priced_under_each_of_its_spellings(name: str, host: str) -> None:
    assert price_of(name, THOUSAND, base_url=host).cost == Decimal("0.00055")


@pytest.mark.parametrize("row", ["gemini-2.5-flash", "google/gemini-2.5-flash"])
def test_a_private_rate_covers_each_spelling(row: str) -> None:
    book = PriceBook([Rates("google", row, input="1", output="1")])

    assert price_of("google/gemini-2.5-flash", THOUSAND, book, base_url=GOOGLE).cost == Decimal("0.0011")


@pytest.mark.parametrize(
    ("asked", "host", "cost"),
    [
        ("model-router", AZURE, "0.00023"),
        ("Model-Router-2025-11-18", AZURE, "0.00023"),
        ("gpt-5-nano", AZURE, "0.00009"),
        ("model-router", "https://api.openai.com/v1", "0.00009"),
    ],
)
def test_a_router_takes_its_fee_on_top_of_the_model_that_served(asked: str, host: str, cost: str) -> None:
    assert price_of("gpt-5-nano-2025-08-07", THOUSAND, request_model=asked, base_url=host).cost == Decimal(cost)
