"""The hand-derived cases again, with the counts that the wire reads from the raw bodies: both rooms mean the same."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.prices.cases import CASES, call_of
from tests.wire.by_name import read_body
from token_meter.prices import DEFAULT_BOOK, PriceBook

DATA_ZONE = PriceBook(multipliers={"https://acme.openai.azure.com/": "1.1"})


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["id"])
def test_a_raw_body_costs_what_was_worked_out_by_hand(case: dict[str, Any]) -> None:
    """From the bytes of an answer to the last digit of its price."""
    body = {"model": case["model"], "service_tier": case["service_tier"], "usage": case["usage"]}
    reading = read_body(case["endpoint"], json.dumps(body).encode())
    call = call_of(case)._replace(
        usage=reading.usage,
        service_tier=reading.service_tier,
        response_model=reading.model,
        request_model=case["model"],
    )

    cost = (DATA_ZONE if "multiplier" in case.get("requires", "") else DEFAULT_BOOK).price(call).cost

    assert cost == (None if case["expected_usd"] is None else Decimal(case["expected_usd"]))
