"""A service that runs for long: one ledger that grows, a file a day, read while it is written, and kept to itself."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.helpers import T0, a_call, a_shard, ids_of
from token_meter import meter
from token_meter.exceptions import LedgerError
from token_meter.ledger import Ledger, _write, read_run, run_dirs
from token_meter.report import summarise

WRITER = """
import os, sys, time
from tests.ledger.helpers import a_call
from token_meter.ledger import Ledger
ledger = Ledger.create(sys.argv[1])
ledger.call(a_call(0))
if "flying" in sys.argv:
    ledger.start("00000000000000a1-9", "gpt-4o-mini", context="t::flies")
print("ready", flush=True)
sys.stdin.read()
"""


def _record(data_dir: Path, call: Any) -> None:
    """A request of a service, with a meter of its own."""
    with meter(ledger=data_dir) as cb:
        assert cb.sink is not None
        cb.sink.on_end(call, cb.sink.on_start(call.id, call.model))


def test_f146_all_meters_of_a_process_share_the_ledger_of_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the path is written as; another directory is another ledger."""
    monkeypatch.chdir(tmp_path)
    for n, place in enumerate((tmp_path / "data", str(tmp_path / "data"), "data", Path("x/../data"))):
        _record(place, a_call(n))  # type: ignore[arg-type]
    _record(tmp_path / "other", a_call(9))

    assert [len(run_dirs(tmp_path / name)) for name in ("data", "other")] == [1, 1]
    reader = read_run("data")
    assert sum(row.calls for row in reader) == 4
    assert (reader.facts.processes, reader.facts.in_flight, reader.facts.is_complete) == (1, 0, True)


def test_f146_nested_meters_with_one_ledger_write_a_call_once(tmp_path: Path) -> None:
    """A service opens one for each request, and one inside of it for a step."""
    with meter(ledger=tmp_path), meter(ledger=str(tmp_path)) as cb:
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=3, completion_tokens=4)
    reader = read_run(tmp_path)

    assert (sum(row.calls for row in reader), reader.facts.duplicates) == (1, 0)


def test_f146_a_run_that_was_removed_is_begun_anew(tmp_path: Path) -> None:
    """As each request began one before; what was in the removed one is gone."""
    _record(tmp_path, a_call(0))
    for path in sorted((tmp_path / "runs").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    for n in range(3):
        _record(tmp_path, a_call(n + 1))

    assert len(ids_of(tmp_path)) >= 2


def test_f146_a_process_has_a_file_a_day_and_is_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call over midnight is one call, whichever file is read first."""
    now = [T0]
    monkeypatch.setattr(_write.time, "time", lambda: now[0])
    ledger = Ledger.create(tmp_path, rotates=True)
    for n in range(3):
        ledger.call(a_call(n, started_s=now[0]))
        ledger.start("00000000000000a1-9")
        now[0] += 86_400
    ledger.call(a_call(9, started_s=now[0]))
    ledger.close()
    shards = sorted(ledger.run_dir.glob("*.jsonl"))

    assert len(shards) == 4
    assert [name.split(".")[2] for name in (shard.name for shard in shards)] == [
        "20261120",
        "20261121",
        "20261122",
        "20261123",
    ]
    for order in (shards, shards[::-1]):
        reader = read_run(order)
        assert sum(row.calls for row in reader) == 4
        assert (reader.facts.processes, reader.facts.unclean_processes, reader.facts.in_flight) == (1, 0, 0)


def test_f146_a_block_that_closes_after_midnight_goes_on_in_the_new_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the file of the day before, and no descriptor is closed twice."""
    now = [T0]
    monkeypatch.setattr(_write.time, "time", lambda: now[0])
    ledger = Ledger.create(tmp_path, rotates=True)
    ledger.call(a_call(0))
    now[0] += 86_400
    ledger.close()
    closed = ledger.shard
    ledger.call(a_call(1, started_s=now[0]))
    ledger.close()

    assert closed is not None
    assert (".20261121." in closed.name, ledger.shard == closed) == (True, True)
    assert len(ids_of(tmp_path)) == 2


@pytest.mark.parametrize(
    ("last", "since_s", "expected"),
    [
        (1, None, [6, 7, 8]), (2, None, [3, 4, 5, 6, 7, 8]), (None, None, [*range(9)]), (9, None, [*range(9)]),
        (None, T0 + 4, [4, 5, 6, 7, 8]), (1, T0 + 7.5, [8]), (None, T0 + 100, []),
    ],
)  # fmt: skip
def test_f146_a_data_directory_stands_for_as_many_runs_as_are_asked_for(
    tmp_path: Path, last: int | None, since_s: float | None, expected: list[int]
) -> None:
    """The latest, some, all; and only calls since then, to the second."""
    for run in range(3):
        ledger = Ledger.create(tmp_path)
        for n in range(3 * run, 3 * run + 3):
            ledger.call(a_call(n))
        ledger.close()

    rows = read_run(tmp_path, last=last, since_s=since_s, merge=False)

    assert sorted(round(row.call.started_s - T0) for row in rows) == expected


def _written(tmp_path: Path, end: int | None, *more: str) -> Any:
    """The facts of a process that goes on, or that a signal ended."""
    words = [sys.executable, "-c", WRITER, str(tmp_path), *more]
    child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        if end is not None:
            child.send_signal(end)
            child.wait(30)
        reader = read_run(tmp_path)
        summary = summarise(reader)
        return reader.facts, [notice.text for notice in summary.notices]
    finally:
        child.kill()
        child.communicate()


@pytest.mark.parametrize("flying", [False, True])
def test_f156_a_run_that_goes_on_is_said_to_go_on(tmp_path: Path, flying: bool) -> None:
    """Its calls under way are neither lost nor billed for nothing."""
    facts, notices = _written(tmp_path, None, *(["flying"] if flying else []))

    assert (facts.running_processes, facts.unclean_processes, facts.in_flight) == (1, 0, 0)
    assert facts.is_complete is False
    text = "1 process still running: the sums are those so far"
    assert text + (", with 1 call under way" if flying else "") in notices


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_f156_a_process_that_a_signal_ended_lost_nothing_that_it_recorded(tmp_path: Path, end: int) -> None:
    """Each call is on record before it is sent: without one in flight, the record is whole."""
    facts, notices = _written(tmp_path, end)

    assert (facts.running_processes, facts.unclean_processes, facts.is_complete) == (0, 1, True)
    assert not [text for text in notices if "process" in text]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda end: end.name)
