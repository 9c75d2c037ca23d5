"""What the pytest plugin costs a suite that calls no model: its import, and 2,000 empty tests with it and without it.

`python benchmarks/plugin_cost.py` prints Markdown; [README.md](README.md) shows one run. Runs with and without take
turns, and what is compared is processor time of the whole child process: others on the machine disturb it least.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TESTS = 2_000
PAIRS = 21
PLUGIN = "token_meter.pytest_plugin"


def cpu_ms(*words: str, cwd: str | None = None) -> float:
    """Processor time of a Python that runs *words*, in milliseconds."""
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "0"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *words], cwd=cwd, env=env, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def paired(run: Callable[[bool], float]) -> tuple[float, float, float, float]:
    """The median without, the median difference, and the quartiles of the differences."""
    without, differences = [], []
    for turn in range(PAIRS):
        first = bool(turn % 2)
        times = {first: run(first)}
        times[not first] = run(not first)
        without.append(times[False])
        differences.append(times[True] - times[False])
    low, middle, high = statistics.quantiles(differences, n=4)
    return statistics.median(without), middle, low, high


def import_time_ms() -> tuple[float, list[str]]:
    """What `-X importtime` says of the plugin's import, and which modules it brings."""
    found: list[float] = []
    names: list[str] = []
    for _ in range(PAIRS):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", f"import pytest; import {PLUGIN}"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        after = done.stderr[done.stderr.rindex("| pytest\n") :]
        rows = re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", after)
        found.append(sum(int(own) for own, _ in rows) / 1000)
        names = [name for _, name in rows]
    return statistics.median(found), names


def main() -> None:
    """Measure and print."""
    own, names = import_time_ms()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {PAIRS} pairs, processor time of a process.\n")
    print(f"`-X importtime`, median: {own:.2f} ms for {', '.join(f'`{name}`' for name in names)}.\n")
    print("| | without | the plugin adds, median | quartiles |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        Path(place, "pytest.ini").write_text("[pytest]\n")

        def suite(tests: int) -> Callable[[bool], float]:
            Path(place, "test_empty.py").write_text("".join(f"def test_{n}(): pass\n" for n in range(tests)))
            common = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
            return lambda plugged: cpu_ms(*common, *(["-p", PLUGIN] if plugged else []), cwd=place)

        rows: list[tuple[str, Callable[[], Callable[[bool], float]]]] = [
            ("`import pytest`", lambda: lambda plugged: cpu_ms("-c", f"import pytest{f', {PLUGIN}' * plugged}")),
            ("1 empty test", lambda: suite(1)),
            (f"{TESTS:,} empty tests", lambda: suite(TESTS)),
        ]
        for name, prepare in rows:
            run = prepare()
            run(True)  # bytecode
            base, added, low, high = paired(run)
            print(f"| {name} | {base:,.0f} ms | {added:+.1f} ms ({added / base:+.1%}) | {low:+.1f} to {high:+.1f} ms |")


if __name__ == "__main__":
    main()
