"""Every row of the overlay says where it comes from, and is there because the public list still lacks it."""

from __future__ import annotations

import re
from datetime import date, datetime

import pytest

from tests.prices.cases import A_THURSDAY_NOON_S
from token_meter.prices import PriceBook
from token_meter.prices._overlay import AS_OF, DISPUTED, ROWS
from token_meter.prices._overlay_row import Row
from token_meter.prices._public import Found, look_up
from token_meter.prices._rate_card import UNITS, UnpriceableError
from token_meter.prices._uplifts import regional_factor

A_SATURDAY_S = datetime.fromisoformat("2026-11-21T02:00:00Z").timestamp()


def name(row: Row) -> str:
    return f"{row.models[0]} {row.tier}{row.processing}".strip()


def an_instance(pattern: str) -> str:
    """A model's name that the pattern covers."""
    if pattern.startswith("ft:"):
        return pattern.replace("*", ":acme::abc123")
    return pattern.replace("-20*", "-2026-09-09").replace("*", "")


def public(row: Row, pattern: str, at_s: float = A_THURSDAY_NOON_S) -> Found | None:
    tier, processing = row.tier.replace("*", ""), row.processing.replace("*", "")
    try:
        return look_up(row.provider, an_instance(pattern), tier=tier, processing=processing, at_s=at_s)
    except UnpriceableError:
        return None


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_row_is_still_needed(row: Row) -> None:
    """Delete the row when this fails: the public list has it now."""
    for pattern in row.models:
        found = public(row, pattern)
        listed = set(found.sheet[0][1]) if found is not None and found.sheet is not None else set()

        if row.corrects:
            assert found is None or found.sheet != row.sheet, "the public list says the same now"
        elif row.hour_off is not None:
            at_weekend = public(row, pattern, A_SATURDAY_S)
            assert found is not None
            assert at_weekend is not None
            assert at_weekend.sheet != found.sheet, "the public list knows weekends now"
        elif row.adds:
            assert found is not None, "a row can only add to what is listed"
            assert not listed & {*row.rates, *row.times}, "the public list has these rates now"
        else:
            assert not listed & set(row.rates), "the public list has this price now"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_row_says_where_it_comes_from(row: Row) -> None:
    """A source that can be looked up, and the day when it was read, not after the table's own date."""
    assert re.search(r"https://|litellm \d|copy of \d{4}|OpenAI's price page", row.source)
    assert date.fromisoformat(row.read) <= date.fromisoformat(AS_OF)


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_row_has_rates_that_can_be(row: Row) -> None:
    """Units exist, rates are at least 0, and a row does one thing."""
    assert bool(row.rates or row.times) != (row.hour_off is not None)
    for _, rates in row.sheet:
        assert set(rates) <= set(UNITS)
        assert all(rate >= 0 for rate in rates.values())
    assert [start for start, _ in row.sheet] == sorted({start for start, _ in row.sheet})


def test_no_two_rows_price_one_model_as_a_whole() -> None:
    """The order of the table never decides about money."""
    for row in (row for row in ROWS if row.is_whole):
        others = [other for other in ROWS if other is not row and other.is_whole]
        for pattern in row.models:
            model = an_instance(pattern)
            assert not [o for o in others if o.covers(row.provider, model, row.tier, row.processing)]


def test_disputed_models_are_still_listed() -> None:
    """A mark on a model that is gone would be forgotten."""
    for provider, model in DISPUTED:
        assert look_up(provider, model, tier="", processing="", at_s=A_THURSDAY_NOON_S).sheet


@pytest.mark.parametrize(
    ("model", "factor"),
    [
        ("gpt-5.4", "1.1"),
        ("gpt-5.4-mini-2026-03-17", "1.1"),
        ("gpt-5.5", "1.1"),
        ("gpt-5-6-sol", "1.1"),
        ("gpt-6.1-terra", "1.1"),
        ("gpt-realtime-2.1", "1.1"),
        ("gpt-4o", "1"),
        ("gpt-5", "1"),
        ("gpt-5-mini-2025-08-07", "1"),
        ("gpt-5.2", "1"),
        ("text-embedding-3-small", "1"),
        ("ft:gpt-4.1-2025-04-14:acme::x", "1"),
        ("gpt-realtime-2", None),
        ("brand-new", None),
        ("gpt-4o-2026-03-05", "1.1"),
        ("gpt-4o-2026-03-04", "1"),
    ],
)
def test_newer_models_cost_more_in_a_region(model: str, factor: str | None) -> None:
    """Models released on or after 2026-03-05 cost 10 % more; of some the age is not known."""
    found = regional_factor(model)

    assert (None if found is None else str(found)) == factor


def test_the_overlay_is_in_the_stamp() -> None:
    """A report tells by which table it was priced."""
    assert f"overlay {AS_OF}" in PriceBook().version
