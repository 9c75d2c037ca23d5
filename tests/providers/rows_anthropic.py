"""The rows of Anthropic's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest

from tests.providers import anthropic_fake as server
from tests.providers import bedrock_fake as bedrock
from tests.providers.anthropic_fake import MODEL, FakeAnthropic, Reply, failure, message, streamed, text, tool_use
from tests.providers.table import Cell, Row, drain

ASK: dict[str, Any] = {
    "model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": "Which rose is the pinkest?"}],
}  # fmt: skip
SAID = message(text("The rose Pink Peace is the pinkest of all."))
CACHED = server.usage(100, 43, cache_read_input_tokens=50, cache_creation_input_tokens=30)


class Place(FakeAnthropic):
    """The server, and how it is asked."""

    sdk = "AsyncAnthropic"
    http = "DefaultAsyncHttpxClient"
    options: Mapping[str, Any] = {"api_key": "sim"}
    path = ""


@contextmanager
def place(**options: Any) -> Iterator[Place]:
    fake = Place()
    vars(fake).update(options)
    try:
        yield fake
    finally:
        fake.close()


@contextmanager
def place_of_aiohttp() -> Iterator[Place]:
    anthropic = pytest.importorskip("anthropic")
    if not hasattr(anthropic, "DefaultAioHttpClient"):
        pytest.skip("this anthropic has no client of aiohttp")
    with place(http="DefaultAioHttpClient") as fake:
        yield fake


@contextmanager
def place_of(sdk: str, *, needs: str = "anthropic", path: str = "", **options: Any) -> Iterator[Place]:
    """A cloud's client of the same SDK."""
    anthropic = pytest.importorskip("anthropic")
    pytest.importorskip(needs)
    if not hasattr(anthropic, sdk):
        pytest.skip(f"this anthropic has no {sdk}")
    with place(sdk=sdk, options=options, path=path) as fake:
        if "Bedrock" in sdk:
            fake.content_type = "application/vnd.amazon.eventstream"
            fake.frames = bedrock.chunks
        yield fake


@asynccontextmanager
async def client(fake: Place) -> AsyncIterator[Any]:
    import anthropic

    http = getattr(anthropic, fake.http)(verify=False)
    made = getattr(anthropic, fake.sdk)(**fake.options, base_url=fake.url + fake.path, http_client=http)
    async with made as found:
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
KEYS = {"aws_access_key": "sim", "aws_secret_key": "sim", "aws_region": "us-east-1"}
BEDROCK = partial(place_of, "AsyncAnthropicBedrock", needs="botocore", **KEYS)
VERTEX = partial(place_of, "AsyncAnthropicVertex", needs="google.auth", project_id="p", region="r", access_token="sim")
FOUNDRY = partial(place_of, "AsyncAnthropicFoundry", api_key="sim", path="/anthropic")
ROWS = (
    Row("anthropic", "httpx", "anthropic", "anthropic", place, {"sync": Cell("read", sync), **ASYNC}),
    Row("anthropic", "aiohttp", "anthropic", "anthropic", place_of_aiohttp, ASYNC),
    Row("anthropic (AnthropicBedrock)", "httpx", "anthropic", "aws", BEDROCK, ASYNC),
    Row("anthropic (AnthropicVertex)", "httpx", "anthropic", "google", VERTEX, ASYNC),
    Row("anthropic (AnthropicFoundry)", "httpx", "anthropic", "azure", FOUNDRY, ASYNC),
)
