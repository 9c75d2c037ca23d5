"""Nobody can tell from the outside whether a meter is open: requests, types, events, exceptions, cancellation, pools."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import openai
import pytest

from tests.contract import shapes
from tests.contract.conftest import Maker
from tests.contract.shapes import CHAT, WITH_USAGE, each, kind, result
from token_meter import CallbackHandler, meter
from token_meter._meter import block
from token_meter.call import attempt, lifecycle, record
from token_meter.context import endpoint, scope
from token_meter.prices import PriceBook
from token_meter.runtime import hub
from token_meter.runtime.hub import HUB
from token_meter.simulator import Simulator
from token_meter.transports import httpx_body as _tap
from token_meter.transports.httpx import HttpxRequest

Shape = Callable[[Any], Awaitable[list[str]]]


RECEIVED: list[Any] = []
"""The requests that reached the server."""


class _Recorder:
    """Notes what the server received, byte for byte, before the simulator answers."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        parts: list[bytes] = []

        async def listening() -> Any:
            message = await receive()
            parts.append(message.get("body", b""))
            if message["type"] == "http.request" and not message.get("more_body"):
                head = scope["method"], scope["raw_path"], scope["query_string"], scope["headers"]
                RECEIVED.append(_without_boundary((*head, b"".join(parts)), _boundary(scope)))
            return message

        await self.app(scope, listening, send)


def _boundary(scope: Any) -> bytes:
    return next((v.partition(b"boundary=")[2] for k, v in scope["headers"] if k == b"content-type"), b"")


def _without_boundary(value: Any, boundary: bytes) -> Any:
    """A form's boundary is random, bare and metered alike."""
    return repr(value).replace(boundary.decode(), "…") if boundary else repr(value)


class _RecordingSimulator(Simulator):
    def __init__(self) -> None:
        super().__init__()
        self.app: Any = _Recorder(self.app)


@pytest.fixture(scope="module")
def recording_server() -> Iterator[_RecordingSimulator]:
    with _RecordingSimulator() as server:
        yield server


@pytest.fixture
def simulator(recording_server: _RecordingSimulator) -> _RecordingSimulator:
    """The clients of the contract tests ask this server."""
    return recording_server


class _Everything(CallbackHandler):
    """A handler that wants to hear all there is."""

    def __init__(self) -> None:
        self.subscribers = 0

    def on_chat_model_start(self, serialized: Any, messages: Any, **_: Any) -> None:
        self.subscribers += 1

    def on_llm_start(self, serialized: Any, prompts: Any, **_: Any) -> None:
        self.subscribers += 1

    def on_llm_new_token(self, token: str, **_: Any) -> None:
        self.subscribers += 1

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.subscribers += 1

    def on_llm_error(self, error: Any, **_: Any) -> None:
        self.subscribers += 1


def _raise(*_: Any, **__: Any) -> Any:
    msg = "a bug of ours"
    raise ZeroDivisionError(msg)


INTERNALS = [
    (hub.Hub, "_on_request"), (scope.Scopes, "of"), (scope.Scopes, "get"), (HttpxRequest, "body"), (HttpxRequest, "headers"),
    (record, "source_of"), (lifecycle, "attempt_number"), (attempt, "attempt_number"), (hub, "Attempt"), (endpoint, "route_of"), (scope.CallScope, "__init__"),
    (attempt, "StreamReader"), (attempt.StreamReader, "feed"), (attempt.StreamReader, "finish"),
    (attempt.Attempt, "_end"), (attempt.Attempt, "_deliver"), (attempt.Attempt, "_is_repeat"),
    (attempt.Attempt, "_track"), (attempt.Attempt, "_read"), (_tap.Taps, "_decoder"), (_tap, "stand_in"),
    (block.Meter, "add"), (block.Meter, "opened_stream"), (block.Meter, "closed_stream"),
    (block.Meter, "count_late_call"),
]  # fmt: skip
"""What a call passes on its way through the transports and the core; a moved function fails this test."""


