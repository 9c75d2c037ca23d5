"""The fault catalogue, F80 to F97: what is on disk after a fault, and what a hostile name does in a report: nothing."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import pytest

from token_meter import Call, Usage
from token_meter.ledger import Ledger, find_shards, read_run

CALL = Call("c", 1.0, 0.1, "h", "chat", usage=Usage(1, 2, 3), status=200)


def _write_many(run_dir: str, count: int) -> None:
    ledger = Ledger.join(run_dir)
    for number in range(count):
        ledger.call(CALL._replace(id=f"{os.getpid():x}-{number:x}"))
    ledger.close()


def test_f80_a_process_that_exits_at_once_has_written_its_calls(tmp_path):
    """`os._exit` runs no handler; nothing waits for one."""
    run = Ledger.create(tmp_path)
    code = (
        "import os, sys\nfrom tests.proof.test_catalogue_records import _write_many, Ledger, CALL\n"
        "ledger = Ledger.join(sys.argv[1])\nledger.call(CALL)\nos._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run.run_dir)], check=False)

    assert done.returncode == 9
    assert len(list(read_run(run.run_dir))) == 1


def test_f84_eight_writers_have_a_file_each_and_lose_nothing(tmp_path):
    """No shared file, no lock, no "database is locked"."""
    run = Ledger.create(tmp_path, lazy=True)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(str(run.run_dir), 250)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()

    assert len(list(find_shards([run.run_dir]))) == 8
    assert sum(row.calls for row in read_run(run.run_dir)) == 2_000


def test_f85_a_ledger_is_read_from_a_read_only_directory(tmp_path):
    """Plain lines: reading needs no side files."""
    ledger = Ledger.create(tmp_path)
    ledger.call(CALL)
    ledger.close()
    os.chmod(ledger.run_dir, 0o500)
    try:
        rows = list(read_run(ledger.run_dir))
    finally:
        os.chmod(ledger.run_dir, 0o700)

    assert len(rows) == 1
    assert {path.suffix for path in ledger.run_dir.iterdir() if path.name[0] != "."} == {".jsonl"}


def test_f87_streams_and_threads_at_the_interpreters_end_say_nothing():
    """A parked stream, a daemon thread that still calls, a meter left open: a clean exit."""
    code = """
import threading, time
from tests.proof.canned import DONE, USAGE, ask, event, json_body, streaming, telling
from token_meter import meter
cb = meter()
cb.__enter__()
opened = streaming(event(USAGE), DONE), telling(json_body(USAGE))
client, other = (manager.__enter__() for manager in opened)
parked = ask(client, stream=True)
next(iter(parked))
def forever():
    while True:
        ask(other)
threading.Thread(target=forever, daemon=True).start()
time.sleep(0.05)
print("end")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "end\n")
    assert "token_meter" not in done.stderr


@pytest.mark.parametrize("length", [1, 50, 4_000])
def test_f88_lines_of_any_length_are_one_write_each(tmp_path, monkeypatch, length):
    """One descriptor for appending, and one write for each record."""
    ledger = Ledger.create(tmp_path)
    writes: list[bytes] = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: (writes.append(data), real(fd, data))[1])
    ledger.call(CALL._replace(request_model="m" * length))
    monkeypatch.undo()

    assert len(writes) == 1
    assert writes[0].count(b"\n") == 1
