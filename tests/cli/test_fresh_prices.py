"""`token-meter prices update | status | add | init`, and one list that program and report read alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import token_meter
from tests.prices.test_prices_lists import GENAI, LITELLM, genai
from tests.proof.canned import ask, json_body, telling
from token_meter import meter
from token_meter.cli import main
from token_meter.report import _age

USAGE = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project of its own, with lists to update from."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("TOKEN_METER")]:
        monkeypatch.delenv(name)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "litellm.json").write_text(json.dumps(LITELLM))
    (tmp_path / "genai.json").write_text(json.dumps(GENAI))
    token_meter.configure(prices=None)
    yield tmp_path
    token_meter.configure(prices=None)


def tm(*words: str, code: int = 0) -> str:
    done: Result = CliRunner().invoke(main, list(words))
    assert done.exit_code == code, done.output
    return done.output


def call(model: str = "gpt-7", **options: Any) -> Any:
    """One call of a program that meters itself, as it starts now."""
    token_meter.configure(prices=None)
    with telling(json_body(USAGE, model=model, **options)) as client, meter(ledger=".token_meter") as cb:
        ask(client)
    return cb


def test_program_and_report_read_one_list_and_name_its_day_and_hash(here: Path) -> None:
    """Calls of before the update too: a report prices anew."""
    call()
    assert "openai has no price for gpt-7" in " ".join(tm("report").split())

    told = tm("prices", "update", "--from", "litellm.json", "--date", "2026-11-27")
    cb = call()
    digest = json.loads((here / "token-meter-prices.json").read_text())["sha256"][:12]
    report = json.loads(tm("report", "-f", "json", "--all"), parse_float=Decimal)

    assert "token-meter-prices.json: litellm file of 2026-11-27" in told
    assert cb.cost == Decimal("0.006")
    assert report["totals"]["cost"] == 2 * cb.cost
    assert report["totals"]["unpriced"] == 0
    assert report["prices"]["as_of"] == "2026-11-27"
    assert report["prices"]["version"] == cb.price_source
    assert f"litellm file of 2026-11-27 (sha256 {digest})" in cb.price_source


_SUITE = """
import json
import httpx
from token_meter import meter

def test_it():
    answer = httpx.Response(200, json={"model": "gpt-7", "choices": [], "usage": %s})
    with meter() as cb, httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as client:
        client.post("https://api.openai.com/v1/chat/completions", json={"model": "gpt-7", "messages": []})
    with open("program.json", "w") as file:
        json.dump([str(cb.cost), cb.price_source], file)
