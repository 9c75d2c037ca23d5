"""Clients of every kind that the SDK can be given: both HTTP libraries, aiohttp, both colours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import httpx
import openai
import pytest
from openai import AsyncAzureOpenAI, AsyncOpenAI, AzureOpenAI, OpenAI

from token_meter.prices import PriceBook
from token_meter.simulator import Simulator

IS_3 = int(openai.__version__.partition(".")[0]) >= 3
KINDS = ["httpx-sync", "httpx-async"]
if IS_3:
    KINDS += ["httpx2-sync", "httpx2-async"]
    try:
        import aiohttp  # noqa: F401  # the SDK's own extra; where it is installed it is tried
    except ImportError:
        pass
    else:
        KINDS.append("aiohttp-async")


class Maker(NamedTuple):
    """Makes clients of one kind; all are closed at the end of the test."""

    openai: Callable[..., Any]
    azure: Callable[..., Any]
    is_async: bool


@pytest.fixture(params=KINDS)
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Maker]:
    library, _, colour = request.param.partition("-")
    made: list[Any] = []

    def maker(cls: Any) -> Callable[..., Any]:
        def build(**options: Any) -> Any:
            # Loading the certificate store takes most of the time of making a client, and no call here is encrypted.
            modern = openai.DefaultAsyncHttpxClient if colour == "async" else openai.DefaultHttpxClient
            legacy = httpx.AsyncClient if colour == "async" else httpx.Client
            if library == "aiohttp":
                options["http_client"] = openai.DefaultAioHttpClient(verify=False)
            elif library == "httpx" and IS_3:
                options["http_client"] = legacy(follow_redirects=True, timeout=30, verify=False)
            else:
                options["http_client"] = modern(verify=False)
            made.append(cls(**options))
            return made[-1]

        return build

    if colour == "async":
        yield Maker(maker(AsyncOpenAI), maker(AsyncAzureOpenAI), is_async=True)
    else:
        yield Maker(maker(OpenAI), maker(AzureOpenAI), is_async=False)
    for client in made:
        if colour == "async":
            await client.close()
        else:
            client.close()


@pytest.fixture
def client(make: Maker, simulator: Simulator) -> Any:
    return make.openai(base_url=simulator.base_url, api_key="sim-test")


@pytest.fixture
def prices(simulator: Simulator) -> PriceBook:
    """The simulator's host is OpenAI's, as far as prices go."""
    return PriceBook(hosts={simulator.url: "openai"})
