"""What a shared budget costs, in SQLite and on a server of its own: `python -m benchmarks.budgets`.

`step` is one call's two steps from one process. `storm` is eight processes near the limit, most of whose calls are
refused. `join` is the first call of a process that joins a run of 100,000 calls. `overshoot` counts the tries of fifty in
which more than one of five processes got in where one fits, all of which join that run. `hang` is what a caller, an event
loop and forty tasks wait for a server that has stopped.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tests.stores.servers import Server, server_program
from token_meter.stores import Charge, LeaseRequest, Settlement, StoreAsk, StoreError, Units, Window
from token_meter.stores.addresses import store_at
from token_meter.stores.redis import RedisBudgetStore
from token_meter.stores.sqlite import SQLiteBudgetStore

FORK = multiprocessing.get_context("fork")
NONE = Units(None, None, None)
TEAM = Window("team")
PROCESSES, CALLS, LINES, TRIES = 8, 200, 100_000, 50


def ask(limit: int | None, wanted: int = 100) -> StoreAsk:
    """A call of *wanted* nano-dollars."""
    return StoreAsk(TEAM, NONE._replace(nano_usd=limit), Units(wanted, 100, 1), definition='{"max_cost": "1"}')


def shown(name: str, waits: list[float], cpu_s: float = 0.0) -> None:
    """Percentiles of waits, in milliseconds."""
    waits = sorted(waits)
    p50, p99, last = waits[len(waits) // 2], waits[int(len(waits) * 0.99)], waits[-1]
    cpu = f", CPU {cpu_s / len(waits) * 1e6:.0f} us" if cpu_s else ""
    print(f"{name:30} p50 {p50 * 1e3:.3f} ms, p99 {p99 * 1e3:.2f}, max {last * 1e3:.1f}{cpu}")


def step(store: Any, n: int = 3000) -> None:
    """One call's two steps, one after another."""
    epoch = store.read(()).epoch  # as a process that has seen the store before
    waits, cpu = [], time.process_time()
    for i in range(n):
        began = time.perf_counter()
        store.step((), LeaseRequest(f"s{i}", (ask(None),)), epoch)
        store.step([Settlement(f"s{i}", (Charge(TEAM, Units(50, 60, 1)),))], None, epoch)
        waits.append(time.perf_counter() - began)
    shown("step", waits, time.process_time() - cpu)


async def astep(store: Any, n: int = 3000) -> None:
    """The same, awaited."""
    epoch = store.read(()).epoch
    waits, cpu = [], time.process_time()
    for i in range(n):
        began = time.perf_counter()
        await store.astep((), LeaseRequest(f"a{i}", (ask(None),)), epoch)
        await store.astep([Settlement(f"a{i}", (Charge(TEAM, Units(50, 60, 1)),))], None, epoch)
        waits.append(time.perf_counter() - began)
    shown("step, awaited", waits, time.process_time() - cpu)


def ping(address: str, n: int = 3000) -> None:
    """The measure of the machine: what redis-py's own client takes for a PING."""
    import redis

    client = redis.Redis.from_url(address)
    waits, cpu = [], time.process_time()
    for _ in range(n):
        began = time.perf_counter()
        client.ping()
        waits.append(time.perf_counter() - began)
    shown("redis-py's PING", waits, time.process_time() - cpu)
    client.close()


async def aping(address: str, n: int = 3000) -> None:
    """The same, awaited."""
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(address)
    waits, cpu = [], time.process_time()
    for _ in range(n):
        began = time.perf_counter()
        await client.ping()
        waits.append(time.perf_counter() - began)
    shown("redis-py's PING, awaited", waits, time.process_time() - cpu)
    await client.aclose()


def in_processes(work: Callable[[int, Any], Any], n: int) -> list[Any]:
    """What *n* processes return that begin together."""
    start, results = FORK.Barrier(n), FORK.SimpleQueue()
    children = [FORK.Process(target=lambda i=i: results.put(work(i, start))) for i in range(n)]
    for child in children:
        child.start()
    found = [results.get() for _ in children]
    for child in children:
        child.join()
    return found


