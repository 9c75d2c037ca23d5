"""`python -m benchmarks.otel_instructions`: instructions that OpenTelemetry's counters add to a call beside a meter.

As `benchmarks.instructions`: they repeat where times do not.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from openai import OpenAI

from benchmarks.instructions import Transport, calls, each, in_callgrind, started
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


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
    else:
        in_callgrind("benchmarks.otel_instructions")
