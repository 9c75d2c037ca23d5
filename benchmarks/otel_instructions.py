"""`python -m benchmarks.otel_instructions`: instructions that OpenTelemetry's counters add to a call beside a meter.

As `benchmarks.instructions`: they repeat where times do not.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from openai import OpenAI

from benchmarks.instructions import Transport, calls, each, started
from token_meter import meter

_SHORT, _LONG = 64, 128  # multiples of the number of bodies that are read together


def child(folder: Path) -> None:
    """Count everything, in the hands of callgrind."""
    import httpx2
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from token_meter.otel import observe

    gc.disable()
    client = OpenAI(api_key="sk-bench", http_client=httpx2.Client(transport=Transport()))
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)

    def work(opened: Callable[[], AbstractContextManager[object]], count: int) -> None:
        with opened():
            calls(client, count)

    rows: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "a meter of the process": partial(meter, scope="process"),
        "counters": partial(observe, provider=provider),
        "counters by a tag": partial(observe, provider=provider, tags=["tenant"]),
    }
    for opened in rows.values():
        work(opened, _SHORT)
    started(folder)
    least = 0
    for name, opened in rows.items():
        found = each(partial(work, opened), _SHORT, _LONG, folder)
        print(f"{name:<24} {found:>12,} a call {found - (least or found):>+9,}", flush=True)
        least = least or found


def main() -> None:
    """Start the child, whose hash seed is fixed."""
    if shutil.which("valgrind") is None or shutil.which("vgdb") is None:
        sys.exit("valgrind, which counts the instructions, is not installed here: nothing was counted.")
    with tempfile.TemporaryDirectory() as folder:
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", f"--vgdb-prefix={folder}/pipe",
            f"--callgrind-out-file={folder}/count.%p", f"--log-file={folder}/log.%p",
            sys.executable, "-m", "benchmarks.otel_instructions", folder,
        ]  # fmt: skip
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, check=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(Path(sys.argv[1]))
    else:
        main()
