"""The commands that need no recorded run: the demo, counting, prices, versions, the simulator."""

from __future__ import annotations

import csv
import io
import json
import os
from decimal import Decimal

import pytest
from click.testing import CliRunner, Result

import token_meter.cli.demo as demo
import token_meter.simulator
from token_meter.cli import main
from token_meter.report._formatting import cells


def tm(*words: str, **options: object) -> Result:
    """`token-meter WORDS`, in this process."""
    return CliRunner().invoke(main, words, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("words", [(), ("--lesson",)], ids=["English", "lesson"])
def test_the_demo_reads_what_the_server_billed(words, monkeypatch):
    """Every part of it, on 80 columns: turns, gather, stream, threads, three providers, a refusal, the bill."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # an office's proxy does not know this machine
    monkeypatch.setenv("NO_PROXY", "office.example")
    done = tm("demo", *words)

    assert done.exit_code == 0, done.output
    assert done.output.count("this turn") == 3
    for part in ("asyncio.gather", "A stream of", "Anthropic's Claude", "Google's Gemini", "next call was refused"):
        assert part in done.output
    assert "\nmeter == bill\n\nYour turn" in done.output
    assert "differs" not in done.output
    assert max(cells(line) for line in done.output.splitlines()) <= 80
    assert done.output.isascii() == (not words)
    assert os.environ["NO_PROXY"] == "office.example"


def test_a_demo_that_differs_says_where_and_fails(monkeypatch):
    """It is a proof, so it can fail."""
    real = demo._embedding
    monkeypatch.setattr(
        demo, "_embedding", lambda client, cb: (real(client, cb), cb._counted().__dict__.update(total_tokens=1))
    )
    done = tm("demo")

    assert done.exit_code == 1
    assert "<- differs" in done.output
    assert "\nmeter != bill\n" in done.output


def test_a_live_demo_needs_a_key(monkeypatch):
    """It says so before it does anything."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    done = tm("demo", "--live")

    assert done.exit_code == 2
    assert "OPENAI_API_KEY" in done.output


def test_a_live_demo_has_no_bill_to_compare_with(simulator, monkeypatch):
    """It prints the meter for the server in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "sim-live")
    monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
    monkeypatch.setattr("token_meter.totals.accumulator.Accumulator._warn", lambda self: None)
    done = tm("demo", "--live")

    assert done.exit_code == 0, done.output
    assert "meter == bill" not in done.output
    assert simulator.bill("sim-live").calls == 10
    assert "Claude" not in done.output


def test_a_model_is_found_where_it_is_sold():
    """Its maker's prices, and who else sells it; a provider that was named is the only one asked."""
    done = tm("prices", "show", "claude-haiku-4-5")

    assert done.exit_code == 0, done.output
    assert "claude-haiku-4-5 at anthropic; also at google" in done.output
    assert "$5 per 1M tokens" in done.output
    assert tm("prices", "show", "claude-haiku-4-5", "--provider", "openai").exit_code == 1


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (("count", "-m", "gpt-4o"), "hello world", "     2  -\no200k_base; $0.000005 as input of gpt-4o\n"),
        (("count", "-m", "claude-haiku-4-5"), "hello world", "$0.000002 as input of claude-haiku-4-5\n"),
        (("count",), "hello world", "no price: no model was named (-m)"),
        (("count", "-m", "acme-7b", "-"), "hello", "~1  -"),
        (("count", "-m", "acme-7b", "-"), "hello", "no price:"),
    ],
)
def test_count_tells_tokens_and_a_price(words, given, said):
    """A ~ where the encoding is only assumed."""
    done = tm(*words, input=given)

    assert done.exit_code == 0, done.output
    assert said.strip() in done.output


def test_count_sums_files_and_refuses_directories(tmp_path):
    """The total stands below."""
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("hello world")
    done = tm("count", "-m", "gpt-4o", str(tmp_path / "a.txt"), str(tmp_path / "b.txt"))
    wrong = tm("count", str(tmp_path))

    assert "4  total" in done.output
    assert wrong.exit_code == 1
    assert "is a directory; expected a text file" in wrong.output


def test_prices_as_lines_as_json_and_as_a_table():
    """The same rates in each."""
    names = tm("prices", "list").output.splitlines()
    shown = json.loads(tm("prices", "show", "gpt-4o", "--json").output)
    table = list(csv.DictReader(io.StringIO(tm("prices", "export").output)))

    assert "gpt-4o" in names
    assert {Decimal("2.5"), Decimal(10)} <= {Decimal(row["rate"]) for row in shown}
    assert len(table) > 100
    assert {row["model"] for row in table} <= {name for name in names if not name.endswith("*")}


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ('hosts = {"127.0.0.1" = "openai"}\n', 0, "ok, 0 overrides; reports will say: genai-prices"),
        ("x = 1\n", 2, "x"),
        ('fees = {web_serch = "8"}\n', 0, "no answer is known to show 'web_serch'; did you mean 'web_search'?"),
    ],
)
def test_a_file_of_prices_can_be_checked(tmp_path, text, code, said):
    """Before it is used."""
    (tmp_path / "prices.toml").write_text(text)
    done = tm("prices", "check", str(tmp_path / "prices.toml"))

    assert done.exit_code == code
    assert said in done.output


def test_versions_of_what_is_there_and_what_is_not(monkeypatch):
    """For a bug report."""
    monkeypatch.setattr("token_meter.cli.debug._PACKAGES", ("token-meter", "no-such-package"))
    done = tm("debug", "sys")

    assert f"token-meter {token_meter.__version__}" in done.output
    assert "no-such-package not installed" in done.output
    assert "prices genai-prices" in done.output


def test_the_simulator_serves_where_it_is_told(monkeypatch):
    """And on loopback only."""
    asked: list[object] = []
    monkeypatch.setattr(token_meter.simulator, "serve", lambda **where: asked.append(where))
    done = tm("simulator", "--port", "0")

    assert done.exit_code == 0, done.output
    assert asked == [{"host": "127.0.0.1", "port": 0}]
