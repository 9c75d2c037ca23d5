"""What opening a meter costs, what importing us costs, and whether memory stays flat."""

from __future__ import annotations

import math
import os
import random
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

import httpx2

from benchmarks.calls import ANSWER
from benchmarks.pairs import each_us
from token_meter import meter


def open_close_us() -> float:
    """Opening and closing a meter that counts nothing."""

    def work(count: int) -> None:
        for _ in range(count):
            with meter():
                pass

    return each_us(work, count=5_000)


class Imports(NamedTuple):
    """Milliseconds of wall time beyond a bare interpreter, medians of paired runs; what was imported along."""

    package_ms: float
    meter_ms: float
    openai_ms: float
    heavy: list[str]


_HEAVY = ("openai", "httpx", "httpx2", "pydantic", "tiktoken", "genai_prices", "click", "pytest")


def imports(runs: int = 25) -> Imports:
    """Fresh interpreters in any order: nothing, the package, its meter, `import openai`."""
    programs = ("pass", "import token_meter", "from token_meter import meter", "import openai")
    times: dict[str, list[float]] = {program: [] for program in programs}
    order = random.Random(1)  # who comes after a big import finds the caches cold
    for number in range(runs + 1):
        for program in order.sample(programs, len(programs)):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            if number:  # the first round warms the disk cache and writes the .pyc files
                times[program].append((time.perf_counter() - started) * 1e3)
    bare = times["pass"]
    package, added, openai = (
        statistics.median(a - b for a, b in zip(times[program], bare, strict=True)) for program in programs[1:]
    )
    probe = f"import sys; from token_meter import meter; print(*[m for m in {_HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout.split()
    return Imports(package, added, openai, found)


class Memory(NamedTuple):
    """Resident memory in MB after the first tenth and at the end, and the calls between."""

    early_mb: float
    late_mb: float
    count: int

    @property
    def slope_mb(self) -> float:
        """Growth for a million."""
        return (self.late_mb - self.early_mb) / (self.count * 0.9) * 1e6


def memory_over_calls(count: int) -> Memory:
    """One meter, *count* calls through a real client; the meter is read at the end only."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=ANSWER, headers={"content-type": "application/json"})

    request = httpx2.Request("POST", "https://api.openai.com/v1/chat/completions", content=b'{"model":"gpt-4o-mini"}')
    with httpx2.Client(transport=httpx2.MockTransport(answer), trust_env=False) as client, meter() as cb:
        memory = _memory(count, lambda: client.send(request))
    assert cb.successful_requests == count
    return memory


def memory_over_meters(count: int) -> Memory:
    """*count* meters, opened and closed."""

    def work() -> None:
        with meter():
            pass

    return _memory(count, work)


def _memory(count: int, work: Any) -> Memory:
    for _ in range(count // 10):
        work()
    early = _resident_mb()
    for _ in range(count - count // 10):
        work()
    return Memory(early, _resident_mb(), count)


def _resident_mb() -> float:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:  # Linux only
        return math.nan
