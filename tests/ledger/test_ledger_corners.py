"""A ledger in places where writing or reading goes wrong in less usual ways."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from tests.ledger.helpers import a_call, a_shard, ids_of, rows_of
from token_meter.ledger import Ledger, _batch, _line, _lines, _place, _write, combine, read_run, run_dirs
from token_meter.types import Usage


def another_shard(data_dir: Path) -> Path:
    """A shard of another process, with a call of its own."""
    ledger = Ledger.create(data_dir)
    ledger.call(a_call(5))
    ledger.close()
    assert ledger.shard is not None
    return ledger.shard


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_the_repr_says_where_and_how_much_is_lost(tmp_path: Path) -> None:
    """And nothing of what was recorded."""
    ledger = Ledger(tmp_path / "run")

    assert repr(ledger) == f"Ledger({str(tmp_path / 'run')!r}, lost=0)"


def test_a_record_that_is_no_json_is_dropped_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The others are written."""
    ledger = Ledger(tmp_path / "run")
    ledger.call(a_call(1, duration_s="long"))
    ledger.note("context", id="x", odd=object())
    ledger.call(a_call(2))
    ledger.close()

    assert [row.call.id for row in rows_of(tmp_path / "run")] == [a_call(2).id]
    assert ledger.lost == 1
    assert ["could not be written as JSON" in record.message for record in caplog.records] == [True]


def test_a_shard_that_refuses_its_first_line_gets_it_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The opening is written before the first record, on a line of its own."""
    answers = iter(["no space", "no space"])
    real = _write._write
    monkeypatch.setattr(_write, "_write", lambda fd, line: next(answers, None) or real(fd, line))
    ledger = Ledger(tmp_path / "run")
    ledger.call(a_call(1))
    ledger.call(a_call(2))
    ledger.close()

    assert ids_of(tmp_path / "run") == [a_call(1).id, a_call(2).id]
    assert ledger.lost == 0
    assert read_and_count(tmp_path / "run").is_complete


def read_and_count(run: Path):
    reader = read_run(run)
    list(reader)
    return reader.facts


def test_a_descriptor_that_somebody_closed_counts_as_a_removed_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What was written since the last look may be anywhere."""
    monkeypatch.setattr(_write, "_CHECK_EVERY", 1)
    ledger = Ledger(tmp_path / "run")
    ledger.call(a_call(1))
    assert ledger._shard is not None
    os.close(ledger._shard.fd)
    ledger.call(a_call(2))

    assert ledger.lost == 2
    assert "removed" in caplog.text


def test_a_combine_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No partial file with the requested name, and no temporary file next to it."""
    shard = a_shard(tmp_path / "data")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        combine([shard], tmp_path / "all.jsonl")

    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_a_combined_file_holds_no_foreign_lines(tmp_path: Path) -> None:
    """Of another version, of no kind, of no JSON; and each process's lines stand behind its opening."""
    one, two = a_shard(tmp_path / "a", 1), another_shard(tmp_path / "b")
    with one.open("ab") as out:
        out.write(b'nonsense\n{"t":"call","v":99,"id":"x"}\n{"v":1}\n[1]\n')
    combine([one, two], tmp_path / "all.jsonl")
    kinds = [json.loads(line)["t"] for line in lines_of(tmp_path / "all.jsonl")]

    assert kinds == ["open", "call", "close", "open", "call", "close"]
    assert len(rows_of(tmp_path / "all.jsonl")) == 2


def test_lines_of_two_processes_in_turn_keep_their_openings(tmp_path: Path) -> None:
    """Appending to a combined file does not give a process's calls to another."""
    one, two = a_shard(tmp_path / "a", 1), another_shard(tmp_path / "b")
    target = tmp_path / "all.jsonl"
    combine([one], target)
    with one.open("ab") as out:
        out.write(_line.call_line(a_call(7), None, None, None, None, False))
    combine([two], target, append=True)
    combine([one], target, append=True)
    processes = {row.call.id: row.process for row in rows_of(target)}

    assert processes[a_call(7).id] == processes[a_call(0).id]


def test_a_data_directory_that_is_none_has_no_runs(tmp_path: Path) -> None:
    """Not even an error."""
    assert run_dirs(tmp_path / "nowhere") == []


