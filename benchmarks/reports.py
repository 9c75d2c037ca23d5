"""What a ledger record costs to write, and a long ledger to report, to export and to ask.

The ledger is that of a service: 8 writers, 30 days, 8 models in 3 tiers, 200 customers and 6 teams. In a quarter of an
hour a writer makes some 43 calls, of which hardly two are alike, and no two have the same counts.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from benchmarks.pairs import each_us
from token_meter.ledger import Ledger
from token_meter.types import Call, Usage

WRITERS, DAYS, CUSTOMERS, TEAMS = 8, 30, 200, 6
MODELS = (
    "gpt-4o-mini-2024-07-18", "gpt-4o-2024-08-06", "gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14", "gpt-5-2025-08-07",
    "gpt-5-mini-2025-08-07", "o3-2025-04-16", "o4-mini-2025-04-16",
)  # fmt: skip
TIERS = ("default", "flex", "priority")
BEGAN_S = 1_793_491_200  # 2026-11-01
_DAY_S = 86_400


class Run(NamedTuple):
    """What a command took, as a process of its own."""

    seconds: float
    cpu_s: float
    peak_mb: float

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s ({self.cpu_s:.1f} s of processor), {self.peak_mb:.0f} MB"


def a_call(number: int, writer: int, at_s: float, rng: random.Random) -> Call:
    """A call of the service: text, often with a part from the cache, sometimes refused or cut."""
    model = MODELS[rng.randrange(len(MODELS))]
    prompt, completion, dice = rng.randrange(200, 8_200), rng.randrange(1, 900), rng.random()
    thinks = model[0] == "o" or model.startswith("gpt-5")
    usage = Usage(
        prompt, completion, prompt + completion, rng.randrange(prompt) // 128 * 128 if dice < 0.4 else 0,
        None, None, completion // 3 if thinks else 0,
    )  # fmt: skip
    is_refused = dice > 0.99
    return Call(
        f"b3a5c7d9e1f204{writer:02x}-{number:x}", at_s, 0.4 + prompt / 8_000, "api.openai.com", "chat", model, model,
        None if is_refused else usage, "lower_bound" if 0.97 < dice < 0.98 else "exact",
        "closed" if 0.97 < dice < 0.98 else "complete", 429 if is_refused else 200,
        service_tier=None if is_refused else TIERS[rng.randrange(len(TIERS))], streamed=dice < 0.3,
        tags=(f"customer=c{rng.randrange(CUSTOMERS)}", f"team=t{rng.randrange(TEAMS)}"), provider="openai",
    )  # fmt: skip


def write(folder: Path, calls: int, *, starts: bool = False) -> Path:
    """Write a run of *calls* by all writers over all days, with *starts* as a meter does; return its directory."""
    first = Ledger.create(folder)
    each = calls // WRITERS
    for writer in range(WRITERS):
        rng = random.Random(writer)
        ledger = Ledger.join(first.run_dir) if writer else first
        for number in range(each):
            call = a_call(number, writer, BEGAN_S + (number + rng.random()) * DAYS * _DAY_S / each, rng)
            if starts:
                ledger.start(call.id, call.request_model)
            ledger.call(call)
        ledger.close()
    return first.run_dir


def append_us() -> float:
    """One record: made a line, and given to the operating system by one write."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger.create(folder)
        rng = random.Random(1)
        made = [a_call(number, 0, BEGAN_S + number, rng) for number in range(1000)]

        def append(count: int) -> None:
            for number in range(count):
                ledger.call(made[number % 1000], context="tests/test_flowers.py::test_rose", phase="call", attempt=1)

        us = each_us(append, count=5000)
        ledger.close()
    return us


def command(*words: object) -> Run:
    """Run `token-meter WORDS`, and measure it."""
    started = time.perf_counter()
    child = subprocess.Popen([sys.executable, "-m", "token_meter", *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise subprocess.CalledProcessError(status, ["token-meter", *map(str, words)])
    child.returncode = 0
    unit = 2**20 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / unit)


def report(run: Path, *options: str) -> Run:
    """Report *run* in a process of its own."""
    return command("report", run, "-f", "json", "-o", os.devnull, *options)


MONTH = (
    "select date_trunc('month', day) as month, response_model, count(*) as calls, sum(total_tokens) as tokens,"
    " sum(cost_usd) as cost from calls group by all order by all"
)


def many(parquet: Path, times: int = 100) -> Run:
    """Ask a month by model of *parquet*, after its files stand there so many times: a million rows become a hundred."""
    for path in sorted(parquet.rglob("part-*.parquet")):
        for number in range(1, times):
            shutil.copyfile(path, path.with_name(f"{path.stem}-{number}.parquet"))
    return command("query", MONTH, parquet, "--csv")


def _size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    """`python -m benchmarks.reports [CALLS] [--many]`: the last makes a hundred times the rows, 2 GB of files."""
    calls = next((int(word) for word in sys.argv[1:] if word.isdigit()), 1_000_000)
    print(f"append a record {append_us():.1f} us")
    with tempfile.TemporaryDirectory() as folder:
        for starts in (False, True):
            run = write(Path(folder, str(starts)), calls, starts=starts)
            print(f"{calls:,} calls{', each with its start' if starts else ''}, {_size_mb(run):.0f} MB of lines")
            for by in ("model", "day", "tag:customer"):
                for engine in ("duckdb", "python") if find_spec("duckdb") else ("python",):
                    print(
                        f"  report --by {by} --engine {engine}: {report(run, '--by', by, '--engine', engine)}",
                        flush=True,
                    )
            if find_spec("duckdb"):
                to = Path(folder, "parquet")
                print(f"  export: {command('export', run, '--to', to)}, {_size_mb(to):.1f} MB", flush=True)
                if starts and "--many" in sys.argv:
                    print(f"  a hundred times that, a month by model: {many(to)}, {_size_mb(to):,.0f} MB", flush=True)


if __name__ == "__main__":
    main()
