"""Eight processes on one budget: nothing overspent, hardly anything left, no dollar lost, also when some are killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.budget.any_openai import BOOK, library
from tests.stores.servers import Server
from token_meter import Budget, BudgetExceededError, Meter
from token_meter.budget import store_client
from token_meter.ledger import Ledger
from token_meter.stores import Charge, MemoryBudgetStore, Settlement, Units

PROCESSES, CALLS, LARGEST = 8, 60, 1000
LIMIT = CALLS * Decimal("0.002")  # about two thirds of what they ask for
URL = "http://budget.test/v1/chat/completions"
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": LARGEST}
FORK = multiprocessing.get_context("fork")


def client(answer: Callable[[], int]) -> Any:
    """An HTTP client whose server answers with so many tokens."""

    def served(request: Any) -> Any:
        n = answer()
        usage = {"prompt_tokens": 8, "completion_tokens": n, "total_tokens": 8 + n}
        return library.Response(200, json={"object": "chat.completion", "model": "gpt-4o-mini", "usage": usage})

    return library.Client(transport=library.MockTransport(served))


@pytest.fixture(autouse=True)
def warm(patient: None) -> None:
    """Load here what a first call loads, once for all processes."""
    with Meter(budgets=[Budget("warm", max_cost=1, store=MemoryBudgetStore())], prices=BOOK):
        client(lambda: 1).post(URL, json=ASK)


@pytest.fixture(params=["sqlite", "redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A store that processes share."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/b.db"
        return
    running = Server(tmp_path / "server")
    yield running.url
    running.kill()


def work(number: int, address: str, run_dir: Path) -> tuple[int, list[float]]:
    """Calls until all are made or refused, as one process of a service."""
    rng = random.Random(number)
    refused, waits = 0, []
    budget = Budget("team", max_cost=LIMIT, store=address)
    with Meter(budgets=[budget], prices=BOOK, warn_at=None, ledger=Ledger.join(run_dir)):
        http = client(lambda: rng.randint(200, LARGEST))
        for _ in range(CALLS):
            started = time.perf_counter()
            try:
                http.post(URL, json=ASK)
            except BudgetExceededError:
                refused += 1
            waits.append(time.perf_counter() - started)
    return refused, waits


def run(target: Callable[..., Any], *args: Any, meanwhile: Callable[[list[Any]], None] = lambda _: None) -> list[Any]:
    """What the processes return; `None` for one that failed or was killed."""

    def child(number: int, into: Any) -> None:
        into.send(target(number, *args))

    pipes = [FORK.Pipe(duplex=False) for _ in range(PROCESSES)]
    children = [FORK.Process(target=child, args=(n, into), daemon=True) for n, (_, into) in enumerate(pipes)]
    for each, (_, into) in zip(children, pipes, strict=True):
        each.start()
        into.close()
    meanwhile(children)
    found = []
    for each, (out, _) in zip(children, pipes, strict=True):
        try:
            found.append(out.recv() if out.poll(60) else None)
        except EOFError:
            found.append(None)
        each.join()
    return found


def test_f123_eight_processes_spend_the_limit_and_no_more(address: str, tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / "r"
    done = run(work, address, run_dir)

    budget = Budget("team", max_cost=LIMIT, store=address)
    state = budget.read()
    lines = [json.loads(line) for shard in run_dir.glob("*.jsonl") for line in shard.read_text().splitlines()]
    rows = [line for line in lines if line["t"] == "call"]
    ledger = sum(150 * call["prompt_tokens"] + 600 * call["completion_tokens"] for call in rows)
    assert state.spent.cost == Decimal(ledger).scaleb(-9), "the store's sum is the ledger's, to the nano-dollar"
    assert state.spent.calls == len(rows) == PROCESSES * CALLS - sum(refused for refused, _ in done)
    assert LIMIT * Decimal("0.99") <= state.spent.cost <= LIMIT
    assert state.held.calls == 0
    assert budget.client.store.leases() == []
    budget.client.store.close()


def test_a_burst_sends_what_fits(address: str) -> None:
    """Sixty-four calls at once, in eight processes, with room for five."""
    go = FORK.Barrier(PROCESSES)

    def burst(_: int) -> int:
        budget = Budget("team", max_cost=Decimal("0.0006012") * 5, store=address)  # 8 and 1000 tokens
        with Meter(budgets=[budget], prices=BOOK, warn_at=None):
            http, n = client(lambda: LARGEST), 0
            go.wait(30)
            for _ in range(8):
                try:
                    http.post(URL, json=ASK)
                    n += 1
                except BudgetExceededError:
                    pass
        return n

    assert sum(run(burst)) == 5


def test_f125_killed_processes_lose_one_lease_each_which_a_late_settlement_puts_right(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_client, "LEASE_MS", 500)
    inside = FORK.SimpleQueue()

    def hang(number: int) -> None:
        budget = Budget("team", max_cost=LIMIT, store=address)

        def answer() -> int:
            inside.put(number)
            if number < 3:
                signal.pause()
            return 200

        with Meter(budgets=[budget], prices=BOOK, warn_at=None):
            client(answer).post(URL, json=ASK)

    def kill(children: list[Any]) -> None:
        for _ in children:
            inside.get()
        for child in children[:3]:
            os.kill(child.pid, signal.SIGKILL)

    run(hang, meanwhile=kill)

    budget = Budget("team", max_cost=LIMIT, store=address)
    store = budget.client.store
    until = time.monotonic() + 5
    while budget.read().held.calls and time.monotonic() < until:
        time.sleep(0.02)
    lost = store.leases()
    counted = budget.read()
    assert len(lost) == counted.lost.calls == 3
    assert counted.lost.cost == 3 * Decimal("0.0006012")
    assert counted.spent == (5 * Decimal("0.0001212") + counted.lost.cost, 5 * 208 + 3 * 1008, 8)

    for _ in range(2):
        for lease in lost:
            settled = Settlement(lease.id, tuple(Charge(c.window, Units(121_200, 208, 1)) for c in lease.charges))
            store.step([settled], None)
        right = budget.read()
        assert (right.spent, right.lost.calls) == ((8 * Decimal("0.0001212"), 8 * 208, 8), 0)
    store.close()
