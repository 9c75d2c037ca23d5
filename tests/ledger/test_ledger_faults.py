"""Killed writers, full disks, torn lines, removed directories: nothing acknowledged is lost, nothing raises."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.ledger.helpers import a_call, a_shard, ids_of, prefixes, rows_of
from token_meter.ci.losses import Unwritten
from token_meter.exceptions import LedgerError
from token_meter.ledger import RUN_DIR_VARIABLE, Ledger, _line, combine, find_shards, read_run, run_dirs

WRITER = """
import os, sys
from token_meter.ledger import Ledger
from token_meter.types import Call, Usage
ledger = Ledger.join(sys.argv[1])
prefix = os.urandom(8).hex()
n = 0
while True:
    ledger.start(f"{prefix}-{n:x}", "m", context="c")
    ledger.call(Call(f"{prefix}-{n:x}", 1795169700.0 + n, 0.1, "h", "chat", usage=Usage(n, 1, n + 1)), context="c")
    os.write(1, f"{prefix}-{n:x}\\n".encode())
    n += 1
"""


def in_a_child(work: object) -> int:
    """Fork, do *work* in the child, leave it by `os._exit`; give its exit code."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
        except BaseException:
            os._exit(99)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_f80_killed_writers_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """Eight processes write into one run and are killed at random moments."""
    run = tmp_path / "runs" / "r"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(run)], stdout=subprocess.PIPE, text=True) for _ in range(8)
    ]
    acknowledged: list[str] = []
    readers = []
    for writer in writers:
        assert writer.stdout is not None
        acknowledged.append(writer.stdout.readline().strip())  # it runs: now its life may end
        readers.append(threading.Thread(target=lambda out=writer.stdout: acknowledged.extend(out.read().split())))
        readers[-1].start()
    for writer in writers:
        time.sleep(os.urandom(1)[0] / 5000)  # up to 50 ms more of life: the moment of death is the experiment
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    for reader in readers:
        reader.join()
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.close()

    reading = read_run(run, merge=False)
    found = {row.call.id for row in reading}

    assert len(acknowledged) > 8
    assert set(acknowledged) <= found
    assert reading.facts.processes == reading.facts.unclean_processes == 8
    # Linux may end a killed process's write at a page's end. The cut record is the shard's last one; its write had not returned.
    assert reading.facts.skipped_records == sum(not shard.read_bytes().endswith(b"\n") for shard in find_shards([run]))
    assert not reading.facts.is_complete


def test_f86_a_shard_cut_at_any_byte(tmp_path: Path) -> None:
    """A file that is still growing, or was truncated, is read up to the cut."""
    data = a_shard(tmp_path).read_bytes()
    cut = tmp_path / "cut.jsonl"
    for part in prefixes(data):
        cut.write_bytes(part)
        reading = read_run(cut, merge=False)
        rows = list(reading)

        whole = [line for line in part.split(b"\n") if line.endswith(b"}") and b'"t":"call"' in line]
        assert len(rows) == len(whole)
        torn = part.split(b"\n")[-1]
        assert reading.facts.skipped_records == (1 if torn and not torn.endswith(b"}") else 0)


def test_f82_the_record_after_a_torn_one_is_read(tmp_path: Path) -> None:
    """Cut a line anywhere, go on with a new line and the whole record again: one call, one skipped line."""
    opening, first, second, *_ = a_shard(tmp_path).read_bytes().splitlines(keepends=True)
    path = tmp_path / "torn.jsonl"
    for end in range(1, len(first) - 2):
        path.write_bytes(opening + first[:end] + b"\n" + first + second)
        reading = read_run(path, merge=False)

        assert [row.call.id for row in reading] == ["00000000000000a1-0", "00000000000000a1-1"]
        assert reading.facts.skipped_records == 1


