"""The rows of Anthropic's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from tests.providers import anthropic_fake as server
from tests.providers.anthropic_fake import MODEL, FakeAnthropic, Reply, failure, message, streamed, text, tool_use
from tests.providers.table import Cell, Row, drain

ASK: dict[str, Any] = {
    "model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": "Which rose is the pinkest?"}],
}  # fmt: skip
SAID = message(text("The rose Pink Peace is the pinkest of all."))
CACHED = server.usage(100, 43, cache_read_input_tokens=50, cache_creation_input_tokens=30)


class Place(FakeAnthropic):
    """The server, and the HTTP client with which it is asked."""

    http = "DefaultAsyncHttpxClient"


@contextmanager
def place() -> Iterator[Place]:
    fake = Place()
    try:
        yield fake
    finally:
        fake.close()


@contextmanager
def place_of_aiohttp() -> Iterator[Place]:
    anthropic = pytest.importorskip("anthropic")
    if not hasattr(anthropic, "DefaultAioHttpClient"):
        pytest.skip("this anthropic has no client of aiohttp")
    with place() as fake:
        fake.http = "DefaultAioHttpClient"
        yield fake


@asynccontextmanager
async def client(fake: Place) -> AsyncIterator[Any]:
    import anthropic

    http = getattr(anthropic, fake.http)(verify=False)
    async with anthropic.AsyncAnthropic(api_key="sim", base_url=fake.url, http_client=http) as found:
        yield found


def sync(fake: Place) -> None:
    import anthropic

    fake.will(Reply(body=SAID))
    http = anthropic.DefaultHttpxClient(verify=False)
    with anthropic.Anthropic(api_key="sim", base_url=fake.url, http_client=http) as found:
        found.messages.create(**ASK)


async def gathered(fake: Place) -> None:
    fake.will(*[Reply(body=SAID)] * 3)
    async with client(fake) as found:
        await asyncio.gather(*(found.messages.create(**ASK) for _ in range(3)))


async def asked(fake: Place, *replies: Reply) -> None:
    fake.will(*(replies or [Reply(body=SAID)]))
    async with client(fake) as found:
        await found.messages.create(**ASK)


async def stream(fake: Place) -> None:
    fake.will(streamed(SAID))
    async with client(fake) as found:
        await drain(await found.messages.create(**ASK, stream=True))


async def helper(fake: Place) -> None:
    fake.will(streamed(SAID))
    async with client(fake) as found, found.messages.stream(**ASK) as events:
        await events.get_final_message()


async def raw(fake: Place) -> None:
    fake.will(Reply(body=SAID))
    async with client(fake) as found:
        await found.messages.with_raw_response.create(**ASK)


async def left(fake: Place) -> None:
    fake.will(Reply(events=(*server.events(SAID)[:5], server.HOLD)))
    async with client(fake) as found:
        events = await found.messages.create(**ASK, stream=True)
        async for event in events:
            if event.type == "content_block_delta":
                break
        await events.close()


async def tools(fake: Place) -> None:
    await asked(fake, Reply(body=message(tool_use("look_up", {"rose": "pink"}))))


async def cached(fake: Place) -> None:
    await asked(fake, Reply(body={**SAID, "usage": CACHED}))


async def retried(fake: Place) -> None:
    await asked(fake, failure(529, "overloaded_error"), Reply(body=SAID))


ASYNC = {
    "async": Cell("read", asked),
    "gathered": Cell("read", gathered, 321, 129, calls=3),
    "streamed": Cell("read", stream),
    "helper": Cell("read", helper),
    "raw": Cell("read", raw),
    "left early": Cell("estimated", left, completion=None),
    "tools": Cell("read", tools),
    "cached": Cell("read", cached, 180, 43, 50),
    "retried": Cell("read", retried, failed=1),
}
ROWS = (
    Row("anthropic", "httpx", "anthropic", "anthropic", place, {"sync": Cell("read", sync), **ASYNC}),
    Row("anthropic", "aiohttp", "anthropic", "anthropic", place_of_aiohttp, ASYNC),
)