def test_f156_a_call_in_flight_at_the_end_is_said(tmp_path: Path, end: int) -> None:
    """It may have been billed."""
    facts, notices = _written(tmp_path, end, "flying")

    assert (facts.in_flight, facts.in_flight_contexts, facts.is_complete) == (1, ("t::flies",), False)
    assert "1 call in flight when a process ended: billed, cost unknown; the total is a lower bound" in notices


def test_f156_recording_leaves_signals_alone(tmp_path: Path) -> None:
    """No handler of ours stands in a program's place."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    _record(tmp_path, a_call(0))

    assert {number: signal.getsignal(number) for number in before} == before


def linked_data(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "data"


def linked_runs(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "runs").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "data"


def link_to_nothing(tmp_path: Path) -> Path:
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "data"


@pytest.mark.parametrize("place", [linked_data, linked_runs, link_to_nothing], ids=lambda place: place.__name__)
def test_f162_a_directory_that_is_a_link_is_refused(tmp_path: Path, place: Any) -> None:
    """Nothing is written where it leads."""
    ledger = Ledger.create(place(tmp_path), lazy=True)
    ledger.call(a_call(0))

    assert (ledger.lost, ledger.is_refused) == (1, True)
    assert not (tmp_path / "elsewhere").exists() or not [*(tmp_path / "elsewhere").iterdir()]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("name", ["data", "data/runs"])
def test_f162_another_users_directory_is_refused(tmp_path: Path, name: str) -> None:
    """They could put a link in any file's place."""
    (tmp_path / "data" / "runs").mkdir(parents=True)
    os.chown(tmp_path / name, 12345, -1)
    ledger = Ledger.create(tmp_path / "data", lazy=True)
    ledger.call(a_call(0))

    assert "another user's" in (ledger.problem or "")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE], ids=errno.errorcode.get)
@pytest.mark.parametrize("what", ["open", "mkdir"])
def test_f163_a_shard_that_cannot_be_made_now_is_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, what: str
) -> None:
    """Space and descriptors become free again; what waited is written."""

    def full(*args: object, **more: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, what, full)
        ledger = Ledger.create(tmp_path)
        ledger.call(a_call(0))
    ledger.call(a_call(1))
    ledger.close()

    assert (ledger.lost, len(ids_of(ledger.run_dir))) == (0, 2)


def test_f163_a_place_that_is_refused_for_good_is_not_tried_again(tmp_path: Path) -> None:
    """Each try would cost the program time."""
    (tmp_path / "file").write_text("")
    ledger = Ledger.create(tmp_path / "file" / "data", lazy=True)
    ledger.call(a_call(0))

    assert ledger.is_refused
    assert a_shard(tmp_path / "good").is_file()
    with pytest.raises(LedgerError):
        read_run(tmp_path / "nothing")
