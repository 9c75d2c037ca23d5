"""What a server answered is live; what a mock, a cache or a program in this process answered was never paid for."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import httpx2
import pytest

from tests.conftest import CHAT_BODY
from token_meter import meter, uninstall
from token_meter.prices import PriceBook
from token_meter.simulator import Simulator

PATH = "/v1/chat/completions"
URL = f"https://api.openai.com{PATH}"
ASK = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
LIBRARIES = pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
MAPPED = PriceBook(hosts={"127.0.0.1": "openai"})


def source(client: Any, url: str = URL, *, book: PriceBook | None = None, streamed: bool = False) -> str:
    """What the one call of *client* is recorded as."""
    with meter(keep_calls=True, prices=book) as cb, client:
        if streamed:
            with client.stream("POST", url, json=ASK) as response:
                response.read()
        else:
            client.post(url, json=ASK)
    (call,) = cb.calls
    assert cb.total_tokens == 15
    return call.source


async def asource(client: Any, url: str = URL, *, book: PriceBook | None = None) -> str:
    """The same of an async client."""
    with meter(keep_calls=True, prices=book) as cb:
        async with client:
            await client.post(url, json=ASK)
    return cb.calls[0].source


def answer(library: Any, **more: Any) -> Any:
    """One that is made up."""
    return library.Response(200, json=CHAT_BODY, **more)


class Gateway(BaseHTTPRequestHandler):
    """Another program on this machine that forwards calls to a vendor."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(CHAT_BODY).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """It is quiet."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[str]:
    """The URL of chat completions of a server on a socket, which is no simulator of ours."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PATH}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# Nobody's server.


def mock_transport(library: Any) -> Any:
    """The library's own."""
    return library.Client(transport=library.MockTransport(lambda _: answer(library)))


def mounted(library: Any) -> Any:
    """In the place of one host only."""
    return library.Client(mounts={"https://api.openai.com": library.MockTransport(lambda _: answer(library))})


def dated(library: Any) -> Any:
    """With the headers of a real answer."""
    headers = {"date": formatdate(usegmt=True), "server": "cloudflare"}
    return library.Client(transport=library.MockTransport(lambda _: answer(library, headers=headers)))


def own_transport(library: Any) -> Any:
    """A class of the test suite's own."""

    class Canned(library.BaseTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, _: Any) -> Any:
            return answer(library)

    return library.Client(transport=Canned())


def own_network(library: Any) -> Any:
    """A subclass of the transport that could reach the network, and does not."""

    class Canned(library.HTTPTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, _: Any) -> Any:
            return answer(library)

    return library.Client(transport=Canned())


def wsgi(library: Any) -> Any:
    """A program in this process."""

    def app(environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("content-type", "application/json")])
        return [json.dumps(CHAT_BODY).encode()]

    return library.Client(transport=library.WSGITransport(app))


@LIBRARIES
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("made", [mock_transport, mounted, dated, own_transport, own_network, wsgi])
def test_f167_what_no_socket_carried_is_mocked(library: Any, made: Callable[[Any], Any], streamed: bool) -> None:
    """By its kind of transport, or because nothing says that a server answered."""
    assert source(made(library), streamed=streamed) == "mock"


