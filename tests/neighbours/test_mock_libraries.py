"""Mock libraries that stand below an SDK or an HTTP library: what they answer is mocked, counted, and spends nothing."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import CHAT_BODY
from token_meter import meter

URL = "https://api.openai.com/v1/chat/completions"
ASK: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
WHY = "a neighbour that `make compat` installs"


# How a call is made.


def by_httpx() -> None:
    """A client of each colour."""
    with httpx.Client(verify=False) as client:
        assert client.post(URL, json=ASK).json() == CHAT_BODY

    async def ask() -> None:
        async with httpx.AsyncClient(verify=False) as client:
            assert (await client.post(URL, json=ASK)).json() == CHAT_BODY

    asyncio.run(ask())


def by_sync_httpx() -> None:
    """mocket does not reach the async one."""
    for _ in range(2):
        with httpx.Client(verify=False) as client:
            assert client.post(URL, json=ASK).json() == CHAT_BODY


def by_requests() -> None:
    """With a session, and without; streamed, and whole."""
    import requests

    assert requests.post(URL, json=ASK, timeout=9).json() == CHAT_BODY
    with requests.Session() as session, session.post(URL, json=ASK, timeout=9, stream=True) as found:
        assert json.loads(b"".join(found.iter_content(7))) == CHAT_BODY


def by_aiohttp() -> None:
    """Twice in one session."""
    import aiohttp

    async def ask() -> None:
        async with aiohttp.ClientSession() as session:
            for _ in range(2):
                async with session.post(URL, json=ASK) as found:
                    assert await found.json() == CHAT_BODY

    asyncio.run(ask())


# What answers it, two times.


@contextlib.contextmanager
def respx() -> Iterator[None]:
    import respx as library

    with library.mock(assert_all_called=False) as mock:
        mock.post(URL).respond(json=CHAT_BODY)
        yield


@contextlib.contextmanager
def pook() -> Iterator[None]:
    import pook as library

    with library.use():
        library.post(URL, response_json=CHAT_BODY, times=2)
        yield


@contextlib.contextmanager
def mocket() -> Iterator[None]:
    from mocket import Mocketizer
    from mocket.mocks.mockhttp import Entry

    with Mocketizer():
        Entry.single_register(Entry.POST, URL, body=json.dumps(CHAT_BODY), headers={"content-type": "application/json"})
        yield


@contextlib.contextmanager
def responses() -> Iterator[None]:
    import responses as library

    with library.RequestsMock(assert_all_requests_are_fired=False) as mock:
        mock.post(URL, json=CHAT_BODY)
        yield


@contextlib.contextmanager
def requests_mock() -> Iterator[None]:
    import requests_mock as library

    with library.Mocker() as mock:
        mock.post(URL, json=CHAT_BODY)
        yield


@contextlib.contextmanager
def aioresponses() -> Iterator[None]:
    import aiohttp
    from aioresponses import aioresponses as library

    def made(*args: Any, **kwargs: Any) -> Any:
        # aiohttp from 3.14 on asks for one more than aioresponses 0.7.9 has.
        needs = "stream_writer" in inspect.signature(aiohttp.ClientResponse.__init__).parameters
        return aiohttp.ClientResponse(
            *args, **kwargs, **({"stream_writer": SimpleNamespace(output_size=0)} if needs else {})
        )

    with library() as mock:
        mock.post(URL, payload=CHAT_BODY, repeat=True, response_class=made)
        yield


class Mock(NamedTuple):
    """A mock library, and a program that asks twice below it."""

    answers: Callable[[], contextlib.AbstractContextManager[None]]
    ask: Callable[[], None]


MOCKS = {
    "respx": Mock(respx, by_httpx),
    "pook": Mock(pook, by_httpx),
    "pook over requests": Mock(pook, by_requests),
    "mocket": Mock(mocket, by_sync_httpx),
    "responses": Mock(responses, by_requests),
    "requests_mock": Mock(requests_mock, by_requests),
    "aioresponses": Mock(aioresponses, by_aiohttp),
}


def inside(mock: Mock) -> list[Any]:
    """The mock stands in the block."""
    with meter(keep_calls=True) as cb, mock.answers():
        mock.ask()
    return cb.calls


def around(mock: Mock) -> list[Any]:
    """The block stands in the mock, which is the first of the two in this process."""
    with mock.answers(), meter(keep_calls=True) as cb:
        mock.ask()
    return cb.calls


def around_later(mock: Mock) -> list[Any]:
    """The block stands in the mock, and another one was before both."""
    with meter():
        pass
    return around(mock)


def one_after_the_other(mock: Mock) -> list[Any]:
    """A mock ends in the block that was opened in it, and the next one begins."""
    with contextlib.ExitStack() as mocks, meter(keep_calls=True) as cb:
        with mock.answers():
            mocks.enter_context(open_block := meter(keep_calls=True))
        with mock.answers():
            mock.ask()
    assert open_block.successful_requests == 2
    return cb.calls


def _methods() -> list[Any]:
    names = (
        ("aiohttp", "ClientSession", "_request"),
        ("requests", "Session", "send"),
        ("requests", "Response", "close"),
    )
    return [getattr(sys.modules[module], owner).__dict__[name] for module, owner, name in names]


@pytest.mark.parametrize("order", [inside, around, around_later, one_after_the_other], ids=lambda order: order.__name__)
@pytest.mark.parametrize("name", MOCKS)
# mocket leaves sockets open, with a meter and without.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_f167_what_a_mock_library_answers_is_mocked_in_each_order(name: str, order: Any) -> None:
    """And counted once; when both have gone, what stood there before them stands there again."""
    pytest.importorskip(name.partition(" ")[0], reason=WHY)
    for library in ("aiohttp", "requests"):
        importlib.import_module(library)
    before = _methods()

    calls = order(MOCKS[name])

    assert [(call.source, call.tokens.total_tokens) for call in calls] == [("mock", 15)] * 2
    importlib.import_module("token_meter").uninstall()
    assert _methods() == before


@pytest.mark.parametrize("library", ["aioresponses", "requests_mock"])
def test_f167_what_a_mock_lets_pass_is_counted_once(simulator: Any, library: str) -> None:
    """Each calls what it hides, which is ours or stands in ours."""
    pytest.importorskip(library, reason=WHY)
    import aiohttp
    import aioresponses
    import requests
    import requests_mock

    url, headers = f"{simulator.base_url}/chat/completions", {"authorization": "Bearer sim-test"}

    async def ask() -> None:
        if library == "requests_mock":
            requests.post(url, json=ASK, headers=headers, timeout=9).json()
            return
        async with aiohttp.ClientSession() as session, session.post(url, json=ASK, headers=headers) as found:
            await found.read()

    def mock() -> Any:
        if library == "requests_mock":
            return requests_mock.Mocker(real_http=True)
        return aioresponses.aioresponses(passthrough=[simulator.url])

    for order in ((meter, mock), (mock, meter)):
        simulator.reset()
        with contextlib.ExitStack() as stack:
            opened = {make: stack.enter_context(make()) for make in order}
            asyncio.run(ask())
        cb = opened[meter]
        assert (cb.successful_requests, cb.total_tokens) == (1, simulator.bill("sim-test").total_tokens)


@pytest.mark.parametrize("transport", ["", "httpx_retries"])
async def test_f167_pytest_httpx_is_mocked(request: pytest.FixtureRequest, transport: str) -> None:
    """Its answers tell the HTTP version, and of no socket; httpx-retries passes on what the transport below it gave."""
    pytest.importorskip("pytest_httpx", reason=WHY)
    retries = pytest.importorskip(transport, reason=WHY) if transport else None
    mock = request.getfixturevalue("httpx_mock")
    how = {"transport": retries.RetryTransport()} if retries else {}
    for _ in range(2):
        mock.add_response(url=URL, json=CHAT_BODY)

    with meter(keep_calls=True) as cb:
        with httpx.Client(**how) as client:
            client.post(URL, json=ASK)
        async with httpx.AsyncClient(**how) as asyn:
            await asyn.post(URL, json=ASK)

    assert [(call.source, call.tokens.total_tokens) for call in cb.calls] == [("mock", 15)] * 2
