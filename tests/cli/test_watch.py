"""`token-meter watch`: what it shows, of a directory and of a command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from token_meter import Budget, meter
from token_meter.prices import PriceBook
from token_meter.report._formatting import cells
from token_meter.simulator import Simulator


@pytest.fixture
def ledger(project: Path) -> str:
    """A service's ledger with calls of two models and two customers, one of which failed."""
    with meter("service", ledger=project / "ledger", on_unpriced="ignore") as cb:
        for customer, tokens in (("ada", 1_000_000), ("ada", 1_000_000), ("bob", 2_000_000)):
            cb.record(
                "gpt-4o-mini", provider="openai", prompt_tokens=tokens, completion_tokens=0, tags={"customer": customer}
            )
        cb.record("gpt-4o", provider="openai", status=429, error="rate_limit_error")
        cb.record("odd\x1b[31m", provider="openai", prompt_tokens=10, completion_tokens=0)
    return "ledger"


def test_it_shows_models_tags_and_the_last_errors(tm: Run, ledger: str):
    done = tm("watch", ledger, "--once", COLUMNS="80")

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "5 calls, 1 failed  4,000,010 tokens  >=$0.6000" in lines[1]
    rows = [" ".join(line.split()) for line in lines]
    assert "gpt-4o-mini 3 4,000,000 $0.6000" in rows
    assert "customer=ada 2 2,000,000 $0.3000" in rows
    assert "customer=bob 1 2,000,000 $0.3000" in rows
    assert lines[-1].endswith("gpt-4o: 429 rate_limit_error")
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.stdout


def test_a_command_is_metered_and_its_output_stands_above(tm: Run, project: Path):
    program = "from asking import ask\nask()\nprint('hello [bold]')\nprint('1/2\\r2/2')\nask()\nraise SystemExit(4)"

    done = tm("watch", "--prices", "prices.toml", "--", sys.executable, "app.py", program=program, COLUMNS="80")

    assert done.returncode == 4
    assert done.stdout.index("hello [bold]") < done.stdout.index("2 calls")
    assert ("\n2/2\n" in done.stdout, "1/2" in done.stdout) == (True, False), "a progress bar, as it came to stand"
    assert "ended" in done.stdout
    assert done.stdout.endswith("\n")


def test_numbers_are_whole_where_names_are_not(tm: Run, project: Path):
    with meter(tags={"customer": "名" * 30}, ledger=project / "ledger", on_unpriced="ignore") as cb:
        cb.record("m" * 60, provider="openai", prompt_tokens=10**12, completion_tokens=0)
        cb.record("gpt-4o", provider="openai", prompt_tokens=10**12, completion_tokens=0)
        cb.record("gpt-4o", provider="openai", status=500, error="x" * 200)

    shown = tm("watch", "ledger", "--once", COLUMNS="80").stdout

    assert "mmm…" in shown
    assert shown.count("1,000,000,000,000") == 2
    assert max(map(cells, shown.splitlines())) <= 80


def test_an_empty_directory_says_so(tm: Run, project: Path):
    done = tm("watch", ".", "--once")

    assert "no calls yet" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("nowhere/", "--once"),
            "is no directory and no command; expected: token-meter watch [DIR] [-- COMMAND ARGS...]",
        ),
        (("--every", "0"), "--every must be at least 0.1 seconds, not 0"),
        (("--since", "long ago", "--once"), "--since must be a date"),
    ],
)
def test_a_mistake_says_what_is_expected(tm: Run, words: tuple[str, ...], told: str):
    done = tm("watch", *words)

    assert done.returncode == 2
    assert told in done.stderr


def test_shared_budgets_are_shown(tm: Run, ledger: str, project: Path, simulator: Simulator):
    store = f"sqlite:///{project}/b.db"
    book = PriceBook(hosts={simulator.url: "openai"})
    with simulator.client() as client, meter(budgets=[Budget("team:search", max_calls=4, store=store)], prices=book):
        client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])

    done = tm("watch", ledger, "--once", TOKEN_METER_STORE=store, COLUMNS="80")

    (row,) = [line for line in done.stdout.splitlines() if line.startswith("team:search")]
    assert row.endswith("1 call of 4 calls")
