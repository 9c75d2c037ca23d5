"""`token_meter.wsgi`: a meter for each request of an app on a real server, in threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from queue import Queue
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.util import FileWrapper

import httpx
import pytest

import token_meter
from token_meter import ConfigError, Meter
from token_meter.simulator import Simulator
from token_meter.wsgi import MeterMiddleware

ASK = [{"role": "user", "content": "Which rose is the pinkest?"}]


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def get_stderr(self) -> Any:
        return StringIO()  # the tracebacks of routes that fail


class Shop:
    """A WSGI app: `/whole`, `/streamed`, `/failing`."""

    def __init__(self, simulator: Simulator, **settings: Any) -> None:
        self.client = simulator.client(max_retries=0)
        self._ended: Queue[Meter] = Queue()
        self.app = MeterMiddleware(
            self._answer,
            tags=_customer,
            done=lambda environ, cb: self._ended.put(cb),
            warn_at=None,
            on_unpriced="ignore",
            **settings,
        )

    def ended(self, requests: int = 1) -> list[Meter]:
        """The meters of the next requests that end, which may be after their clients have read the answers."""
        return [self._ended.get(timeout=30) for _ in range(requests)]

    def _ask(self, environ: Any) -> str:
        client = self.client.with_options(api_key=environ["HTTP_X_CUSTOMER"])
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=ASK)
        return answer.choices[0].message.content or ""

    def _answer(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        if environ["PATH_INFO"] == "/whole":
            self._ask(environ)
            current = token_meter.current()
            assert current is not None
            return [str(current.total_tokens).encode()]
        if environ["PATH_INFO"] == "/failing":
            self._ask(environ)
            raise RuntimeError
        return self._words(environ)

    def _words(self, environ: Any) -> Iterator[bytes]:
        for _ in range(3):
            yield self._ask(environ).encode()


def _customer(environ: Any) -> dict[str, str]:
    return {"customer": environ["HTTP_X_CUSTOMER"]}


@pytest.fixture
def url_of() -> Iterator[Any]:
    servers: list[Any] = []

    def serve(app: Any) -> str:
        server = make_server("127.0.0.1", 0, app, server_class=_Threaded, handler_class=_Quiet)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def _get(url: str, customer: str = "ada") -> httpx.Response:
    return httpx.get(url, headers={"x-customer": customer}, timeout=30)


def test_parallel_requests_equal_the_bill_of_each_customer(simulator, url_of):
    shop = Shop(simulator)
    url = url_of(shop.app)
    jobs = [(f"{url}/{kind}", name) for kind in ("whole", "streamed", "failing") for name in ("ada", "bob")] * 4
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda job: _get(*job), jobs))

    meters = shop.ended(len(jobs))
    for name in ("ada", "bob"):
        mine = [part for cb in meters if (part := cb.by_tag.get(f"customer={name}")) is not None]
        assert sum(part.total_tokens for part in mine) == simulator.bill(name).total_tokens > 0
    assert not any(cb.is_open for cb in meters)


def test_a_route_reads_its_own_meter(simulator, url_of):
    shop = Shop(simulator)

    answer = _get(url_of(shop.app) + "/whole")

    assert int(answer.text) == shop.ended()[0].total_tokens > 0


def test_a_limit_refuses_in_the_middle_of_a_stream(simulator, url_of):
    shop = Shop(simulator, max_calls=2)

    _get(url_of(shop.app) + "/streamed")

    assert simulator.bill("ada").calls == 2


@pytest.mark.parametrize("kind", [list, tuple, "file"])
def test_an_answer_that_servers_send_in_their_own_way_stays_what_it_is(tmp_path, kind: Any):
    (tmp_path / "page").write_bytes(b"page")
    with (tmp_path / "page").open("rb") as page:
        answer: Any = FileWrapper(page) if kind == "file" else kind([b"page"])
        ended: list[Meter] = []
        app = MeterMiddleware(lambda environ, start: answer, done=lambda environ, cb: ended.append(cb))

        assert app({"wsgi.file_wrapper": FileWrapper}, lambda *_: None) is answer
    assert len(ended) == 1


@pytest.mark.parametrize("is_read", [True, False])
def test_an_answer_that_is_not_closed_does_not_count_the_next_requests(simulator, is_read: bool):
    """Test clients leave answers unread, or read and unclosed."""
    shop = Shop(simulator, max_calls=3)
    environ = {"HTTP_X_CUSTOMER": "ada", "PATH_INFO": "/streamed"}
    unclosed = []
    for _ in range(2):
        unclosed.append(shop.app(environ, lambda *_: None))
        if is_read:
            list(unclosed[-1])
    assert token_meter.current() is None
    for answer in unclosed:
        answer.close()

    assert [cb.successful_requests for cb in shop.ended(2)] == [3 * is_read] * 2
    assert token_meter.current() is None


def test_what_an_answer_calls_while_it_is_closed_counts(simulator):
    shop = Shop(simulator)
    environ = {"HTTP_X_CUSTOMER": "ada"}

    class Answer:
        def __iter__(self) -> Iterator[bytes]:
            yield b"a letter follows"

        def close(self) -> None:
            shop._ask(environ)

    ended: list[Meter] = []
    app = MeterMiddleware(lambda *_: Answer(), done=lambda _, cb: ended.append(cb), on_unpriced="ignore")
    answer: Any = app(environ, lambda *_: None)
    list(answer)
    answer.close()
    answer.close()

    assert [(cb.successful_requests, cb.is_open) for cb in ended] == [(1, False)]


def test_a_mistake_is_told_when_the_app_is_made():
    with pytest.raises(ConfigError):
        MeterMiddleware(lambda environ, start: [], max_tokens="many")
