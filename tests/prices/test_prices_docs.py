"""What docs/prices.md shows is what happens."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from click.testing import CliRunner

from tests.prices.cases import a_call
from token_meter.cli import main
from token_meter.prices import PriceBook
from token_meter.report import _age
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


def shown_commands() -> list[tuple[str, str]]:
    """Each command of the page with what stands below it, in the order of the page."""
    pieces = [re.split(r"^\$ ", text, flags=re.MULTILINE)[1:] for kind, text in BLOCKS if kind == "console"]
    return [(line, shown) for block in pieces for line, _, shown in (piece.partition("\n") for piece in block)]


def plain(text: str) -> str:
    """Without what is another with each release: versions, and the models of the SDK."""
    return re.sub(r"^SDK .*\n(?: {8}.*\n)?", "", text.replace(genai_prices.__version__, "0.2.3"), flags=re.MULTILINE)


def test_each_command_prints_what_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in a project of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOKEN_METER_PRICES", raising=False)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "small.json").write_text(example("json", "litellm_provider"), encoding="utf-8")
    monkeypatch.setattr(_age, "today", lambda: _age.date(2026, 11, 28))

    for command, shown in shown_commands():
        told = CliRunner().invoke(main, shlex.split(command)[1:])
        assert plain(told.output) == plain(shown), command
    assert PriceBook.from_file("prices.toml").as_of == _age.date(2026, 11, 27)


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