def test_a_call_that_is_no_json_is_missed_and_raises_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever keeps what the ledger could not take has no line to keep, and says that one is missing."""
    ledger = Ledger(tmp_path / "runs" / "r", lazy=True)
    unwritten = Unwritten(ledger)
    monkeypatch.setattr(_line, "call_line", lambda *_: 1 / 0)

    unwritten.call(ledger.call(a_call(1)))

    missing = unwritten.settle()
    assert (missing.lost, missing.lines) == (1, ())
    assert str(missing) == "ledger not written: a record could not be written as JSON_ ZeroDivisionError"


def test_a_run_that_lost_records_says_so_to_whoever_reads_it_later(tmp_path: Path) -> None:
    """A process that could write nothing at all has left an empty mark next to the shards of the others."""
    shard = a_shard(tmp_path)
    (shard.parent / "host.pid7.No space left on device.unwritten").touch()
    reading = read_run(shard.parent)
    list(reading)

    assert (reading.facts.lost_records, reading.facts.is_complete) == (1, False)


def test_a_combined_file_still_says_what_was_not_written(tmp_path: Path) -> None:
    """The marks next to its sources become lines of it, each once, however often files are combined."""
    shard, other = a_shard(tmp_path / "a"), a_shard(tmp_path / "b")
    (shard.parent / "host.pid7.No space left on device.unwritten").touch()
    (shard.parent / "host.pid8.No space left on device.unwritten").touch()
    one, all_, target = tmp_path / "c" / "one.jsonl", tmp_path / "c" / "all.jsonl", tmp_path / "c" / "again.jsonl"
    lost = [combine([shard.parent], one).lost_records, combine([other, one], all_).lost_records]
    lost += [combine([all_, shard, one], target, append=True).lost_records for _ in range(2)]
    first = target.read_bytes()
    facts = combine([other, shard], target, append=True)

    assert [*lost, facts.lost_records] == [2] * 5
    assert (facts.is_complete, facts.skipped_records, facts.unclean_processes) == (False, 0, 0)
    assert target.read_bytes() == first


FOREIGN = [
    b"",  # nothing
    b"{}",
    b"[]",
    b"null",
    b"\xff\xfe\x00",
    b'{"t":"call","v":1}',  # a call without an id or time
    b'{"t":"call","v":3,"id":"x","ts":1}',  # another version
    b'{"t":"new kind","v":1}',
    b'{"t":"call","v":1,"id":"x","ts":1,"prompt_tokens":-5}',
    b'{"t":"call","v":1,"id":"x","ts":1,"prompt_tokens":true}',
    b'{"t":"call","v":1,"id":"x","ts":1,"prompt_tokens":1e400}',
    b'{"t":"call","v":1,"id":"x","ts":NaN}',
    b'{"t":"call","v":1,"id":"x","ts":1,"provider_cost":"Infinity"}',
    b'{"t":"call","v":1,"id":"x","ts":1,"src":"elsewhere"}',
    b'{"t":"call","v":1,"id":["x"],"ts":1}',
    b'{"t":"call","v":1,"id":"x","ts":1,"tags":5}',
    b'{"t":"start","v":1,"id":5}',
    b'{"t":"context","v":1}',
    b'{"t":"close","v":1,"lost":"many"}',
    b"[" * 100_000,
    b'{"t":"call","v":1,"id":"x","ts":' + b"1" * 5000 + b"}",
    b"x" * 3_000_000,
]


@pytest.mark.parametrize("line", FOREIGN, ids=lambda line: repr(line[:60]))
def test_f86_a_foreign_line_is_skipped_and_counted(tmp_path: Path, line: bytes) -> None:
    """Never raised, never summed, never silent."""
    shard = a_shard(tmp_path, calls=2)
    opening, first, second, close = shard.read_bytes().splitlines(keepends=True)
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(opening + first + line + b"\n" + second + close)
    reading = read_run(path, merge=False)

    assert len([row for row in reading if row.call.id != "x"]) == 2
    assert sum(row.calls for row in rows_of(path) if row.call.id == "x") == 0
    assert (reading.facts.skipped_records > 0) == bool(line)


def test_an_empty_shard_is_fine(tmp_path: Path) -> None:
    """A process that died before its first line leaves an empty file."""
    (tmp_path / "empty.jsonl").touch()

    assert rows_of(tmp_path / "empty.jsonl") == []


def test_a_missing_path_is_an_error_with_its_name(tmp_path: Path) -> None:
    """Nothing to read is not the same as nothing spent."""
    with pytest.raises(LedgerError, match="no-such-place"):
        read_run(tmp_path / "no-such-place")


def test_f82_a_full_disk_loses_nothing_once_there_is_space(tmp_path: Path) -> None:
    """A short write tears one line; the records that follow wait, and are written when they fit."""
    result = tmp_path / "result.json"

    def work() -> None:
        logging.disable(logging.CRITICAL)
        ledger = Ledger.create(tmp_path / "data")
        assert ledger.shard is not None
        ledger.call(a_call(0))
        size = ledger.shard.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, resource.RLIM_INFINITY))
        ledger.call(a_call(1))
        ledger.call(a_call(2))
        during = ledger.lost
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        ledger.call(a_call(3))
        result.write_text(json.dumps([during, ledger.lost, ledger.problem]))
        ledger.close()

    assert in_a_child(work) == 0
    during, after, problem = json.loads(result.read_text())
    (run,) = run_dirs(tmp_path / "data")
    reading = read_run(run, merge=False)

    assert [row.call.id[-1] for row in reading] == ["0", "1", "2", "3"]
    assert (during, after) == (2, 0)
    assert "100 of" in problem
    assert reading.facts.skipped_records == 1


def test_a_disk_that_stays_full_is_counted_and_bounded(tmp_path: Path) -> None:
    """What could not be written is known at the end; memory does not grow with it."""
    result = tmp_path / "result.json"

    def work() -> None:
        logging.disable(logging.CRITICAL)
        ledger = Ledger.create(tmp_path / "data")
        assert ledger.shard is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.shard.stat().st_size, resource.RLIM_INFINITY))
        for n in range(1500):
            ledger.call(a_call(n))
        ledger.close()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        result.write_text(json.dumps([ledger.lost, len(ledger._waiting)]))

    assert in_a_child(work) == 0
    lost, waiting = json.loads(result.read_text())

    assert lost >= 1500
    assert waiting == 1000


def test_f83_a_directory_that_cannot_be_written_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The calls go on; `lost` counts and `problem` says why."""
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    ledger = Ledger.create(blocked)
    for n in range(3):
        ledger.call(a_call(n))
    ledger.close()

    assert ledger.lost == 3
    assert ledger.problem is not None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES, errno.EMFILE], ids=errno.errorcode.get)
