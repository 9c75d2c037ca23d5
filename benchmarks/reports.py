"""What a ledger record costs to write, and a long ledger to report; every call of it has counts of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.pairs import each_us
from token_meter.ledger import Ledger
from token_meter.types import Call, Usage

_MODELS = ("gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-5", "o3-2025-04-16")
_TESTS = 500


class Report(NamedTuple):
    """Seconds and peak memory of `token-meter report` over a ledger, as a command of its own."""

    seconds: float
    peak_mb: float


def _call(number: int) -> Call:
    prompt, completion = 200 + number * 7919 % 8000, 1 + number * 104729 % 900
    model = _MODELS[number % len(_MODELS)]
    return Call(
        f"b3a5c7d9e1f20406-{number:x}",
        1_795_000_000.25 + number / 90,
        0.4 + number % 1000 / 1000,
        "api.openai.com",
        "chat",
        model,
        model,
        Usage(prompt, completion, prompt + completion, prompt // 2 // 128 * 128, None, None, completion // 3),
        status=200,
    )


def write(path: Path, calls: int) -> Path:
    """Write a run of *calls* distinct calls by 500 tests; return its directory."""
    ledger = Ledger.create(path)
    for number in range(calls):
        ledger.call(_call(number), context=f"tests/test_flowers.py::test_{number % _TESTS}", phase="call", attempt=1)
    ledger.close()
    return ledger.run_dir


def append_us() -> float:
    """One record: made a line, and given to the operating system by one write."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.create(folder)
        made = [_call(number) for number in range(1000)]

        def append(count: int) -> None:
            for number in range(count):
                ledger.call(made[number % 1000], context="tests/test_flowers.py::test_rose", phase="call", attempt=1)

        us = each_us(append, count=5000)
        ledger.close()
    return us


def report(run: Path) -> Report:
    """Report *run* in a process of its own."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "token_meter", "report", str(run), "-f", "json", "-o", os.devnull], check=True
    )
    seconds = time.perf_counter() - started
    unit = 2**20 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return Report(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / unit)


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(f"append a record {append_us():.1f} us")
    with tempfile.TemporaryDirectory() as folder:
        print(f"report of {calls:,} calls, each with counts of its own:", end=" ", flush=True)
        found = report(write(Path(folder), calls))
        print(f"{found.seconds:.1f} s, peak {found.peak_mb:.0f} MB")


if __name__ == "__main__":
    main()
