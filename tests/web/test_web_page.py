"""`docs/web.md` tells the truth: its app runs as it stands there, and every call is in the sums or named as missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx
import pytest

import token_meter
from tests.conftest import sdk_http
from tests.docs.pages import blocks
from token_meter import BlindSpotWarning, Meter, meter
from token_meter.prices import PriceBook
from token_meter.simulator import Simulator

pytest.importorskip("fastapi", reason="in the dev group")

PROGRAM = "\n\n".join(block.text for block in blocks("docs/web.md") if block.language == "python")
KEY = "sim-web"
BOOK = PriceBook(hosts={"127.0.0.1": "openai"})
ROUNDS = 2
CALLS = {
    "async": 1, "sync": 1, "stream": 1, "later": 2, "bouquet": 3,
    "counted/async": 1, "counted/sync": 1, "not-counted": 1,
}  # fmt: skip
"""The paths of the page, and how many calls a request of each makes; the fourth of a bouquet is refused."""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a user has it: the app, the key, and prices for a provider on loopback."""
    (tmp_path / "shop.py").write_text(PROGRAM)
    (tmp_path / "prices.toml").write_text('hosts = {"127.0.0.1" = "openai"}\n')
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("OPENAI_BASE_URL", simulator.base_url), ("OPENAI_API_KEY", KEY), ("TOKEN_METER_PRICES", "prices.toml"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    token_meter.configure()  # prices are looked up anew
    yield
    token_meter.configure()


# On uvicorn.


@contextlib.contextmanager
def two_workers(log: list[str]) -> Iterator[str]:
    """The page's last command; its lines are in *log* at the end."""
    command = ["-m", "token_meter", "run", "--data-dir", "run", "--", sys.executable, "-m", "uvicorn", "shop:app"]
    options = ["--workers", "2", "--port", "0", "--timeout-worker-healthcheck", "60", "--no-use-colors"]
    with (
        subprocess.Popen([sys.executable, *command, *options], text=True, stderr=subprocess.PIPE) as server,
        ThreadPoolExecutor(1) as reading,
    ):
        assert server.stderr is not None
        try:
            while sum("startup complete" in line for line in log) < 2:
                log.append(server.stderr.readline())
                assert log[-1], "".join(log)
            rest = reading.submit(server.stderr.read)
            found = re.search(r"running on (\S+)", "".join(log))
            assert found is not None
            yield found[1]
        finally:
            server.terminate()
        log.extend(rest.result(60).splitlines())


def report(*words: str) -> dict[str, Any]:
    """What `token-meter report` says; with 3 it ends because requests were refused."""
    done = subprocess.run([sys.executable, "-m", "token_meter", "report", *words, "-f", "json:r.json"], check=False)
    assert done.returncode in (0, 3)
    data: dict[str, Any] = json.loads(Path("r.json").read_text())
    return data


def test_every_call_of_two_workers_is_in_the_sums(simulator: Simulator) -> None:
    """Requests in parallel, of each path: in the middleware's log, in its ledger, and in the run's report.

    It takes seconds: each worker imports FastAPI and the SDK.
    """
    log: list[str] = []
    with two_workers(log) as url, httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda path: (path, client.get(f"/{path}/rose")), [*CALLS] * ROUNDS))

    answers = {(path, answer.status_code, answer.text if "counted" in path else "") for path, answer in found}
    bill = simulator.bill(KEY)
    assert bill.calls == ROUNDS * sum(CALLS.values())
    assert {(path, status) for path, status, _ in answers} == {(p, 429 if p == "bouquet" else 200) for p in CALLS}
    assert {json.loads(text)["calls"] for path, _, text in answers if path.startswith("counted")} == {1}
    assert {text for path, _, text in answers if path == "not-counted"} == {'{"calls":0}'}
    said = re.findall(r"/(\S+)/rose: (\d+) calls, (\d+) tokens", "\n".join(log))
    assert sorted(said) == sorted((path, str(CALLS[path]), tokens) for path, _, tokens in said)
    assert sum(int(tokens) for *_, tokens in said) == bill.total_tokens
    spent, run = report("spent", "--all", "--by", "tag:path"), report("run")
    for sums in (spent["totals"], run["totals"]):
        assert (sums["calls"], sums["tokens"]["total_tokens"]) == (bill.calls, bill.total_tokens)
    assert len(re.findall("Started server process", "\n".join(log))) == 2
    assert sum("BlindSpotWarning" in line for line in log) >= 1


# In this process: the bill of each customer, and who is late.