def test_runs_of_one_second_are_listed_in_their_order(tmp_path, monkeypatch):
    """`report` shows the latest one."""
    moments = iter([1_795_169_700_000_001_000, 1_795_169_700_000_002_000, 1_795_169_700_999_999_000])
    monkeypatch.setattr(_place.time, "time_ns", lambda: next(moments))
    made = [_place.new_run_dir(tmp_path) for _ in range(3)]
    for run_dir in reversed(made):
        run_dir.mkdir(parents=True)

    assert [path.name for path in run_dirs(tmp_path)] == [path.name for path in made]


def test_only_a_directory_of_its_own_is_hidden_from_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--data-dir .` is a project, whose files shall be seen; a `.gitignore` that was removed stays removed."""
    monkeypatch.chdir(tmp_path)
    for data_dir in (".", "", tmp_path, "new"):
        Ledger.create(data_dir).close()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob(".gitignore")] == ["new/.gitignore"]
    Path("new/.gitignore").unlink()

    Ledger.create("new").close()

    assert not list(tmp_path.rglob(".gitignore"))


def test_a_directory_that_takes_no_gitignore_takes_its_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else made the file, or it cannot be made."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / ".gitignore").write_text("mine\n")
    a_shard(tmp_path / "data")

    assert (tmp_path / "data" / ".gitignore").read_text() == "mine\n"


def test_a_file_that_cannot_be_read_is_one_skipped_line(tmp_path: Path) -> None:
    """A link to itself cannot be opened."""
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "a.jsonl")

    assert list(_lines.lines_of(tmp_path / "a.jsonl")) == [b"unreadable"]


def test_a_call_that_was_dropped_is_not_in_flight(tmp_path: Path) -> None:
    """It only passed on another one."""
    ledger = Ledger(tmp_path / "run")
    ledger.start("a-1", "m", context="c", phase="call", attempt=2)
    ledger.note("drop", id="a-1")
    ledger.close()

    assert read_and_count(tmp_path / "run").in_flight == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("provider_cost", "NaN"), ("provider_cost", "x"), ("provider_cost", "-1"), ("audio_seconds", True),
        ("audio_seconds", 1e99), ("prompt_tokens", -1), ("prompt_tokens", 10**19), ("prompt_tokens", True),
        ("prompt_tokens", "1"),
    ],
)  # fmt: skip
def test_f86_a_count_that_cannot_be_makes_the_line_foreign(key: str, value: object) -> None:
    """A ledger is data from outside."""
    with pytest.raises(ValueError, match=key):
        _line._count({key: value}, key)


@pytest.mark.parametrize(
    ("key", "value", "read"), [("provider_cost", "0.25", Decimal("0.25")), ("audio_seconds", 2, 2.0)]
)
def test_counts_that_are_no_integers_come_back(key: str, value: object, read: object) -> None:
    """Money as it was, seconds as a float."""
    assert _line._count({key: value}, key) == read


def test_a_text_where_none_can_be_makes_the_line_foreign() -> None:
    """A number is no context."""
    with pytest.raises(ValueError, match="ctx"):
        _line._text({"ctx": 3}, "ctx")


def test_what_lines_share_is_kept_within_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program with a model for each call is written and read the same."""
    monkeypatch.setattr(_line, "_MEMO_LIMIT", 2)
    monkeypatch.setattr(_batch, "_MEMO_LIMIT", 2)
    ledger = Ledger(tmp_path / "run")
    calls = [
        a_call(n, response_model=f"m{n}", usage=Usage(1, 2, 3, input_audio_tokens=n, cache_write_long_tokens=1))
        for n in range(6)
    ]
    for call in calls:
        ledger.call(call)
    ledger.close()

    assert [(row.call.model, row.call.usage) for row in rows_of(tmp_path / "run")] == [
        (c.model, c.usage) for c in calls
    ]


def test_a_host_may_be_called_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name stands in a file's name."""
    monkeypatch.setattr(os, "uname", lambda: type("U", (), {"nodename": "a/../b c" * 20})())

    assert _place.host_name() == ("a____b_c" * 20)[:40]
