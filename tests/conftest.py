"""What every test gets: a clean process before and after, and a simulator of the OpenAI protocol."""

from __future__ import annotations

import gc
import os
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as executors
from multiprocessing.pool import Pool, ThreadPool
from typing import Any

import httpx
import httpx2
import hypothesis
import openai
import pytest

import token_meter
from tests.sdk_http import sdk_http as sdk_http
from token_meter._failures import internal_errors
from token_meter.context.stack import CONTEXT_STACK
from token_meter.runtime.hub import HUB
from token_meter.simulator import TEST_KEY, Simulator

pytest_plugins = ["token_meter.simulator.pytest_fixture", "pytester"]

# What is made up is the same in every run of `make test`; `make soak` makes up new things, and more of them.
hypothesis.settings.register_profile("same", max_examples=100, derandomize=True, deadline=None)
hypothesis.settings.register_profile("new", max_examples=10_000, deadline=None)
hypothesis.settings.load_profile("same")

# Hundreds of children import the package: where no byte code is kept, each compiles it again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PATCHED = [
    (httpx2.Client, "send"),
    (httpx2.AsyncClient, "send"),
    (httpx.Client, "send"),
    (httpx.AsyncClient, "send"),
    (threading.Thread, "start"),
    (ThreadPoolExecutor, "submit"),
    (openai._base_client.SyncAPIClient, "request"),
    (openai._base_client.AsyncAPIClient, "request"),
]
POOLS = [
    (executors, "_worker"),
    (ThreadPool, "__init__"),
    *((Pool, name) for name in ("apply_async", "_map_async", "imap", "imap_unordered")),
]
ORIGINALS = {(owner, name): owner.__dict__[name] for owner, name in (*PATCHED, *POOLS)}


@pytest.fixture(autouse=True, scope="session")
def frozen() -> Iterator[None]:
    """The collector looks at what was imported no more: `clean` collects after each test, and that took half the time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def take_internal_errors() -> dict[str, int]:
    """The failures of ours so far, by place; forgotten from here on."""
    found = dict(internal_errors)
    internal_errors.clear()
    return found


@pytest.fixture(autouse=True, scope="session")
def without_certificates() -> Iterator[None]:
    """No call here is encrypted, and to load the certificates takes 40 ms a client: more than most tests for the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", lambda *_, **__: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        yield


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """No meter open, no patch left, no failure of ours swallowed: before a test and after it."""
    assert CONTEXT_STACK.get() == ()
    internal_errors.clear()
    yield
    if HUB._installed:
        gc.collect()  # abandoned streams end here and not in the next test
        gc.freeze()  # what is left, a lazy import say, is not looked at after each test to come
    left = CONTEXT_STACK.get()
    CONTEXT_STACK.set(())
    token_meter.uninstall()
    still = [f"{owner.__name__}.{name}" for (owner, name), f in ORIGINALS.items() if owner.__dict__[name] is not f]
    errors = take_internal_errors()
    assert left == (), "a meter was left open in this context"
    assert HUB.is_listening is False, "a meter was left open"
    assert still == [], "uninstall() left patches behind"
    assert errors == {}, "token_meter failed inside a hook"


@pytest.fixture
def openai_is_simulated(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to api.openai.com reach the simulator: below the seam, so that the host stays OpenAI's."""
    target = httpx2.URL(simulator.url)

    def aside(request: httpx2.Request) -> httpx2.Request:
        if request.url.host != "api.openai.com":
            return request
        url = request.url.copy_with(scheme="http", host=target.host, port=target.port)
        return httpx2.Request(request.method, url, headers=request.headers, stream=request.stream)

    sync, asyn = httpx2.HTTPTransport.handle_request, httpx2.AsyncHTTPTransport.handle_async_request
    monkeypatch.setattr(httpx2.HTTPTransport, "handle_request", lambda self, request: sync(self, aside(request)))
    monkeypatch.setattr(
        httpx2.AsyncHTTPTransport, "handle_async_request", lambda self, request: asyn(self, aside(request))
    )
    monkeypatch.setenv("OPENAI_API_KEY", TEST_KEY)


CHAT_BODY: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}
