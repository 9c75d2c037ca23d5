"""`token_meter.asgi`: a meter for each request of an app on a real server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from queue import Queue
from typing import Any

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from openai import AsyncOpenAI, OpenAI

import token_meter
from token_meter import BudgetExceededError, ConfigError, Meter
from token_meter.asgi import MeterMiddleware, request_meter
from token_meter.prices import PriceBook
from token_meter.simulator import Simulator

MODEL = "gpt-4o-mini"
ASK = [{"role": "user", "content": "Which rose is the pinkest?"}]


class Shop:
    """An app with all kinds of routes, and what its middleware has told of each request."""

    def __init__(self, simulator: Simulator, **settings: Any) -> None:
        self.asyn: AsyncOpenAI = simulator.async_client(max_retries=0)
        self.sync: OpenAI = simulator.client(max_retries=0)
        self._ended: Queue[tuple[str, Meter]] = Queue()
        self.prices = PriceBook(hosts={simulator.url.removeprefix("http://"): "openai"})
        self.app = FastAPI()
        self._routes()
        settings = {"tags": _customer, "prices": self.prices, "done": self._done, **settings}
        self.app.add_middleware(MeterMiddleware, **settings)

    def _done(self, scope: Any, cb: Meter) -> None:
        self._ended.put((scope["path"], cb))

    def ended(self, requests: int = 1) -> list[Meter]:
        """The meters of the next requests that end; a background task may run longer than its client waits."""
        return [self._ended.get(timeout=30)[1] for _ in range(requests)]

    async def _ask(self, request: Request, **more: Any) -> Any:
        client = self.asyn.with_options(api_key=request.headers["x-customer"])
        return await client.chat.completions.create(model=MODEL, messages=ASK, **more)

    def _routes(self) -> None:
        app = self.app

        @app.get("/async")
        async def asyn(request: Request) -> dict[str, int]:
            await self._ask(request)
            await asyncio.gather(self._ask(request), self._ask(request))
            current = token_meter.current()
            assert current is not None
            return {"tokens": current.total_tokens}

        @app.get("/thrice")
        async def thrice(request: Request) -> None:
            for _ in range(3):
                await self._ask(request)

        @app.get("/sync")
        def sync(request: Request) -> dict[str, int]:
            client = self.sync.with_options(api_key=request.headers["x-customer"])
            client.chat.completions.create(model=MODEL, messages=ASK)
            current = token_meter.current()
            assert current is not None
            return {"tokens": current.total_tokens}

        @app.get("/streamed")
        async def streamed(request: Request) -> StreamingResponse:
            async def words() -> Any:
                stream = await self._ask(request, stream=True, stream_options={"include_usage": True})
                async for chunk in stream:
                    yield (chunk.choices[0].delta.content or "") if chunk.choices else ""

            return StreamingResponse(words())

        @app.get("/background")
        async def background(request: Request, tasks: BackgroundTasks) -> dict[str, str]:
            tasks.add_task(self._ask, request)
            return {}

        @app.exception_handler(BudgetExceededError)
        async def refused(request: Request, error: BudgetExceededError) -> JSONResponse:
            return JSONResponse({"limit": error.limit}, 429)


def _customer(scope: Any) -> dict[str, str]:
    return {"customer": Request(scope).headers["x-customer"]}


async def _get_in_process(app: FastAPI) -> httpx.Response:
    """One answer, after which the app has returned."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
        return await client.get("/")


async def _get(url: str, *paths: str, customer: str = "ada") -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(timeout=60, verify=False, limits=limits) as client:
        headers = {"x-customer": customer}
        return await asyncio.gather(*(client.get(url + path, headers=headers) for path in paths))


@pytest.mark.parametrize(("path", "calls"), [("/async", 3), ("/sync", 1), ("/streamed", 1), ("/background", 1)])
def test_a_request_has_its_calls(simulator, serve, path: str, calls: int):
    shop = Shop(simulator)

    asyncio.run(_get(serve(shop.app), path))

    (cb,) = shop.ended()
    assert (cb.successful_requests, cb.is_complete) == (calls, True)
    assert not cb.is_open


def test_a_limit_of_each_request_refuses_in_the_route(simulator, serve):
    shop = Shop(simulator, max_calls=2, warn_at=None)

    answers = asyncio.run(_get(serve(shop.app), "/thrice", "/thrice"))

    assert [(answer.status_code, answer.json()) for answer in answers] == [(429, {"limit": 2})] * 2
    assert simulator.bill(None).calls == 4


def test_a_budget_can_be_each_customers(simulator, serve, tmp_path):
    def budgets(scope: Any) -> list[token_meter.Budget]:
        name = Request(scope).headers["x-customer"]
        return [token_meter.Budget(name, max_calls=1, per="day", store=f"sqlite:///{tmp_path}/b.db")]

    shop = Shop(simulator, budgets=budgets, warn_at=None)
    url = serve(shop.app)
    statuses = [asyncio.run(_get(url, "/sync", customer=name))[0].status_code for name in ("ada", "ada", "bob")]

    assert statuses == [200, 429, 200]


