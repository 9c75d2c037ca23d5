"""The service of docs/shared_budgets.md, as its page has it: two workers of uvicorn, a real server, a provider's bill."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.stores.servers import Server
from token_meter import Budget
from token_meter.simulator import Simulator

PAGE = Path(__file__).parents[2] / "docs" / "shared_budgets.md"
(SERVICE,) = re.findall(r"```python\n(from fastapi .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
LIMIT = Decimal("0.001")
FROM_S = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    """The server of the budgets, with the file that the page asks for."""
    running = Server(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")
    yield running
    running.kill()


@pytest.fixture
def ask(tmp_path: Path, simulator: Simulator, store: Server) -> Iterator[Callable[[str], int]]:
    """A question of a customer to the running service, and the status of its answer."""
    text = SERVICE.replace("redis://cache:6379/0", store.url).replace("max_cost=5", f'max_cost="{LIMIT}"')
    assert store.url in text
    assert str(LIMIT) in text
    (tmp_path / "service.py").write_text(text)
    (tmp_path / "prices.toml").write_text(f'[hosts]\n"{simulator.url}" = "openai"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {
        **os.environ, "OPENAI_BASE_URL": simulator.base_url, "OPENAI_API_KEY": "sim-test",
        "TOKEN_METER_PRICES": "prices.toml",
    }  # fmt: skip
    command = [sys.executable, "-m", "uvicorn", "service:app", "--workers", "2", "--port", str(port)]
    with (tmp_path / "log").open("w") as log:
        running = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=FROM_S) as client:

            def asked(customer: str) -> int:
                headers = {"x-customer": customer}
                return client.post("/ask", params={"question": "Which rose?"}, headers=headers).status_code

            _until(lambda: (tmp_path / "log").read_text().count("startup complete") == 2)
            yield asked
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def _until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + FROM_S
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_two_workers_hold_each_customers_budget_and_outlive_the_death_of_the_server(
    ask: Callable[[str], int], simulator: Simulator, store: Server
) -> None:
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, ["7"] * 24))
    budget = Budget("customer:7", max_cost=LIMIT, per="day", tz="Europe/Berlin", store=store.url)
    spent = budget.read()
    bill = simulator.bill()
    assert set(statuses) == {200, 429}, "twenty-four do not fit"
    assert (spent.spent.cost, spent.spent.calls) == (bill.cost, statuses.count(200))
    assert spent.spent.cost <= LIMIT
    assert spent.held.calls == 0
    assert ask("8") == 200, "another customer has a budget of its own"

    store.kill()
    assert [ask("7") for _ in range(3)] == [503] * 3
    assert simulator.bill().calls == bill.calls + 1, "what cannot be checked is not sent"

    store.start()
    _until(lambda: ask("8") == 200)
    assert budget.read().spent == spent.spent
    budget.client.store.close()
