"""docs/bill.md: its example prints what it shows, and a price file can say what its last lines say."""

from __future__ import annotations

import contextlib
import io
import re
from decimal import Decimal
from pathlib import Path

from tests.prices.cases import a_call
from token_meter.prices import PriceBook
from token_meter.types import Usage

PAGE = (Path(__file__).parents[2] / "docs" / "bill.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_page_shows() -> None:
    code, shown = re.findall(r"^```(?:python|text)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, {})

    assert out.getvalue() == shown


def test_a_price_file_sets_fees(tmp_path: Path) -> None:
    call = a_call("gpt-5", Usage(1000, 100, 1100, web_searches=3))
    found = []
    for text in ("", '[fees]\nweb_search = "8"', "fees = false"):
        (tmp_path / "p.toml").write_text(text)
        price = PriceBook.from_file(tmp_path / "p.toml").price(call)
        found.append((price.cost, price.missing))

    assert found == [(Decimal("0.03225"), ()), (Decimal("0.02625"), ()), (Decimal("0.00225"), ("web_search",))]