"""


def test_meter_plugin_run_and_report_say_one_amount_and_one_stamp(here: Path) -> None:
    """A suite in `token-meter run`, all of them in one process tree; then an old ledger of it after a newer list."""
    tm("prices", "update", "--from", "litellm.json", "--date", "2026-11-27")
    (here / "test_it.py").write_text(_SUITE % json.dumps(USAGE))
    plugin = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "--meter"]
    done = subprocess.run(
        [sys.executable, "-m", "token_meter", "run", sys.executable, *plugin, "test_it.py"],
        cwd=here, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    cost, stamp = json.loads((here / "program.json").read_text())
    shown = " ".join(f"{done.stdout} {done.stderr}".split())
    report = json.loads(tm("report", "-f", "json", "--all"), parse_float=Decimal)

    assert Decimal(cost) == report["totals"]["cost"] == Decimal("0.006")
    assert stamp == report["prices"]["version"]
    assert shown.count("test_it.py::test_it 1 1,100 $0.0060") == 2, "by the plugin, and by the run"
    assert shown.count(f"prices {stamp}, ") == 2

    (here / "dearer.json").write_text(json.dumps(genai(gpt_7={"input_mtok": 4, "output_mtok": 40})))
    tm("prices", "update", "--from", "dearer.json", "--date", "2026-11-28")
    again = json.loads(tm("report", "-f", "json", "--all"), parse_float=Decimal)
    assert again["prices"]["as_of"] == "2026-11-28"
    assert again["totals"]["cost"] == call().cost == Decimal("0.008")


@pytest.mark.parametrize("named", ["pyproject", "environment", "option", "folder below"])
def test_the_list_counts_wherever_a_price_file_is_named(
    named: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tm("prices", "update", "--from", "genai.json", "--to", "lists/2026.json")
    (here / "prices.toml").write_text('public = "lists/2026.json"\n')
    more: tuple[str, ...] = ()
    if named == "pyproject":
        (here / "pyproject.toml").write_text('[tool.token_meter]\nprices = "prices.toml"\n')
    elif named == "environment":
        monkeypatch.setenv("TOKEN_METER_PRICES", str(here / "lists" / "2026.json"))
    elif named == "option":
        more = ("--prices", "lists/2026.json")
    else:
        tm("prices", "update", "--from", "genai.json")
        (here / "below").mkdir()
        monkeypatch.chdir(here / "below")

    rows = json.loads(tm("prices", "show", "gpt-7", "--json", *more))

    assert {row["unit"]: row["rate"] for row in rows} == {"input": "3", "output": "30"}
    assert "genai-prices data of" in rows[0]["source"]


def test_an_update_goes_to_the_list_in_use(here: Path) -> None:
    """To the one that the settings name, or that the price file names; else it says what to write."""
    tm("prices", "update", "--from", "genai.json", "--to", "mine.json")
    (here / "pyproject.toml").write_text('[tool.token_meter]\nprices = "mine.json"\n')
    assert tm("prices", "update", "--from", "litellm.json").startswith("mine.json: litellm file of ")

    (here / "pyproject.toml").write_text('[tool.token_meter]\nprices = "prices.toml"\n')
    (here / "prices.toml").write_text('public = "mine.json"\n')
    assert tm("prices", "update", "--from", "genai.json").startswith("mine.json: genai-prices data of ")

    (here / "prices.toml").write_text("[hosts]\n")
    told = tm("prices", "update", "--from", "genai.json")
    assert 'it counts once prices.toml has, above its first table: public = "token-meter-prices.json"' in told

    (here / "prices.toml").write_text('public = "nothing-yet.json"\n')
    assert tm("prices", "update", "--from", "genai.json").startswith("nothing-yet.json: ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("update", "--from", "none.json"), "none.json cannot be read: No such file or directory; nothing was changed"),
        (("update", "--from", "pyproject.toml"), "pyproject.toml: it is not valid JSON"),
        (("update", "--from", "genai.json", "--to", "pyproject.toml"), "no list that token-meter has written"),
        (("update", "--from", "genai.json", "--date", "soon"), "'soon' is not a day such as 2026-11-27"),
        (("update", "--from", "ftp://x/y.json"), "an address must begin with https:// or http://, not ftp://"),
        (("update", "--from", "http://127.0.0.1:9/data.json"), "127.0.0.1/data.json cannot be fetched"),
        (("status", "--max-age", "long"), "'long' is not a number of days such as 30d"),
        (("add", "gpt-9"), "--input USD and --output USD per 1M tokens, or --like MODEL"),
        (
            ("add", "gpt-9", "--like", "gpt-6-1-sol"),
            "--like gpt-6-1-sol: openai has no price for it; did you mean gpt-6.1-sol",
        ),
        (("add", "gpt-9", "--input", "-1"), "input must be a number that is at least 0"),
        (("add", "gpt-9", "--input", "0.000004"), 'looks like the price of one token: write "4.000000"'),
        (("add", "gpt-9", "--input", "1", "--times", "fast"), "--times must be TIER=FACTOR"),
        (("add", "gpt-9", "--input", "1", "--times", "standard=2"), "which is the standard price itself"),
        (("add", "gpt-9", "--input", "1", "--file", "x.json"), "rows are added to TOML files only"),
        (("init", "x.json"), "give a name that ends in .toml"),
        (("init", "pyproject.toml"), "pyproject.toml is there already; nothing was changed"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_changes(words: tuple[str, ...], said: str, here: Path) -> None:
    before = {path.name: path.read_bytes() for path in here.iterdir()}

    assert said in " ".join(tm("prices", *words, code=2).split())
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_broken_list_is_named_by_the_report_and_leaves_a_program_alone(here: Path) -> None:
    tm("prices", "update", "--from", "litellm.json")
    path = here / "token-meter-prices.json"
    path.write_text(path.read_text().replace('"3"', '"1"'))

    with pytest.warns(token_meter.UnpricedWarning, match="it was changed after it was written"):
        assert call().cost == 0
    assert "token-meter-prices.json: it was changed after it was written" in tm("report", code=2)


def test_status_tells_the_age_and_what_has_no_price(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no recorded calls" in tm("prices", "status", "--max-age", "9999d", "--unpriced")
    call()
    without = tm("prices", "status", "--unpriced", code=3)
    assert "1 model in .token_meter, 1 without a whole price" in without
    assert "gpt-7: openai has no price for gpt-7" in without

    tm("prices", "update", "--from", "litellm.json", "--date", "2026-12-01")
    for day, code, text in (
        ("2026-12-02", 0, "1 day old"),
        ("2026-12-31", 0, "30 days old (list"),
        ("2027-01-01", 3, "31 days old: token-meter prices update"),
        ("2026-11-30", 3, "dated 2026-12-01, after 2026-11-30: check the clock"),
    ):
        monkeypatch.setattr(_age, "today", lambda day=day: _age.date.fromisoformat(day))
        assert text in tm("prices", "status", "--max-age", "30d", "--unpriced", code=code)


def test_added_rows_count_in_program_and_report(here: Path) -> None:
    (here / "pyproject.toml").write_text('[tool.token_meter]\nprices = "prices.toml"\n')
    (here / "prices.toml").write_text('[hosts]\n"https://gw.corp/v1" = "openai"')
    tm("prices", "add", "gpt-7", "--like", "gpt-6.1-sol", "--input", "4", "--output", "20",
       "--times", "batch=0.25", "--note", "their \"page\"")  # fmt: skip

    assert call().cost == Decimal("0.006")
    report = json.loads(tm("report", "-f", "json"), parse_float=Decimal)
    assert report["totals"]["cost"] == Decimal("0.006")
    assert report["models"][0]["price_source"] == 'listed their "page", like gpt-6.1-sol'
    before = (here / "prices.toml").read_text()
    assert before.startswith('[hosts]\n"https://gw.corp/v1" = "openai"\n')
    assert "two listed rows for openai gpt-7 without an end" in tm("prices", "add", "gpt-7", "--input", "1", code=2)
    assert (here / "prices.toml").read_text() == before


def test_a_new_price_file_keeps_the_list_in_use(here: Path) -> None:
    """And has a row to fill in for each recorded model without a price."""
    call("gpt-9-ultra")
    tm("prices", "update", "--from", "litellm.json")

    assert "begun, with 1 row to fill in" in tm("prices", "init", "new.toml")
    text = (here / "new.toml").read_text()
    assert 'public = "token-meter-prices.json"\n' in text
    assert '# model = "gpt-9-ultra"' in text
    assert "new.toml: ok" in tm("prices", "check", "new.toml")
    tm("prices", "add", "gpt-9", "--input", "1", "--file", "other.toml")
    assert (here / "other.toml").read_text().startswith('public = "token-meter-prices.json"\n')


def test_each_report_says_how_old_its_prices_are(here: Path) -> None:
    tm("prices", "update", "--from", "litellm.json", "--date", "2026-09-01", "--force")
    call()

    for form in ("table", "md", "html"):
        assert " days old: token-meter prices update" in tm("report", "-f", form)