@LIBRARIES
def test_f167_a_patched_transport_is_mocked(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pytest-httpx does: the class stays, its method answers."""
    made = answer(library, extensions={"http_version": b"HTTP/1.1"}, headers={"date": formatdate(usegmt=True)})
    monkeypatch.setattr(library.HTTPTransport, "handle_request", lambda *_: made)

    assert source(library.Client()) == "mock"


class _OfMocket:
    """A socket as mocket's are: of a class in its package."""


_OfMocket.__module__ = "mocket.socket"


@LIBRARIES
@pytest.mark.parametrize("wrapped", [False, True], ids=["", "by an event loop"])
def test_f167_a_stream_without_a_real_socket_is_mocked(library: Any, wrapped: bool) -> None:
    """pook's is `None`; mocket's has a socket of its own."""
    socket = SimpleNamespace(_sock=_OfMocket()) if wrapped else _OfMocket()
    mocket = SimpleNamespace(get_extra_info={"socket": socket}.get)
    for stream in (None, mocket):
        made = answer(library, extensions={"network_stream": stream})
        assert source(library.Client(transport=library.MockTransport(lambda _, made=made: made))) == "mock"


@LIBRARIES
async def test_f167_what_no_socket_carried_is_mocked_in_async_programs_too(library: Any) -> None:
    """A mock, a class of one's own, an ASGI program."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(CHAT_BODY).encode()})

    class Canned(library.AsyncBaseTransport):  # type: ignore[misc,name-defined]
        async def handle_async_request(self, _: Any) -> Any:
            return answer(library)

    kinds = (library.MockTransport(lambda _: answer(library)), Canned(), library.ASGITransport(app))
    assert [await asource(library.AsyncClient(transport=kind)) for kind in kinds] == ["mock"] * 3


def test_f167_respx_is_mocked_and_costs_no_spending_limit_a_cent() -> None:
    """It stands below the legacy library's transports."""
    respx = pytest.importorskip("respx")
    with respx.mock() as mock, meter(keep_calls=True) as cb, httpx.Client() as client:
        mock.post(URL).respond(json=CHAT_BODY, headers={"date": formatdate(usegmt=True)})
        client.post(URL, json=ASK)

    assert (cb.calls[0].source, cb.total_tokens) == ("mock", 15)


@pytest.mark.parametrize(
    "extensions",
    [
        {"from_cache": True},
        {"hishel_from_cache": True},
        {"caching": type("CacheStatus", (), {"from_cache": True})()},
    ],
    ids=["hishel 0.1", "hishel 1", "hishel 2"],
)
def test_f167_an_answer_out_of_a_cache_is_a_replay(extensions: dict[str, Any]) -> None:
    """It was paid for once."""

    class Cache(httpx2.BaseTransport):
        def handle_request(self, _: Any) -> Any:
            return answer(httpx2, extensions=extensions, headers={"date": formatdate(usegmt=True)})

    assert source(httpx2.Client(transport=Cache())) == "replay"


# A server's.


def plain(library: Any) -> Any:
    """As it comes."""
    return library.Client()


def wrapped(library: Any) -> Any:
    """Behind a transport that passes on: logs, retries."""

    class Logging(library.BaseTransport):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self.inner = library.HTTPTransport()

        def handle_request(self, request: Any) -> Any:
            return self.inner.handle_request(request)

        def close(self) -> None:
            self.inner.close()

    return library.Client(transport=Logging())


def rebuilt(library: Any) -> Any:
    """Behind one that makes an answer of its own of the server's, as those over another stack do."""

    class Copying(library.HTTPTransport):  # type: ignore[misc,name-defined]
        def handle_request(self, request: Any) -> Any:
            real = super().handle_request(request)
            body = b"".join(real.stream)
            real.close()
            return library.Response(real.status_code, headers=real.headers, content=body)

    return library.Client(transport=Copying())


def forwarded(library: Any) -> Any:
    """Through a mock transport that asks the server after all."""
    inner = library.HTTPTransport()
    return library.Client(transport=library.MockTransport(inner.handle_request))


@LIBRARIES
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("made", [plain, wrapped, rebuilt, forwarded])
def test_f167_what_a_server_answered_is_live(
    library: Any, made: Callable[[Any], Any], streamed: bool, gateway: str
) -> None:
    """Whatever stands between, spending is never taken for a mock."""
    assert source(made(library), gateway, book=MAPPED, streamed=streamed) == "live"


@LIBRARIES
async def test_f167_what_a_server_answered_is_live_in_async_programs_too(library: Any, gateway: str) -> None:
    """Directly, and through a transport that passes on."""

    class Retrying(library.AsyncHTTPTransport):  # type: ignore[misc,name-defined]
        async def handle_async_request(self, request: Any) -> Any:
            return await super().handle_async_request(request)

    clients = (library.AsyncClient(), library.AsyncClient(transport=Retrying()))
    assert [await asource(client, gateway, book=MAPPED) for client in clients] == ["live", "live"]


async def test_f167_the_sdks_aiohttp_client_is_live(gateway: str) -> None:
    """aiohttp's answers tell of no socket."""
    try:
        from openai import DefaultAioHttpClient

        client = DefaultAioHttpClient()
    except (ImportError, RuntimeError) as error:  # an older SDK has none, or wants a package of its own
        pytest.skip(str(error))
    assert await asource(client, gateway, book=MAPPED) == "live"


def test_f167_what_respx_lets_pass_is_live(gateway: str) -> None:
    """Only what it answers itself is mocked."""
    respx = pytest.importorskip("respx")
    with respx.mock() as mock:
        mock.route(host="127.0.0.1").pass_through()
        assert source(httpx.Client(), gateway, book=MAPPED) == "live"


@LIBRARIES
def test_f167_a_cassette_is_live_while_it_records_and_a_replay_after(
    library: Any, gateway: str, tmp_path: Path
) -> None:
    """What is recorded was paid for."""
    vcr = pytest.importorskip("vcr")
    found = []
    for _ in range(2):
        with vcr.use_cassette(str(tmp_path / "tape.yaml")):
            found.append(source(library.Client(), gateway, book=MAPPED))

    assert found == ["live", "replay"]


# This machine.


@pytest.mark.parametrize(
    ("hosts", "is_simulator", "expected"),
    [
        pytest.param({}, False, "mock", id="no provider is named"),
        pytest.param({"127.0.0.1": "openai"}, False, "live", id="a gateway"),
        pytest.param({"https://gw.corp/v1": "openai"}, False, "mock", id="another host is mapped"),
        pytest.param({"127.0.0.1": "openai"}, True, "mock", id="the simulator"),
        pytest.param({}, True, "mock", id="the simulator, without prices"),
    ],
)
def test_f151_a_host_of_this_machine_is_live_where_a_price_book_maps_it(
    gateway: str, simulator: Simulator, hosts: dict[str, str], is_simulator: bool, expected: str
) -> None:
    """But for our own simulator, which says who it is."""
    headers = {"authorization": "Bearer sim-test"}
    url = f"{simulator.base_url}/chat/completions" if is_simulator else gateway
    with meter(keep_calls=True, prices=PriceBook(hosts=hosts)) as cb, httpx2.Client() as client:
        assert client.post(url, json=ASK, headers=headers).status_code == 200

    assert cb.calls[0].source == expected


def test_f151_what_a_mapped_gateway_costs_is_spent(gateway: str) -> None:
    """The outer meter, whose book knows nothing, sees the same call."""
    with meter(keep_calls=True) as outer, meter(keep_calls=True, prices=MAPPED) as inner, httpx2.Client() as client:
        client.post(gateway, json=ASK)

    assert [cb.calls[0].source for cb in (outer, inner)] == ["live", "live"]
    assert inner.cost > 0


# aiohttp and requests, by hand.


async def over_aiohttp(url: str) -> None:
    aiohttp = pytest.importorskip("aiohttp")
    async with aiohttp.ClientSession() as session, session.post(url, json=ASK) as found:
        assert (await found.json())["usage"]


async def over_requests(url: str) -> None:
    requests = pytest.importorskip("requests")
    assert requests.post(url, json=ASK, timeout=30).json()["usage"]


BY_HAND = pytest.mark.parametrize("ask", [over_aiohttp, over_requests], ids=["aiohttp", "requests"])


async def source_of(ask: Any, gateway: str) -> str:
    with meter(keep_calls=True, prices=MAPPED) as cb:
        await ask(gateway)
    (call,) = cb.calls
    assert call.tokens.total_tokens
    return call.source


@BY_HAND
async def test_f167_what_came_over_a_connection_is_live(ask: Any, gateway: str) -> None:
    """By the answer's own parser."""
    assert await source_of(ask, gateway) == "live"


@BY_HAND
@pytest.mark.parametrize("is_first", [True, False], ids=["meter first", "cassette first"])
async def test_f167_a_cassette_over_any_library_is_a_replay(
    ask: Any, gateway: str, tmp_path: Path, is_first: bool
) -> None:
    """Whoever of the two patched the library first."""
    vcr = pytest.importorskip("vcr")
    found = []
    for _ in range(2):
        if is_first:
            with meter():
                pass
        with vcr.use_cassette(str(tmp_path / "tape.yaml")):
            found.append(await source_of(ask, gateway))
        uninstall()

    assert found == ["live", "replay"]


async def test_f167_an_answer_of_aiohttp_that_is_made_by_hand_is_mocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands in the place of a server."""
    aiohttp = pytest.importorskip("aiohttp")
    body = b'{"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
    made = SimpleNamespace(status=200, headers={}, _body=body)

    async def answer(*_: Any, **__: Any) -> Any:
        return made

    monkeypatch.setattr(aiohttp.ClientSession, "_request", answer)
    with meter(keep_calls=True, on_unpriced="ignore") as cb:
        async with aiohttp.ClientSession() as session:
            assert await session._request("POST", "https://api.openai.com/v1/chat/completions", json=ASK) is made

    assert [(call.source, call.tokens.total_tokens) for call in cb.calls] == [("mock", 3)]
    uninstall()