def test_f83_what_cannot_be_opened_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    """A read-only file system, no permission, no descriptors left: counted, said once, never raised."""

    def refuse(*args: object, **kwargs: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        ledger = Ledger.create(tmp_path)
        for n in range(3):
            ledger.call(a_call(n))

    assert ledger.lost == 3
    assert os.strerror(code) in (ledger.problem or "")
    assert len(caplog.records) == 1


def test_descriptors_that_come_back_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of descriptors is a moment, not a fate: what waited is written."""

    def refuse(*args: object, **kwargs: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        ledger = Ledger.create(tmp_path)
        ledger.call(a_call(0))
    ledger.call(a_call(1))
    ledger.close()

    assert ledger.lost == 0
    assert len(ids_of(ledger.run_dir)) == 2


def test_f83_a_removed_directory_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Writing to a removed file succeeds; what went there is counted as lost all the same."""
    ledger = Ledger.create(tmp_path)
    assert ledger.shard is not None
    ledger.shard.unlink()
    for n in range(200):
        ledger.call(a_call(n))

    assert ledger.lost == 200
    assert len(caplog.records) == 1


def test_f89_a_world_writable_directory_is_refused(tmp_path: Path) -> None:
    """Others could swap our files there."""
    tmp_path.chmod(0o777)
    refused = Ledger.create(tmp_path)
    tmp_path.chmod(0o1777)
    accepted = Ledger.create(tmp_path)
    accepted.close()

    assert "sticky bit" in (refused.problem or "")
    assert accepted.problem is None


def test_f89_a_link_is_refused(tmp_path: Path) -> None:
    """A symbolic link in the place of a shard is not followed."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "r").symlink_to(tmp_path / "elsewhere")
    ledger = Ledger.join(tmp_path / "runs" / "r")

    assert "symbolic link" in (ledger.problem or "")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_f89_shards_are_private(tmp_path: Path) -> None:
    """0600, and a `.gitignore` of their own."""
    shard = a_shard(tmp_path / "data")

    assert shard.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data" / ".gitignore").read_text().splitlines()[-1] == "*"


def test_a_forked_child_writes_a_shard_of_its_own(tmp_path: Path) -> None:
    """Parent's and child's calls are both there, once; leaving by `os._exit` loses nothing."""
    ledger = Ledger.create(tmp_path)
    ledger.call(a_call(0))

    assert in_a_child(lambda: ledger.call(a_call(1, id="00000000000000b2-0"))) == 0

    ledger.call(a_call(1))
    ledger.close()
    reading = read_run(ledger.run_dir, merge=False)
    assert sorted(row.call.id for row in reading) == ["00000000000000a1-0", "00000000000000a1-1", "00000000000000b2-0"]
    assert (reading.facts.processes, reading.facts.unclean_processes) == (2, 1)


def test_a_child_that_only_closes_leaves_the_parents_shard_open(tmp_path: Path) -> None:
    """An inherited ledger is not the child's to close."""
    ledger = Ledger.create(tmp_path)

    assert in_a_child(ledger.close) == 0

    ledger.call(a_call(0))
    assert len(find_shards([ledger.run_dir])) == 1
    assert ids_of(ledger.run_dir) == ["00000000000000a1-0"]
    ledger.close()


def test_threads_share_a_shard_without_tearing_lines(tmp_path: Path) -> None:
    """One line is one system call; no lock is needed."""
    ledger = Ledger.create(tmp_path)

    def work(k: int) -> None:
        for n in range(500):
            ledger.call(a_call(n, id=f"{k:016x}-{n:x}"))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    reading = read_run(ledger.run_dir, merge=False)

    assert len({row.call.id for row in reading}) == 4000
    assert reading.facts.is_complete


def test_a_call_in_flight_at_the_crash_is_named(tmp_path: Path) -> None:
    """A start without its call was billed, at an unknown cost."""
    ledger = Ledger.create(tmp_path)
    ledger.start("00000000000000a1-0", "gpt-4o", context="t::a")
    ledger.start("00000000000000a1-1", "gpt-4o", context="t::b")
    ledger.call(a_call(0), context="t::a")
    ledger.start("odd id", "gpt-4o")
    assert ledger.shard is not None
    left = tmp_path / "left.jsonl"  # what a crash leaves: nobody holds it any more
    left.write_bytes(ledger.shard.read_bytes())
    reading = read_run(left)
    list(reading)

    assert reading.facts.in_flight == 2
    assert reading.facts.in_flight_contexts == ("t::b",)
    ledger.close()


def test_a_record_after_the_close_is_kept(tmp_path: Path) -> None:
    """A stream may end after the run was closed."""
    ledger = Ledger.create(tmp_path)
    ledger.call(a_call(0))
    ledger.close()
    ledger.call(a_call(1))
    ledger.close()

    assert len(ids_of(ledger.run_dir)) == 2
    assert len(find_shards([ledger.run_dir])) == 1


def test_a_lazy_ledger_makes_nothing_before_its_first_record(tmp_path: Path) -> None:
    """A test run without calls leaves no trace."""
    ledger = Ledger.create(tmp_path / "data", lazy=True)
    ledger.close()
    assert not (tmp_path / "data").exists()

    ledger.call(a_call(0))
    ledger.close()
    assert ids_of(tmp_path / "data") == ["00000000000000a1-0"]


def test_children_find_the_run_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`TOKEN_METER_RUN_DIR` is all that a child needs."""
    assert Ledger.from_environment() is None
    monkeypatch.setenv(RUN_DIR_VARIABLE, str(tmp_path / "runs" / "r"))
    ledger = Ledger.from_environment(worker="gw1")
    assert ledger is not None
    ledger.call(a_call(0))
    ledger.close()

    (row,) = rows_of(tmp_path)
    assert row.worker == "gw1"


def test_f45_reading_the_same_shard_twice_counts_it_once(tmp_path: Path) -> None:
    """Sums are not sets: a record has an id, and counts once."""
    shard = a_shard(tmp_path)
    (tmp_path / "copy.jsonl").write_bytes(shard.read_bytes())
    reading = read_run([shard, tmp_path / "copy.jsonl"], merge=False)

    assert len(list(reading)) == 3
    assert reading.facts.duplicates == 3
    assert (reading.facts.processes, reading.facts.unclean_processes) == (1, 0)


def test_f45_combining_twice_changes_nothing(tmp_path: Path) -> None:
    """The combined file with its own sources again is the same file."""
    one, two = a_shard(tmp_path / "a"), tmp_path / "two.jsonl"
    two.write_bytes(one.read_bytes().replace(b"00000000000000a1", b"00000000000000b2").replace(b'"pid":', b'"pid":1'))
    both = tmp_path / "both.jsonl"

    facts = combine([one, two], both)
    first = both.read_bytes()
    again = combine([one, two, one], both, append=True)

    assert both.read_bytes() == first
    assert (facts.processes, facts.duplicates, len(ids_of(both))) == (2, 0, 6)
    assert again == facts


def test_a_combined_file_keeps_what_is_known_of_a_crash(tmp_path: Path) -> None:
    """In-flight calls and unclean processes are still visible after combining."""
    ledger = Ledger.create(tmp_path)
    ledger.start("00000000000000a1-0", "m", context="t")
    facts = combine([ledger.run_dir], tmp_path / "all.jsonl")

    assert (facts.unclean_processes, facts.in_flight) == (1, 1)
    ledger.close()


def test_notes_come_back_with_their_context(tmp_path: Path) -> None:
    """The harness's facts about a test are in the ledger with the calls."""
    ledger = Ledger.create(tmp_path)
    ledger.note("context", id="t::a", outcome="failed", file="t.py", line=3)
    ledger.note("run", exit_status=1)
    ledger.close()
    reading = read_run(ledger.run_dir)
    list(reading)

    assert reading.facts.contexts["t::a"]["outcome"] == "failed"
    assert reading.facts.run["exit_status"] == 1


def test_ids_that_are_not_ours_are_deduplicated_too(tmp_path: Path) -> None:
    """A huge counter in a foreign file must not reserve memory for what it claims."""
    path = tmp_path / "odd.jsonl"
    lines = [
        json.dumps({"t": "call", "v": 1, "id": id_, "ts": 1.0}).encode()
        for id_ in ("", "a-b-c", "00000000000000a1-ffffffff", "é", "-", "00000000000000a1-5")
    ]
    path.write_bytes(b"\n".join(lines * 2) + b"\n")
    reading = read_run(path, merge=False)

    assert len(list(reading)) == 6
    assert reading.facts.duplicates == 6
