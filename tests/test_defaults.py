"""The default price book of a process: program, command, plugin and report use the same one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import token_meter
from token_meter import _defaults, estimate_cost, meter
from token_meter.config import load_config
from token_meter.exceptions import ConfigError
from token_meter.ledger import Row, read_run
from token_meter.prices import PriceBook, Rates
from token_meter.report import summarise
from token_meter.types import Call, Usage

FILE = 'hosts = {"gw.example" = "openai"}\n[[overrides]]\nprovider = "openai"\nmodel = "m"\ninput = "1"\noutput = "2"\n'
BOOK = PriceBook(overrides=[Rates("openai", "m", input="1", output="2")], hosts={"gw.example": "openai"})
CALL = Call(
    "1", 0.0, 0.1, "gw.example", "chat", "m", "m", Usage(10**6, 0, 10**6), status=200, base_url="https://gw.example"
)


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nobody names a book, before and after."""
    for name in ("PRICES", "LEDGER"):
        monkeypatch.delenv(f"TOKEN_METER_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    token_meter.configure()
    yield
    token_meter.configure()


def by_configure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token_meter.configure(prices=BOOK)


def by_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "p.toml").write_text(FILE)
    token_meter.configure(prices=folder / "p.toml")


def by_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "p.toml").write_text(FILE)
    monkeypatch.setenv("TOKEN_METER_PRICES", str(folder / "p.toml"))


def by_pyproject(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "p.toml").write_text(FILE)
    (folder / "pyproject.toml").write_text('[tool.token_meter]\nprices = "p.toml"\n')


def by_pyproject_above(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_pyproject(folder, monkeypatch)
    (folder / "src" / "deep").mkdir(parents=True)
    monkeypatch.chdir(folder / "src" / "deep")


WAYS = [by_configure, by_path, by_variable, by_pyproject, by_pyproject_above]
Way = Callable[[Path, pytest.MonkeyPatch], None]


def cost_of_meter() -> Decimal:
    with meter() as cb:
        cb.add(CALL)
    return cb.cost


def cost_of_decorated() -> Decimal:
    @meter()
    def work() -> Any:
        cb = token_meter.current()
        assert cb is not None
        cb.add(CALL)
        return cb

    cost: Decimal = work().cost
    return cost


def cost_of_report() -> Decimal:
    return summarise([Row(CALL, None, None)]).totals.cost


def cost_of_estimate() -> Decimal | None:
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
    return estimate_cost(request, base_url="https://gw.example").low


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_f149_one_default_book_reaches_program_and_report(
    way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever names it: meters, decorated functions, estimates and reports price alike."""
    way(tmp_path, monkeypatch)

    assert cost_of_meter() == cost_of_decorated() == cost_of_report() == 1
    assert cost_of_estimate() == Decimal(8) / 10**6
    assert meter().knows_host("https://gw.example")


def test_f149_what_a_meter_is_given_wins_and_configure_wins_over_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nearer word counts; nothing said is what environment and pyproject.toml say."""
    by_pyproject(tmp_path, monkeypatch)
    dear = PriceBook(overrides=[Rates("openai", "m", input="7")], hosts={"gw.example": "openai"})
    token_meter.configure(prices=dear)
    mine = meter(prices=BOOK)
    mine.add(CALL)

    assert (cost_of_meter(), mine.cost) == (7, 1)
    token_meter.configure()
    assert cost_of_meter() == 1


@pytest.mark.parametrize("text", [None, "overrides = 3", "hosts = ["], ids=["no file", "no table", "no TOML"])
def test_f149_a_file_that_cannot_be_read_prices_nothing_and_stops_nothing(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """List prices would be wrong, and an exception would stop a program for its meter's sake."""
    if text is not None:
        (tmp_path / "p.toml").write_text(text)
    monkeypatch.setenv("TOKEN_METER_PRICES", "p.toml")
    cb = meter(on_unpriced="ignore")
    cb.add(CALL._replace(host="api.openai.com", base_url=None, request_model="gpt-4o", response_model="gpt-4o"))

    assert (cb.cost_is_known, cb.unpriced_calls) == (False, 1)
    assert "price file p.toml" in (why := cb.unpriced_models["gpt-4o"])
    assert "named by TOKEN_METER_PRICES" in why
    with pytest.raises(ConfigError, match=r"p\.toml"):
        token_meter.configure(prices="p.toml")


@pytest.mark.parametrize("text", ["[tool.token_meter]\nprices = 3", "[tool.token_meter]\nbudgt = 1", "token_meter = ["])
def test_f149_a_pyproject_that_is_not_valid_otherwise_stops_no_program(text: str, tmp_path: Path) -> None:
    """The commands tell; a program has its list prices."""
    (tmp_path / "pyproject.toml").write_text(text)

    assert _defaults.given_book() is None


def test_f149_run_gives_its_prices_to_the_programs_own_meters(tmp_path: Path) -> None:
    """What the program prints is what the run's table says."""
    (tmp_path / "p.toml").write_text(FILE)
    program = "from token_meter._defaults import given_book; print([r.model for r in given_book().overrides])"
    command = [sys.executable, "-m", "token_meter", "run", "--prices", "p.toml", "--", sys.executable, "-c", program]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env={**os.environ})

    assert done.stdout == "['m']\n", done.stderr


@pytest.mark.parametrize("folder", ["", "src", "src/deep"])
def test_f150_what_a_pyproject_names_is_relative_to_it(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prices, the data directory and the base of a comparison, from every folder of the project."""
    table = '[tool.token_meter]\nprices = "p.toml"\ndata_dir = "runs_of_ours"\ndiff.base = "base.json"\n'
    (tmp_path / "pyproject.toml").write_text(table)
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / folder)

    config = load_config(tmp_path / "pyproject.toml", environment={})

    found = [Path(config[key]).absolute() for key in ("prices", "data_dir", "diff.base")]
    assert found == [tmp_path / name for name in ("p.toml", "runs_of_ours", "base.json")]


@pytest.mark.parametrize("base", ["git:main", "-"])
def test_f150_what_is_no_path_stays(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit, and what comes in."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.token_meter.diff]\nbase = {json.dumps(base)}\n")
    (tmp_path / "src").mkdir()
    monkeypatch.chdir(tmp_path / "src")

    assert load_config(tmp_path / "pyproject.toml", environment={})["diff.base"] == base


@pytest.mark.parametrize("how", ["configure", "variable", "pyproject"])
def test_a_ledger_that_is_named_once_is_that_of_every_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """A service names it at its start; a meter with a ledger of its own writes there."""
    folder = tmp_path / "service"
    folder.mkdir()
    if how == "configure":
        token_meter.configure(ledger="service/calls")
    elif how == "variable":
        monkeypatch.setenv("TOKEN_METER_LEDGER", "service/calls")
    else:
        (folder / "pyproject.toml").write_text('[tool.token_meter]\nledger = "calls"\n')
        monkeypatch.chdir(folder)
    with meter() as outer, meter():
        outer.record("gpt-4o-mini", provider="openai", prompt_tokens=3, completion_tokens=4)
    monkeypatch.chdir(tmp_path)
    with meter(ledger=tmp_path / "own") as cb:
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=3, completion_tokens=4)
    token_meter.configure(ledger=None)

    assert sum(row.calls for row in read_run(folder / "calls")) == 1
    assert sum(row.calls for row in read_run(tmp_path / "own")) == 1


def test_what_is_no_ledger_is_refused_at_once() -> None:
    """Not by the first request."""
    with pytest.raises(ConfigError, match="ledger must be a directory"):
        token_meter.configure(ledger=7)
