"""Which runs of a data directory a report reads, what it says of the others, and what `clean` and `ledger prune` leave."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.ledger.helpers import a_call
from token_meter.cli import main
from token_meter.ledger import Ledger, _write

NOW = time.time()


def tm(*words: object) -> Result:
    """`token-meter WORDS`, in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three runs: of 40 days ago, of 3 days ago, and of now, with 1, 2 and 4 calls."""
    for run, (days, calls) in enumerate(((40, 1), (3, 2), (0, 4))):
        ledger = Ledger.create(tmp_path / "data")
        for n in range(calls):
            ledger.call(a_call(10 * run + n, started_s=NOW - days * 86_400))
        ledger.close()
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ((), 4), (("--last", 1), 4), (("--last", 2), 6), (("--last", 9), 7), (("--all",), 7), (("--since", "7d"), 6),
        (("--since", "12h"), 4), (("--since", "2001-01-01"), 7), (("--since", "7d", "--last", 1), 4),
    ],
)  # fmt: skip
def test_f146_a_report_reads_as_many_runs_as_it_is_asked_for(
    data: Path, options: tuple[object, ...], calls: int
) -> None:
    """The latest one, where nothing is said."""
    done = tm("report", data, "--json", *options)

    assert json.loads(done.stdout)["totals"]["calls"] == calls, done.output


def test_f146_a_report_says_which_of_several_runs_it_reads(data: Path, tmp_path: Path) -> None:
    """Where there are several, and nobody chose; the page for a browser too."""
    told = [tm("report", data), tm("html", data, "-o", tmp_path / "x.html")]
    silent = [
        tm("report", data, "--all"),
        tm("report", data, "--last", 1),
        tm("report", next((data / "runs").iterdir())),
    ]

    assert ["the latest of 3 runs in" in done.stderr and "--all" in done.stderr for done in told] == [True, True]
    assert ["the latest of" in done.stderr for done in silent] == [False, False, False]


def test_f146_no_command_names_an_option_that_it_does_not_have(data: Path, tmp_path: Path) -> None:
    """A comparison reads the latest run, and says only that."""
    (tmp_path / "base.json").write_text(tm("report", data, "--json", "--last", 1).stdout)
    told = tm("diff", tmp_path / "base.json", data).stderr

    assert ("the latest of 3 runs in" in told, "--all" in told) == (True, False)


def test_f146_two_answers_to_one_question_are_refused(data: Path) -> None:
    """`--all` would silently win."""
    done = tm("report", data, "--all", "--last", 2)

    assert (done.exit_code, "--last and --all exclude each other" in done.stderr) == (2, True)


def test_f146_a_latest_run_without_a_call_hides_no_other(data: Path) -> None:
    """`run something first` would be wrong: a command that failed at once has left an empty run."""
    (data / "runs" / "29991231T000000-0ffd7ae6d").mkdir()
    done = tm("report", data)

    assert done.exit_code == 1
    assert "the latest run in" in done.stderr
    assert "recorded no call; more: --last N, --since DATE, --all" in done.stderr


@pytest.mark.parametrize("when", ["yesterday", "7", "d", "2026-13-01", "-1d", "99999999d"])
def test_f146_a_time_that_is_none_is_told(data: Path, when: str) -> None:
    """With what was expected."""
    done = tm("report", data, f"--since={when}")

    assert done.exit_code == 2
    assert "--since must be a date such as" in done.stderr


def test_f146_nothing_since_then_is_said(data: Path) -> None:
    """It is no empty report."""
    done = tm("report", data, "--since", "2100-01-01")

    assert (done.exit_code, "no calls since 2100-01-01" in done.stderr) == (1, True)


def test_f160_clean_removes_what_we_wrote_and_nothing_else(data: Path) -> None:
    """Another tool's files, links, and directories that are no run of ours stay, and so does what holds them."""
    runs = data / "runs"
    one = min(runs.iterdir())
    (one / "notes.txt").write_text("mine")
    (one / "data.jsonl").write_text("{}")
    (one / "link.jsonl").symlink_to(data.parent)
    (runs / "mlflow").mkdir()
    (runs / "mlflow" / "metrics.jsonl").write_text("{}")
    (runs / "README").write_text("of another tool")
    (data / "last.json").write_text('{"of": "another tool"}')
    (data / "history.jsonl").write_text('{"of": "another tool"}\n')

    done = tm("clean", "--data-dir", data)

    assert (done.exit_code, done.stdout) == (0, f"removed 2 runs from {data}\n")
    assert "kept 5 files that token-meter did not write" in done.stderr
    assert sorted(path.name for path in one.iterdir()) == ["data.jsonl", "link.jsonl", "notes.txt"]
    assert (runs / "mlflow" / "metrics.jsonl").exists()
    assert (data / "last.json").exists()
    assert (data / "history.jsonl").exists()


