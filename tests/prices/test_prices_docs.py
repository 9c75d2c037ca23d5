"""What docs/prices.md shows is what happens."""

from __future__ import annotations

import contextlib
import io
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import pytest

from tests.prices.cases import a_call
from token_meter.prices import PriceBook
from token_meter.types import Usage

PAGE = (Path(__file__).parents[2] / "docs" / "prices.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def run(code: str) -> tuple[str, dict[str, Any]]:
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, names)
    return out.getvalue(), names


def example(language: str, word: str) -> str:
    return next(text for kind, text in BLOCKS if kind == language and word in text)


@pytest.mark.parametrize(
    ("code", "shown"),
    [(text, BLOCKS[i + 1][1]) for i, (kind, text) in enumerate(BLOCKS[:-1]) if BLOCKS[i + 1][0] == "text"],
    ids=["version", "lookup"],
)
def test_shown_output_is_what_a_run_prints(code: str, shown: str) -> None:
    """The block under an example is its output."""
    found, _ = run(code)

    assert found.replace(genai_prices.__version__, "0.2.3") == shown


def test_the_file_and_the_code_are_the_same_book(tmp_path: Path) -> None:
    """The example in code and the example file give the same prices."""
    in_code: PriceBook = run(example("python", "overrides="))[1]["book"]
    path = tmp_path / "prices.toml"
    path.write_text(example("toml", "[[overrides]]"), encoding="utf-8")
    in_file = PriceBook.from_file(path)
    usage = Usage(prompt_tokens=1_000_000, completion_tokens=1_000_000, cached_tokens=250_000)
    calls = {
        "contract": a_call("gpt-6.1-terra", usage),
        "gateway": a_call("gpt-6.1-terra", usage, base_url="https://gw.corp/v1"),
        "deployment": a_call("prod-chat", usage, base_url="https://acme.openai.azure.com/openai/v1/"),
    }

    costs = {name: in_code.price(call).cost for name, call in calls.items()}

    assert costs == {"contract": Decimal("4.61"), "gateway": Decimal("4.61"), "deployment": Decimal("13.40625")}
    assert costs == {name: in_file.price(call).cost for name, call in calls.items()}
