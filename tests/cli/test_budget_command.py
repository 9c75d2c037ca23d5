"""`token-meter budget`: what a store knows of its budgets, and how it is put right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.budget.any_openai import ASK, BOOK, Server
from token_meter import Budget, meter
from token_meter.budget.shared import client_of
from token_meter.cli import main
from token_meter.stores import LeaseRequest, StoreAsk, Units, Window


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The address of a store with a budget that one call has used."""
    address = f"sqlite:///{tmp_path}/b.db"
    with meter(budgets=[Budget("team:search", max_cost="0.01", max_calls=50, store=address)], prices=BOOK):
        Server().sync().chat.completions.create(**ASK)
    return address


def run(*words: str) -> str:
    """What the command prints."""
    done = CliRunner().invoke(main, ["budget", *words])
    assert done.exit_code == 0, done.output
    return done.output


def failed(*words: str) -> tuple[int, str]:
    """The exit code, and what is said."""
    done = CliRunner().invoke(main, ["budget", *words])
    return done.exit_code, done.output


def test_all_budgets_are_listed(store: str) -> None:
    head, row = run("list", "--store", store).splitlines()

    assert head.split() == ["budget", "period", "spent", "held", "limit"]
    assert [cell for cell in row.split("  ") if cell] == [
        "team:search", "in total", "$0.0000312, 58 tokens, 1 call", "$0.00, 0 tokens, 0 calls", "$0.0100, 50 calls",
    ]  # fmt: skip


def test_one_budget_is_shown_with_its_calls_in_flight(store: str) -> None:
    held = StoreAsk(Window("team:search"), Units(None, None, None), Units(10_000_000, 5, 1))
    client_of(store).store.step((), LeaseRequest("c0ffee", (held,)))
    said = run("show", "team:search", "--store", store)

    assert "limits  $0.0100, 50 calls\nspent   $0.0000312, 58 tokens, 1 call\nheld    $0.0100, 5 tokens, 1 call" in said
    assert "call    c0ffee  until 20" in said
    assert run("release", "c0ffee", "--store", store) == "c0ffee: released\n"
    assert "c0ffee" not in run("show", "team:search", "--store", store)


def test_what_was_spent_can_be_set(store: str) -> None:
    assert run("set", "team:search", "--cost", "$0.005", "--calls", "7", "--store", store) == (
        "team:search: $0.005, 7 calls spent\n"
    )
    assert "spent   $0.005, 0 tokens, 7 calls" in run("show", "team:search", "--store", store)


def test_a_ledger_seeds_what_was_spent_twice_as_once(store: str, tmp_path: Path) -> None:
    with meter(ledger=str(tmp_path / "data"), tags={"customer": 7}) as cb:
        for _ in range(3):
            cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1000, completion_tokens=0)
    with meter(ledger=str(tmp_path / "data")) as cb:
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1000, completion_tokens=0)
    told = ("seed", "team:search", "--from", str(tmp_path / "data"), "--store", store)

    for _ in range(2):
        assert run(*told, "--tag", "customer=7") == "team:search: $0.00045, 3,000 tokens, 3 calls spent\n"
    assert run(*told) == "team:search: $0.0006, 4,000 tokens, 4 calls spent\n"


def test_a_budget_that_a_store_has_forgotten_can_be_seeded(store: str, tmp_path: Path) -> None:
    with meter(ledger=str(tmp_path / "data")) as cb:
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1000, completion_tokens=0)
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1000, completion_tokens=0, started_s=1_000_000_000.0)
    run("seed", "customer:7", "--per", "day", "--tz", "+02:00", "--from", str(tmp_path / "data"), "--store", store)

    assert Budget("customer:7", max_cost=1, per="day", tz="+02:00", store=store).read().spent[1:] == (1000, 1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("show", "team:serch"), 2, "did you mean 'team:search'?"),
        (("release", "nobody"), 2, "no call 'nobody' holds anything"),
        (("set", "team:search", "--cost", "much"), 2, "max_cost must be an amount"),
    ],
)
def test_a_mistake_is_a_usage_error(store: str, words: tuple[str, ...], code: int, said: str) -> None:
    found = failed(*words, "--store", store)

    assert found[0] == code
    assert said in found[1]


@pytest.mark.parametrize("words", [("list",), ("show", "team:search"), ("release", "c0ffee")])
def test_a_store_that_no_program_has_made_is_named_and_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = failed(*words)

    assert code == 1
    assert "--store names another store" in said
    assert not [*tmp_path.iterdir()]


def test_a_budget_can_be_set_where_its_store_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert run("set", "customer:7", "--calls", "3") == "customer:7: 3 calls spent\n"
    assert "3 calls" in run("list")


def test_the_help_of_a_group_cuts_no_sentence() -> None:
    for group in ("budget", "prices", "ledger", "baseline"):
        commands = CliRunner().invoke(main, [group, "-h"]).output.partition("Commands:")[2]
        assert commands
        assert "..." not in commands


def test_a_store_that_cannot_be_reached_says_so() -> None:
    code, said = failed("list", "--store", "redis://127.0.0.1:1/0")

    assert code == 1
    assert "the budget store redis://127.0.0.1:1/0 cannot be used" in said


@pytest.mark.parametrize("format", ["table", "md", "html", "json"])
def test_a_report_shows_the_budgets_of_a_store_beside_its_own_limits(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    monkeypatch.setenv("TOKEN_METER_STORE", store)
    ledger = tmp_path / "ledger"
    with meter(budgets=[Budget("customer: 7", max_calls=1, per="day")], prices=BOOK, warn_at=None, ledger=ledger):
        Server().sync().chat.completions.create(**ASK)

    done = CliRunner().invoke(main, ["report", str(ledger), "--store", "default", "-f", format, "--max-calls", "9"])
    assert done.exit_code == 0, done.output
    text = re.sub(r"<[^>]*>|\\\\|`", "", done.output)
    assert "team:search (in total) has spent $0.0000312 of $0.0100 (0%)" in text
    assert re.search(r"customer: 7 \(in the day until .{20,40}\) has spent 1 call of 1 call \(100%\)", text)
    if format == "json":
        own, *shared = json.loads(done.output)["budgets"]
        assert own["scope"] == "run"
        assert [(row["scope"], row["field"], row["status"]) for row in shared] == [
            ("budget customer: 7", "calls", "warn"),
            ("budget team:search", "calls", "ok"),
            ("budget team:search", "cost", "ok"),
        ]


def test_a_report_whose_store_is_down_says_so_and_shows_the_rest(store: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with meter(prices=BOOK, ledger=ledger):
        Server().sync().chat.completions.create(**ASK)

    done = CliRunner().invoke(main, ["report", str(ledger), "--store", "redis://127.0.0.1:1"])
    assert done.exit_code == 0
    assert "no shared budgets are shown: the budget store redis://127.0.0.1:1 cannot be used" in re.sub(
        r"\s+", " ", done.output
    ), done.output
    assert "58" in done.output