def test_f160_clean_removes_all_of_a_directory_that_is_ours_alone(data: Path) -> None:
    """Locks, reservations and marks too."""
    one = min((data / "runs").iterdir())
    for name in ("lock", "vm1.pid12.0123abcd.run.held", "vm1.pid12.20261127.0123abcd.jsonl", "x.unwritten"):
        (one / name).write_text("")
    (data / "last.json").write_text('{"schema": "token-meter/report/v2"}')
    (data / "history.jsonl").write_text('{"unpriced": 0}\n')

    done = tm("clean", "--data-dir", data)

    assert done.stdout == f"removed 3 runs from {data}\n"
    assert [path.name for path in data.iterdir() if path.name != ".gitignore"] == []


@pytest.mark.parametrize("name", ["data", "data/runs"])
def test_f160_clean_follows_no_link(tmp_path: Path, name: str) -> None:
    """What lies elsewhere is not ours."""
    ledger = Ledger.create(tmp_path / "elsewhere" if name == "data" else tmp_path / "other")
    ledger.call(a_call(0))
    ledger.close()
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to(ledger.run_dir.parent.parent if name == "data" else ledger.run_dir.parent)

    done = tm("clean", "--data-dir", tmp_path / "data")

    assert (done.exit_code, "symbolic link" in done.stderr) == (1, True)
    assert ledger.run_dir.is_dir()


def _aged(path: Path, days: float) -> None:
    os.utime(path, (NOW - days * 86_400,) * 2)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service of four days, 100 to 97 days ago, whose files were copied yesterday, and a process of today."""
    now = [NOW - 100 * 86_400]
    with monkeypatch.context() as patched:
        patched.setattr(_write.time, "time", lambda: now[0])
        ledger = Ledger.create(tmp_path / "data", rotates=True)
        for n in range(4):
            ledger.call(a_call(n, started_s=now[0]))
            now[0] += 86_400 if n < 3 else 0
        ledger.close()
    for shard in ledger.run_dir.iterdir():
        _aged(shard, 1)
    today = Ledger.create(tmp_path / "data")
    today.call(a_call(9, started_s=NOW))
    today.close()
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("older", "files", "runs"), [("96d", 4, 1), ("98d", 2, 0), ("200d", 0, 0), ("2001-01-01", 0, 0)]
)
def test_f146_old_days_of_a_service_are_pruned(service: Path, older: str, files: int, runs: int) -> None:
    """A file's day is in its name, whenever it was copied; a rehearsal says the same and removes nothing."""
    before = sorted(service.rglob("*"))
    rehearsal = tm("ledger", "prune", service, "--older-than", older, "--dry-run")
    untouched = sorted(service.rglob("*")) == before
    done = tm("ledger", "prune", service, "--older-than", older)

    assert untouched
    assert rehearsal.stdout == done.stdout.replace("removed", "would remove")
    assert (done.exit_code, f"removed {files} file" in done.stdout, f"and {runs} run" in done.stdout) == (0, True, True)
    assert json.loads(tm("report", service, "--all", "--json").stdout)["totals"]["calls"] == 5 - files


def test_where_all_is_pruned_the_history_is_no_ledger(service: Path) -> None:
    """What is left in a data directory is told from records of calls."""
    tm("ledger", "prune", service, "--older-than", "2999-01-01")
    (service / "history.jsonl").write_text('{"run": "r", "unpriced": 0}\n')

    assert "no recorded calls in" in tm("report", service, "--all").stderr
    assert "no recorded calls to export" in tm("export", service, "--to", service / "out").stderr


def test_f160_pruning_touches_only_what_we_wrote_and_what_nobody_writes(service: Path) -> None:
    """Other names, links, a shard that is open, a run that has just begun."""
    runs = service / "runs"
    old, _ = sorted(runs.iterdir())
    (old / "notes.txt").write_text("mine")
    (old / "link.pid1.0123abcd.jsonl").symlink_to(service.parent)
    (runs / "mlflow").mkdir()
    begun = runs / "29991231T000000-0ffd7ae6d"
    begun.mkdir()
    writing = Ledger.create(service)
    writing.call(a_call(7))
    assert writing.shard is not None
    for path in (old / "notes.txt", begun, writing.shard):
        _aged(path, 300)

    done = tm("ledger", "prune", service, "--older-than", "7d")

    assert "kept 3 files that token-meter did not write" in done.stderr, done.output
    assert sorted(path.name for path in old.iterdir()) == ["link.pid1.0123abcd.jsonl", "notes.txt"]
    assert [path.exists() for path in (runs / "mlflow", begun, writing.shard)] == [True, True, True]


def test_pruning_says_what_it_expected(tmp_path: Path) -> None:
    """A directory that is none, a time that is none, a directory that is a link."""
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "runs").mkdir()
    said = [
        tm("ledger", "prune", tmp_path / where, "--older-than", when)
        for where, when in (("none", "9d"), ("", "soon"), ("link", "9d"), ("", "90"))
    ]

    assert [done.exit_code for done in said] == [2, 2, 1, 2]
    assert "no data directory" in said[0].stderr
    assert "--older-than must be a date" in said[1].stderr
    assert "symbolic link" in said[2].stderr
    assert "say of which unit: 90d are days" in said[3].stderr
