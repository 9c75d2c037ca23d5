"""How much there can be of everything: tasks, dropped streams, meters. Small in the tests, large in `make soak`."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Callable
from typing import Any

import httpx2
from openai import AsyncOpenAI

from tests.meter.races import LIMITS, blocks_that_fill
from tests.proof.canned import DONE, USAGE, ask, event, json_body, streaming
from token_meter import Meter, meter

TOKENS = 15


def resident_mib() -> float | None:
    """Resident memory, where the system tells it."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return None


def concurrent_tasks(count: int) -> tuple[Meter, int]:
    """So many tasks at once, each with a meter of its own; the outer meter, and the sum of the inner ones."""
    inner = 0

    async def answer(_: Any) -> Any:
        await asyncio.sleep(0)
        return httpx2.Response(200, json=json_body(USAGE))

    async def main() -> Meter:
        nonlocal inner
        transport = httpx2.MockTransport(answer)
        async with AsyncOpenAI(api_key="sk-x", http_client=httpx2.AsyncClient(transport=transport)) as client:

            async def task() -> None:
                nonlocal inner
                with meter() as mine:
                    await client.chat.completions.create(model="gpt-4o-mini", messages=[])
                inner += mine.total_tokens

            with meter() as whole:
                await asyncio.gather(*[task() for _ in range(count)])
        return whole

    return asyncio.run(main()), inner


def abandoned_streams(count: int) -> Meter:
    """Many streams that are neither read nor closed."""
    with streaming(event(USAGE), DONE) as client, meter() as cb:
        for number in range(count):
            ask(client, stream=True)
            if number % 500 == 499:
                gc.collect()
        gc.collect()
    return cb


def meters(count: int) -> None:
    """So many meters, opened and closed."""
    for _ in range(count):
        with meter():
            pass


def growth_mib(work: Callable[[int], object], count: int) -> float:
    """How much memory the second half of the work takes beyond the first, after warming up."""
    work(count)
    gc.collect()
    before = resident_mib()
    work(count)
    gc.collect()
    after = resident_mib()
    return 0.0 if before is None or after is None else after - before


def main() -> None:
    """The large numbers, printed."""
    threads = set(threading.enumerate())
    for limit in LIMITS:
        blocks_that_fill(limit, 5_000)
    print("3 x 5,000 blocks: no stale read, no limit passed", flush=True)
    whole, inner = concurrent_tasks(10_000)
    assert whole.total_tokens == inner == 10_000 * TOKENS
    print("10,000 concurrent tasks: every meter right", flush=True)
    print(f"2 x 100,000 abandoned streams: {growth_mib(abandoned_streams, 100_000):+.1f} MiB", flush=True)
    print(f"2 x 500,000 meters: {growth_mib(meters, 500_000):+.1f} MiB", flush=True)
    assert set(threading.enumerate()) == threads, "a thread was left behind"


if __name__ == "__main__":
    main()
