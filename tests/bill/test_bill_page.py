"""docs/bill.md: a price file can say what its last lines say."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from tests.prices.cases import a_call
from token_meter.prices import PriceBook
from token_meter.types import Usage


def test_a_price_file_sets_fees(tmp_path: Path) -> None:
    call = a_call("gpt-5", Usage(1000, 100, 1100, web_searches=3))
    found = []
    for text in ("", '[fees]\nweb_search = "8"', "fees = false"):
        (tmp_path / "p.toml").write_text(text)
        price = PriceBook.from_file(tmp_path / "p.toml").price(call)
        found.append((price.cost, price.missing))

    assert found == [(Decimal("0.03225"), ()), (Decimal("0.02625"), ()), (Decimal("0.00225"), ("web_search",))]
