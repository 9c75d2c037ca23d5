"""Foreign, newer and damaged input: a clear error, or a row that is skipped and counted; never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.report.samples import call, row, summary_of
from token_meter.cli import main
from token_meter.ledger import Ledger, read_run
from token_meter.report import render

ENDLESS = "1e99999999999999999999"


def tm(*words: object) -> Result:
    """`token-meter WORDS`, in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


def a_run(tmp_path: Path, *notes: dict[str, Any], lines: tuple[str, ...] = ()) -> Path:
    """A run with one good call, and what others wrote."""
    ledger = Ledger.create(tmp_path / "data")
    ledger.call(call(0), context="t.py::test_a")
    for note in notes:
        ledger.note("context", id="t.py::test_a", **note)
    ledger.close()
    assert ledger.shard is not None
    with open(ledger.shard, "a", encoding="utf-8") as shard:
        shard.writelines(f"{line}\n" for line in lines)
    return tmp_path / "data"


CHECKS = {
    "an unknown status": ["cost", "1", "2", "fine", "text"],
    "an unknown field": ["joy", "1", "2", "exceeded", "text"],
    "an endless number": ["cost", ENDLESS, "2", "exceeded", "text"],
    "a number nobody means": ["cost", "1e400", "2", "exceeded", "text"],
    "not a number": ["cost", "NaN", "2", "exceeded", "text"],
    "no text": ["cost", "1", "2", "exceeded", {"a": 1}],
    "too short": ["cost"],
    "no list": 7,
}


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS.keys())
@pytest.mark.parametrize("kind", ["table", "json", "html", "md", "github", "junit"])
def test_f161_a_check_on_record_that_is_not_ours_is_passed_over(tmp_path: Path, check: Any, kind: str) -> None:
    """The report is the one without it."""
    done = tm("report", a_run(tmp_path, {"checks": [check]}), "-f", kind)

    assert (done.exit_code, done.exception) == (0, None), done.output


LINES = {
    "a newer version": '{"t":"call","v":9,"id":"x"}',
    "an endless charge": '{"t":"call","v":2,"id":"x","ts":1.0,"ms":1.0,"provider_cost":"ENDLESS"}'.replace(
        "ENDLESS", ENDLESS
    ),
    "an endless number": '{"t":"call","v":2,"id":"x","ts":ENDLESS,"ms":1.0}'.replace("ENDLESS", ENDLESS),
    "an endless count": '{"t":"call","v":2,"id":"x","ts":1.0,"ms":1.0,"prompt_tokens":%s}' % ("9" * 5000),
    "an unknown kind": '{"t":"hum","v":2}',
    "no object": "[1, 2]",
    "no text": "\udcff\udcfe".encode("utf-8", "surrogateescape").decode("latin-1"),
    "nested without end": "[" * 100_000,
    "lost, in words": '{"t":"close","v":2,"lost":"many"}',
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES.keys())
def test_f161_a_line_that_is_not_ours_is_skipped_and_counted(tmp_path: Path, line: str) -> None:
    """And the calls beside it are shown."""
    data = a_run(tmp_path, lines=(line,))
    done = tm("report", data, "--json")
    reader = read_run(data)

    assert done.exit_code == 0, done.output
    assert sum(one.calls for one in reader) == 1
    assert json.loads(done.stdout)["run"]["skipped_records"] == reader.facts.skipped_records == 1


@pytest.mark.parametrize("number", [ENDLESS, "1e400", "9" * 5000, "-" + ENDLESS], ids=lambda text: text[:9])
@pytest.mark.parametrize("key", ["cost", "calls"])
def test_f161_a_report_with_a_number_that_nobody_can_mean_is_told(tmp_path: Path, number: str, key: str) -> None:
    """One line and exit code 1; `diff` goes on without a base."""
    data = json.loads(render(summary_of(row()), "json"))
    data["totals"][key] = "NUMBER"
    bad, good = tmp_path / "bad.json", tmp_path / "good.json"
    bad.write_text(json.dumps(data).replace('"NUMBER"', number))
    good.write_text(render(summary_of(row()), "json"))

    for words in (("report", bad), ("diff", good, bad)):
        done = tm(*words)
        assert (done.exit_code, isinstance(done.exception, SystemExit)) == (1, True), done.exception
        assert "bad.json" in done.output
    assert tm("diff", bad, good).exit_code == 0


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_f161_a_price_file_with_such_a_number_is_told(tmp_path: Path, suffix: str) -> None:
    """As any other mistake in it."""
    file = tmp_path / f"p.{suffix}"
    file.write_text(f"web_search = {ENDLESS}\n" if suffix == "toml" else f'{{"web_search": {ENDLESS}}}')

    done = tm("prices", "check", file)

    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (2, True), done.exception


def test_f161_a_setting_with_such_a_number_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever command reads it."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.token_meter.budget]\nmax_cost = {ENDLESS}\n")
    monkeypatch.chdir(tmp_path)

    done = tm("report")

    assert (done.exit_code, isinstance(done.exception, SystemExit)) == (2, True), done.exception
