"""What docs/prices.md says of price files is what happens; tests/docs/ runs its programs and commands."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.prices.cases import a_call
from token_meter.prices import PriceBook
from token_meter.types import Usage

PAGE = (Path(__file__).parents[2] / "docs" / "prices.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def run(code: str) -> dict[str, Any]:
    exec(code, names := {})
    return names


def example(language: str, word: str) -> str:
    return next(text for kind, text in BLOCKS if kind == language and word in text)


def test_the_file_and_the_code_are_the_same_book(tmp_path: Path) -> None:
    """The example in code and the example file give the same prices."""
    in_code: PriceBook = run(example("python", "overrides="))["book"]
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


def test_rows_of_a_list_cost_what_the_page_says(tmp_path: Path) -> None:
    """The free server, and the tier whose factor changes on a day."""
    free, tomorrow = tmp_path / "free.toml", tmp_path / "tomorrow.toml"
    free.write_text(example("toml", '"house"'), encoding="utf-8")
    tomorrow.write_text(example("toml", "ultrafast = 6"), encoding="utf-8")
    usage = Usage(1_000, 100, 1_100)
    last_s = datetime.fromisoformat("2027-02-28T23:59:59Z").timestamp()

    def cost(path: Path, model: str, **fields: Any) -> Decimal | None:
        return PriceBook.from_file(path).price(a_call(model, usage, **fields)).cost

    assert cost(free, "llama-9", base_url="http://127.0.0.1:8000/v1") == 0
    assert cost(tomorrow, "gpt-8") == Decimal("0.006")
    assert cost(tomorrow, "gpt-8", service_tier="ultrafast", started_s=last_s) == Decimal("0.018")
    assert cost(tomorrow, "gpt-8", service_tier="ultrafast", started_s=last_s + 1) == Decimal("0.036")