def test_what_can_be_gone_through_once_holds_for_every_request(simulator, serve, tmp_path):
    told: list[Any] = []
    budget = token_meter.Budget("all", max_calls=2, store=f"sqlite:///{tmp_path}/b.db")
    once: dict[str, Any] = {"budgets": iter([budget]), "handlers": iter([told.append])}
    shop = Shop(simulator, tags=lambda scope: iter(["web"]), warn_at=None, **once)
    url = serve(shop.app)
    statuses = [asyncio.run(_get(url, "/sync"))[0].status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert [call.tags for call in told if call.status == 200] == [("web",), ("web",)]


def test_a_whole_answer_can_show_what_it_used(simulator, serve):
    shop = Shop(simulator, header=True)
    url = serve(shop.app)

    (answer,) = asyncio.run(_get(url, "/sync"))

    (cb,) = shop.ended()
    assert answer.headers["server-timing"] == f'llm;desc="{cb.total_tokens} tokens, ${cb.cost:f}"'
    assert answer.json() == {"tokens": cb.total_tokens}


def test_a_streamed_answer_shows_no_sum_that_is_not_final(simulator, serve):
    (answer,) = asyncio.run(_get(serve(Shop(simulator, header=True).app), "/streamed"))

    assert "server-timing" not in answer.headers


LENGTH = (b"content-length", b"0")


@pytest.mark.parametrize(
    ("headers", "left"),
    [(iter([LENGTH, (b"x", b"y")]), [LENGTH, (b"x", b"y")]), ((LENGTH,), [LENGTH]), (None, None), ([("a", "b")],) * 2],
    ids=["an iterator", "a tuple", "nothing", "text"],
)
def test_headers_of_any_kind_reach_the_server_whole(headers: Any, left: Any):
    """The protocol allows any iterable; what it does not allow is the server's to refuse."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    async def send(message: Any) -> None:
        sent.append(message["headers"])

    asyncio.run(MeterMiddleware(app, header=True)({"type": "http"}, None, send))  # type: ignore[arg-type]

    (got,) = sent
    assert got == left or [pair for pair in got if pair[0] != b"server-timing"] == left


def test_without_the_option_no_header_is_added(simulator, serve):
    (answer,) = asyncio.run(_get(serve(Shop(simulator).app), "/sync"))

    assert "server-timing" not in answer.headers


def test_tags_that_fail_cost_no_request(simulator, serve, caplog):
    secret = "sk-secret-of-a-user"

    def tags(scope: Any) -> dict[str, str]:
        raise KeyError(secret)

    shop = Shop(simulator, tags=tags)
    with caplog.at_level(logging.WARNING, logger="token_meter"):
        (answer,) = asyncio.run(_get(serve(shop.app), "/sync"))

    assert answer.status_code == 200
    assert shop.ended()[0].successful_requests == 1
    assert "KeyError" in caplog.text
    assert secret not in caplog.text


def test_a_failing_done_is_logged(caplog):
    def done(scope: Any, cb: Meter) -> None:
        raise ValueError

    app = FastAPI()
    app.add_middleware(MeterMiddleware, done=done)
    with caplog.at_level(logging.WARNING, logger="token_meter"):
        answer = asyncio.run(_get_in_process(app))

    assert answer.status_code == 404
    assert "done() of a request raised ValueError" in caplog.text


def test_a_mistake_is_told_when_the_app_is_made():
    with pytest.raises(ConfigError):
        MeterMiddleware(FastAPI(), max_cost="a lot")
    with pytest.raises(TypeError, match="did you mean 'max_cost'"):
        MeterMiddleware(FastAPI(), max_costs=1)
    with pytest.raises(ConfigError):
        request_meter(max_calls=-1)
    with pytest.raises(ConfigError):
        MeterMiddleware(FastAPI(), handlers=5)


@pytest.mark.parametrize("colour", ["async", "sync"])
def test_a_dependency_meters_a_route_of_either_colour(simulator, colour: str):
    app, meters = FastAPI(), []
    asyn, sync = simulator.async_client(), simulator.client()
    metered = Depends(request_meter(name="route"))

    if colour == "async":

        @app.get("/")
        async def route(cb: Meter = metered) -> int:
            meters.append(cb)
            await asyn.chat.completions.create(model=MODEL, messages=ASK)
            return cb.total_tokens

    else:

        @app.get("/")
        def route(cb: Meter = metered) -> int:
            meters.append(cb)
            sync.chat.completions.create(model=MODEL, messages=ASK)
            return cb.total_tokens

    answer = asyncio.run(_get_in_process(app))

    assert answer.json() == meters[0].total_tokens == simulator.bill().total_tokens > 0
    assert not meters[0].is_open


def test_a_dependency_tells_its_handlers_of_every_request(simulator):
    told: list[Any] = []
    app, client = FastAPI(), simulator.client()
    metered = Depends(request_meter(handlers=iter([told.append]), on_unpriced="ignore"))

    @app.get("/")
    def route(cb: Meter = metered) -> None:
        client.chat.completions.create(model=MODEL, messages=ASK)

    for _ in range(2):
        asyncio.run(_get_in_process(app))

    assert len(told) == 2


def test_what_is_no_request_passes_by():
    """Lifespan events reach the app as they are."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, receive, send, token_meter.current()))

    given: tuple[Any, Callable[[], Any], Callable[[Any], Any]] = ({"type": "lifespan"}, lambda: None, print)
    asyncio.run(MeterMiddleware(app)(*given))

    assert seen == [(*given, None)]
