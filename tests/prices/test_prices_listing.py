"""The prices as rows for people: complete, sourced, and never used as a price themselves."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import genai_prices
import pytest

from token_meter import prices
from token_meter.prices import PriceBook, Rates, describe, known_models, known_providers, nearest

PUBLIC = f"genai-prices {genai_prices.__version__}"


def test_describe_tells_every_tier() -> None:
    """Public tiers, the overlay's tier and the long-context band stand side by side."""
    rows = {(row.tier, row.unit, row.above): (row.rate, row.source) for row in describe("gpt-6-astra")}

    assert rows["standard", "input", 0] == (Decimal(10), f"{PUBLIC} + overlay 2026-11-27")
    assert rows["standard", "output", 272_000] == (Decimal(75), f"{PUBLIC} + overlay 2026-11-27")
    assert rows["flex", "input", 0] == (Decimal(5), f"{PUBLIC} + overlay 2026-11-27")
    assert rows["batch", "input", 0] == (Decimal(5), f"{PUBLIC} + overlay 2026-11-27")
    assert rows["ultrafast", "input", 0] == (Decimal(60), "overlay 2026-11-27")
    assert {tier for tier, _, _ in rows} == {"standard", "flex", "priority", "fast", "batch", "ultrafast"}


def test_describe_takes_the_price_of_a_moment() -> None:
    """o3 became cheaper on 2025-06-10."""
    old = describe("o3", at_s=datetime.fromisoformat("2025-06-09T12:00:00Z").timestamp())

    assert next(row.rate for row in old if row.unit == "input") == 10


def test_describe_shows_a_private_row_in_the_place_of_the_public_one() -> None:
    """What the meter would use is what is shown."""
    book = PriceBook([Rates("openai", "gpt-4.1", input="1", output="2", note="contract 4711")])

    rows = [row for row in describe("GPT-4.1", book=book) if row.tier == "standard"]

    assert [(row.unit, row.rate, row.source) for row in rows] == [
        ("input", 1, "override contract 4711"),
        ("output", 2, "override contract 4711"),
    ]


def test_describe_shows_rates_that_are_not_per_token() -> None:
    """Audio by the hour is shown as the list has it."""
    assert ("audio", Decimal("0.36"), "hour") in {(row.unit, row.rate, row.per) for row in describe("whisper-1")}


@pytest.mark.parametrize(
    ("model", "provider"), [("gpt-9", "openai"), ("gpt-4o", "nobody"), ("qwen3-max", "dashscope-cn")]
)
def test_describe_of_what_has_no_price_is_empty(model: str, provider: str) -> None:
    """No price, no rows, no exception."""
    assert describe(model, provider) == []


def test_known_models_are_listed_with_their_aliases() -> None:
    """Public ids and aliases, the overlay's and the private ones."""
    names = known_models(book=PriceBook([Rates("openai", "acme-1", input="1")]))

    assert {"gpt-4o", "gpt-4o-2024-08-06", "ft:gpt-4.1-2025-04-14*", "acme-1"} <= set(names)
    assert names == sorted(names)
    assert known_models("nobody") == []


def test_known_providers_have_dollar_prices() -> None:
    """Those that are billed in CNY are not among them."""
    names = known_providers(book=PriceBook([Rates("acme", "acme-1", input="1")]))

    assert {"openai", "anthropic", "dashscope", "acme"} <= set(names)
    assert not {"zhipuai", "dashscope-cn"} & set(names)


@pytest.mark.parametrize(
    ("model", "provider", "first"),
    [("gpt-4o-minni", "openai", "gpt-4o-mini"), ("claude-haiku-45", "anthropic", "claude-haiku-4-5")],
)
def test_nearest_guesses_the_slip(model: str, provider: str, first: str) -> None:
    """A misspelt name finds its neighbours."""
    assert nearest(model, provider)[0] == first


@pytest.mark.parametrize("model", ["", "zzzzzzzz", "x" * 100_000])
def test_nearest_of_nothing_like_it_is_empty(model: str) -> None:
    """No guess is better than a wild one."""
    assert nearest(model) == []


def test_every_public_name_is_there() -> None:
    """The door's promise and what is behind it agree."""
    assert all(getattr(prices, name) is not None for name in prices.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        prices.nothing  # noqa: B018  # reading it is the test
