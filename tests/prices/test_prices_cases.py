"""Amounts derived by hand from the providers' price pages come out to the last digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.prices.cases import CASES, call_of
from token_meter.prices import DEFAULT_BOOK, PriceBook

DATA_ZONE = PriceBook(multipliers={"https://acme.openai.azure.com/": "1.1"})


def _book(case: dict[str, Any]) -> PriceBook:
    return DATA_ZONE if "multiplier" in case.get("requires", "") else DEFAULT_BOOK


@pytest.mark.parametrize("case", [c for c in CASES if c["expected_usd"] is not None], ids=lambda c: c["id"])
def test_hand_derived_amount(case: dict[str, Any]) -> None:
    """The price equals the amount that a person worked out from the price page."""
    price = _book(case).price(call_of(case))

    assert price.cost == Decimal(case["expected_usd"]), price
    assert price.source
    assert price.reason is None


@pytest.mark.parametrize("case", [c for c in CASES if c["expected_usd"] is None], ids=lambda c: c["id"])
def test_what_has_no_price_stays_unpriced(case: dict[str, Any]) -> None:
    """No amount is published: the price is unknown, with a reason, and never 0."""
    price = _book(case).price(call_of(case))

    assert price.cost is None
    assert price.source is None
    assert price.reason