def storm(make: Callable[[], Any]) -> None:
    """Eight processes near the limit."""

    def work(number: int, start: Any) -> list[float]:
        store, waits = make(), []
        store.read(())
        start.wait()
        for i in range(CALLS):
            id, began = f"{number}-{i}", time.perf_counter()
            answer = store.step((), LeaseRequest(id, (ask(50_000),)))
            waits.append(time.perf_counter() - began)
            if answer.status == "done":
                time.sleep(0.002)
                store.step([Settlement(id, (Charge(TEAM, Units(90, 60, 1)),))], None)
        return waits

    shown("storm, 8 x 200", [wait for waits in in_processes(work, PROCESSES) for wait in waits])


def join(run_dir: Path) -> None:
    """The first call of a process that joins a long run."""
    from token_meter.budget.amounts import Amounts
    from token_meter.ci.run_budgets import RunBudget, RunStore

    def first() -> float:
        budget = RunBudget("run", Amounts(calls=10**9), RunStore(run_dir))
        began = time.perf_counter()
        budget.client.admit(f"{began}", lambda now: (budget.ask(now, Amounts(None, None, 1), is_enforced=True),))
        return time.perf_counter() - began

    first()
    shown("join", [first() for _ in range(20)])


def overshoot(run_dir: Path) -> None:
    """Four processes where one fits, while another one joins."""
    from token_meter.ci.run_budgets import RunStore

    worst = 0
    for number in range(TRIES):
        window = Window(f"try{number}")

        def work(n: int, start: Any, window: Window = window) -> bool:
            store = RunStore(run_dir)
            start.wait()
            asked = ask(150)._replace(window=window)
            return bool(store.step((), LeaseRequest(f"{window.budget}-{n}", (asked,))).status == "done")

        worst += sum(in_processes(work, 5)) != 1
    print(f"{'overshoot':30} {worst} of {TRIES} tries")


def hang(server: Server) -> None:
    """A server that has stopped: a caller, an event loop, and forty tasks of one."""
    store = RedisBudgetStore(f"{server.url}?namespace=hang")

    def caller() -> float:
        began = time.perf_counter()
        with suppress(StoreError):
            store.step((), LeaseRequest("b", (ask(None),)))
        return time.perf_counter() - began

    async def tasks(n: int, gaps: list[float]) -> float:
        async def watch() -> None:
            while True:
                last = time.perf_counter()
                await asyncio.sleep(0.001)
                gaps.append(time.perf_counter() - last)

        server.go_on()
        await store.astep((), LeaseRequest("a", (ask(None),)))
        server.hang()
        watching, began = asyncio.create_task(watch()), time.perf_counter()
        steps = (store.astep((), LeaseRequest(f"c{i}", (ask(None),))) for i in range(n))
        await asyncio.gather(*steps, return_exceptions=True)
        waited = time.perf_counter() - began
        watching.cancel()
        return waited

    store.step((), LeaseRequest("a", (ask(None),)))
    server.hang()
    shown("hang, a caller", [caller() for _ in range(4)])
    gaps: list[float] = []
    shown("hang, forty tasks", [asyncio.run(tasks(40, gaps)) for _ in range(4)])
    shown("hang, turns of their loop", gaps)
    server.go_on()


def long_run(directory: Path) -> Path:
    """A run with 100,000 calls on record."""
    run_dir = directory / "runs" / "r"
    run_dir.mkdir(parents=True)
    line = '{"t":"call","v":2,"id":"%016x-1","prompt_tokens":100,"completion_tokens":50,"total_tokens":150}\n'
    with (run_dir / "vm.pid1.0123abcd.jsonl").open("w") as shard:
        shard.writelines(line % n for n in range(LINES))
    return run_dir


def main() -> None:
    """Print the figures of SQLite, and of the server whose address is given."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        print("SQLite")
        step(store_at(f"sqlite:///{directory}/step.db"))
        storm(lambda: SQLiteBudgetStore(directory / "storm.db"))
        run_dir = long_run(directory)
        join(run_dir)
        overshoot(run_dir)
        server = Server(directory / "server")
        print(server_program())
        try:
            on_server(server)
        finally:
            server.kill()


def on_server(server: Server) -> None:
    """The figures of one server."""
    address = server.url
    ping(address)
    asyncio.run(aping(address))
    store: Any = store_at(f"{address}?namespace=step")
    step(store)
    asyncio.run(astep(store))
    storm(partial(RedisBudgetStore, f"{address}?namespace=storm"))
    hang(server)


if __name__ == "__main__":
    main()