@contextlib.contextmanager
def _broken(*internals: tuple[Any, str]) -> Iterator[None]:
    """A meter whose inside fails at every turn."""
    endpoint.ENDPOINTS.clear()
    with pytest.MonkeyPatch.context() as patch, meter():
        for owner, name in internals:
            patch.setattr(owner, name, _raise)
        yield
    HUB.internal_errors.clear()


def _full(simulator: Simulator) -> AbstractContextManager[Any]:
    book = PriceBook(hosts={simulator.url: "openai"})
    return meter(handlers=[_Everything()], max_cost="1000", on_unpriced="ignore", prices=book, keep_calls=True)


MODES: dict[str, Callable[[Simulator], AbstractContextManager[Any]]] = {
    "meter": lambda _: meter(),
    "handlers and budget": _full,
    "every internal function raises": lambda _: _broken(*INTERNALS),
}


# Shapes of failures, in addition to the shapes of the contract.


async def _caught(call: Awaitable[Any]) -> list[str]:
    """What the caller sees of an exception: types, texts, causes."""
    try:
        await call
    except (Exception, asyncio.CancelledError) as error:
        seen: list[str] = []
        links: BaseException | None = error
        while links is not None and len(seen) < 12:
            seen += [kind(links), repr(links.args)]
            links = links.__cause__
        return [*seen, str(getattr(error, "status_code", None)), repr(getattr(error, "body", None))]
    return ["no exception"]


def _with(client: Any, options: str) -> Any:
    return client.with_options(base_url=str(client.base_url).replace("/v1", f"/__opt/{options}/v1"))


def _fails(options: str, shape: Shape) -> Shape:
    return lambda client: _caught(shape(_with(client, options).with_options(max_retries=0)))


async def _retried(client: Any) -> list[str]:
    return await shapes.chat(_with(client, "fail=429x1+500x1"))


async def _arrived() -> None:
    """Wait until the server has a request."""
    while not RECEIVED:
        await asyncio.sleep(0.001)


async def _timed_out(client: Any) -> list[str]:
    """In reading alone: a busy machine may take its time for all else."""
    slow = _with(client, "latency=0.5").with_options(timeout=(30, 0.05, 30, 30), max_retries=0)
    seen = await _caught(shapes.chat(slow))
    await _arrived()
    return seen


async def _refused(client: Any) -> list[str]:
    return await _caught(shapes.chat(client.with_options(base_url="http://127.0.0.1:9/v1", max_retries=0)))


async def _bad_argument(client: Any) -> list[str]:
    async def ask() -> None:
        await result(
            client.chat.completions.create(model="m", messages=[], extra_headers={"x": 7})
        )  # httpx refuses a number

    return await _caught(ask())


async def _cancelled(client: Any) -> list[str]:
    """Before the headers, and in mid-stream; a sync call cannot be cancelled, and is left early."""
    if not hasattr(client, "__aenter__"):
        return await shapes.stream_left_early(client)
    is_reading = asyncio.Event()

    async def read() -> None:
        slow = _with(client, "delay=0.05")
        async for _ in await slow.chat.completions.create(**CHAT, stream=True, stream_options=WITH_USAGE):
            is_reading.set()

    seen = []
    for do, is_under_way in ((shapes.chat(_with(client, "latency=30")), _arrived), (read(), is_reading.wait)):
        task = asyncio.create_task(do)
        await is_under_way()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        seen.append(str(task.cancelled()))
    return seen


async def _closed_unread(client: Any) -> list[str]:
    events = await result(client.chat.completions.create(**CHAT, stream=True, stream_options=WITH_USAGE))
    await result(events.close())
    return [kind(events), str(events.response.is_closed), str(events.response.is_stream_consumed)]


async def _elapsed_and_headers(client: Any) -> list[str]:
    answer = await result(client.chat.completions.with_raw_response.create(**CHAT))
    return [
        str(answer.elapsed.total_seconds() > 0),
        *sorted(answer.headers),
        str(answer.http_response.extensions.keys()),
    ]


async def _raises_in_the_loop(client: Any) -> list[str]:
    async def loop() -> None:
        events = await result(client.chat.completions.create(**CHAT, stream=True))
        async for _ in each(events):
            raise LookupError("mine")

    return await _caught(loop())