@pytest.mark.filterwarnings("ignore::token_meter.BudgetWarning")
def test_two_hundred_parallel_requests_equal_the_bill_of_each_customer(
    simulator: Simulator, serve: Callable[[Any], str]
) -> None:
    """Streamed, background, failing, limited: the flower is a customer, whose calls have a key of their own."""
    request: ContextVar[tuple[str, bool]] = ContextVar("request")
    ended: SimpleQueue[tuple[str, Meter]] = SimpleQueue()

    def pay(sent: Any) -> None:
        customer, fails = request.get()
        sent.headers["authorization"] = f"Bearer {customer}"
        if fails:
            sent.headers["x-sim-status"] = "500"

    async def pay_async(sent: Any) -> None:
        pay(sent)

    done = {"done": lambda scope, cb: ended.put((scope["path"].rpartition("/")[2], cb))}
    exec(compile(PROGRAM.replace('"done": said', "**done"), "shop.py", "exec"), shop := {"done": done})
    sync, asyn = (
        sdk_http.Client(event_hooks={"request": [pay]}),
        sdk_http.AsyncClient(event_hooks={"request": [pay_async]}),
    )
    shop["sync_openai"] = shop["sync_openai"].with_options(http_client=sync, max_retries=0)
    shop["openai"] = shop["openai"].with_options(http_client=asyn, max_retries=0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request.set((scope["path"].rpartition("/")[2], scope["query_string"] == b"fails"))
        await shop["app"](scope, receive, send)

    kinds = [*(kind for kind in CALLS if kind != "not-counted"), "async"]
    jobs = [f"/{kind}/{name}" for kind in kinds for name in ("ada", "bob", "eve", "kim")] * 7
    jobs = [f"{path}?fails" if n % 8 == 7 else path for n, path in enumerate(jobs)]
    with httpx.Client(base_url=serve(app), timeout=60) as client, ThreadPoolExecutor(50) as pool:
        statuses = Counter(answer.status_code for answer in pool.map(client.get, jobs))
    sync.close()

    meters = [ended.get(timeout=30) for _ in jobs]
    assert len(jobs) > 200
    assert {200, 429, 500} <= set(statuses)
    for name in ("ada", "bob", "eve", "kim"):
        bill = simulator.bill(name)
        mine = [cb for customer, cb in meters if customer == name]
        assert sum(cb.total_tokens for cb in mine) == bill.total_tokens > 0
        assert sum(cb.cost for cb in mine) == bill.cost > 0


@pytest.fixture
def shop() -> dict[str, Any]:
    """The page's program."""
    exec(compile(PROGRAM, "shop.py", "exec"), names := {"__name__": "shop"})
    return names


async def get(app: Any, path: str) -> httpx.Response:
    """One request, whole; an ASGI transport returns when the app does."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["stream", "later"])
async def test_an_async_dependency_closes_after_the_answer(shop: dict[str, Any], path: str) -> None:
    """Streamed, and with background tasks."""
    from fastapi import Depends, FastAPI

    seen: list[Meter] = []

    async def metered() -> Any:
        with meter(prices=BOOK) as cb:
            yield
        seen.append(cb)

    app = FastAPI(dependencies=[Depends(metered)])
    app.get("/stream/{flower}")(shop["meaning_piece_by_piece"])
    app.get("/later/{flower}")(shop["meaning_by_letter"])
    await get(app, f"/{path}/rose")

    assert [(cb.successful_requests, cb.late_calls, cb.is_complete) for cb in seen] == [(CALLS[path], 0, True)]


async def test_a_block_in_a_base_http_middleware_ends_before_the_background_tasks(shop: dict[str, Any]) -> None:
    """They are named as late, and the sums do not pass for the bill."""
    seen: list[Meter] = []

    @shop["app"].middleware("http")
    async def around(request: Any, call_next: Any) -> Any:
        with meter(prices=BOOK) as cb:
            seen.append(cb)
            return await call_next(request)

    await get(shop["app"], "/later/rose")

    assert [(cb.successful_requests, cb.late_calls, cb.is_complete) for cb in seen] == [(0, CALLS["later"], False)]


async def test_a_task_that_outlives_its_request_is_late(shop: dict[str, Any]) -> None:
    """If its call begins later."""
    ended, tasks, seen = asyncio.Event(), [], []

    async def write() -> None:
        await ended.wait()
        await shop["write"]("rose")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with meter() as cb:
            seen.append(cb)
            tasks.append(asyncio.create_task(write()))
            await shop["app"](scope, receive, send)

    await get(app, "/async/rose")
    ended.set()
    await asyncio.gather(*tasks)

    assert [(cb.successful_requests, cb.late_calls) for cb in seen] == [(1, 1)]


async def test_a_plain_dependency_says_that_it_sees_nothing(shop: dict[str, Any]) -> None:
    """As the page warns."""
    with pytest.warns(BlindSpotWarning, match="left in another context"):
        assert (await get(shop["app"], "/not-counted/rose")).json() == {"calls": 0}