TROUBLE: dict[str, Shape] = {
    "400": _fails("status=400", shapes.chat), "429": _fails("status=429", shapes.stream),
    "500": _fails("status=500", shapes.responses), "truncated": _fails("truncate", shapes.chat),
    "cut": _fails("cut=2", shapes.stream), "cut at once": _fails("cut=0", shapes.stream),
    "error event": _fails("error=2", shapes.stream), "error event with usage": _fails("error=2,error_usage", shapes.stream),
    "json for a stream": _fails("body=json", shapes.stream), "sse for json": _fails("body=sse", shapes.chat),
    "gzip": _fails("compress=gzip,chunk=3", shapes.stream), "a byte at a time": _fails("chunk=1,line=crlf,words=4", shapes.stream),
    "redirect": _fails("redirect", shapes.chat), "retried": _retried, "timeout": _timed_out, "refused": _refused,
    "bad argument": _bad_argument, "cancelled": _cancelled, "closed unread": _closed_unread,
    "elapsed": _elapsed_and_headers, "the caller raises": _raises_in_the_loop,
}  # fmt: skip

ALL = shapes.MEASURED | shapes.UNREPORTED | TROUBLE


def _normal(seen: list[str]) -> list[str]:
    """The server numbers and dates its answers; objects have addresses; all else must be equal."""
    pattern = r"sim0\d+|created(_at)?\W+[\d.]+|0x[0-9a-f]+|after [\d.]+|req_\w+"
    return [re.sub(pattern, "…", text) for text in seen]


def _pool(client: Any) -> list[str]:
    """The state of the connections, as the pool tells it."""
    pool = getattr(client._client._transport, "_pool", None)
    return (
        sorted(re.sub(r"Request Count: \d+", "…", connection.info()) for connection in pool.connections) if pool else []
    )


async def _observe(shape: Shape, make: Maker, simulator: Any, mode: Any) -> dict[str, Any]:
    simulator.reset()
    RECEIVED.clear()
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with mode:
        seen = await shape(client)
    simulator.bill(settle_s=5)
    return {"seen": _normal(seen), "received": list(RECEIVED), "pool": _pool(client)}


@pytest.mark.parametrize("name", ALL)
async def test_f01_the_caller_and_the_server_notice_nothing(make: Maker, simulator: Any, name: str) -> None:
    """Request bytes, returned types, events, exceptions with causes, cancellation and pool, in every mode as bare."""
    bare = await _observe(ALL[name], make, simulator, contextlib.nullcontext())
    differing = {}
    for mode, opened in MODES.items():
        metered = await _observe(ALL[name], make, simulator, opened(simulator))
        differing.update({f"{mode}: {key}": (bare[key], metered[key]) for key in bare if metered[key] != bare[key]})

    assert differing == {}
    assert bare["received"] or name in ("refused", "bad argument")


BARE: dict[tuple[str, str], dict[str, Any]] = {}
"""What is seen without a meter, by shape and kind of client."""


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda i: f"{i[0].__name__}.{i[1]}")
async def test_f02_a_bug_anywhere_inside_is_the_callers_never(
    make: Maker, simulator: Any, internal: Any, request: pytest.FixtureRequest
) -> None:
    """One function at a time raises: streams and errors come out as bare."""
    for name in ("stream", "400"):
        if (of := (name, request.node.callspec.params["make"])) not in BARE:
            BARE[of] = await _observe(ALL[name], make, simulator, contextlib.nullcontext())
        metered = await _observe(ALL[name], make, simulator, _broken(internal))

        assert metered == BARE[of]


@pytest.mark.parametrize("name", ["create", "stream"])
async def test_f19_nothing_is_injected_into_a_request(make: Maker, simulator: Any, name: str) -> None:
    """Without `stream_usage`, a stream that asks for no usage is sent as it is."""
    shape = shapes.chat if name == "create" else shapes.stream_without_usage
    with meter() as cb:
        RECEIVED.clear()
        await shape(make.openai(base_url=simulator.base_url, api_key="sim-test"))

    assert "stream_options" not in RECEIVED[0]
    assert cb.estimated_calls + cb.unmeasured_calls == (name == "stream")
    assert openai.__version__
