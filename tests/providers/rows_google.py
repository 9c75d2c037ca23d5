"""The rows of google-genai."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import pytest

from tests.providers import google_fake as server
from tests.providers.fake_server import Reply
from tests.providers.google_fake import MODEL, FakeGoogle, answer, failure, streamed
from tests.providers.table import Cell, Row, drain, each

ASK: dict[str, Any] = {"model": MODEL, "contents": "Which rose is the pinkest?", "config": {"max_output_tokens": 200}}
CACHED = server.usage(180, 43, cachedContentTokenCount=50)
CALL = {"functionCall": {"name": "look_up", "args": {"rose": "pink"}}}


class Place(FakeGoogle):
    """The server, and how it is asked."""

    by: Mapping[str, Any] = {"api_key": "sim"}
    is_aiohttp = False


@contextmanager
def place(*, is_aiohttp: bool = False, is_vertex: bool = False) -> Iterator[Place]:
    genai = pytest.importorskip("google.genai")
    if is_aiohttp and not hasattr(genai._api_client, "has_aiohttp"):
        pytest.skip("this google-genai has no aiohttp")
    fake = Place()
    fake.is_aiohttp = is_aiohttp
    if is_vertex:
        from google.oauth2.credentials import Credentials

        credentials: Any = Credentials("sim")  # type: ignore[no-untyped-call]
        fake.by = {"vertexai": True, "project": "roses", "location": "europe-west4", "credentials": credentials}
    try:
        yield fake
    finally:
        fake.close()


@asynccontextmanager
async def client(fake: Place, **options: Any) -> AsyncIterator[Any]:
    from google import genai

    found: dict[str, Any] = {"base_url": fake.url, **options}
    if not fake.is_aiohttp and hasattr(genai._api_client, "has_aiohttp"):
        library = __import__("httpx2" if int(genai.__version__.partition(".")[0]) >= 3 else "httpx")
        found["async_client_args"] = {"transport": library.AsyncHTTPTransport()}
    made = genai.Client(**fake.by, http_options=genai.types.HttpOptions(**found))
    try:
        yield made
    finally:
        if hasattr(made, "close"):
            made.close()
            await made.aio.aclose()


async def sync(fake: Place) -> None:
    fake.will(Reply(body=answer()))
    async with client(fake) as found:
        found.models.generate_content(**ASK)


async def asked(fake: Place, *replies: Reply, **options: Any) -> None:
    fake.will(*(replies or [Reply(body=answer())]))
    async with client(fake, **options) as found:
        await found.aio.models.generate_content(**ASK)


async def gathered(fake: Place) -> None:
    fake.will(*[Reply(body=answer())] * 3)
    async with client(fake) as found:
        await asyncio.gather(*(found.aio.models.generate_content(**ASK) for _ in range(3)))


async def stream(fake: Place) -> None:
    fake.will(streamed(answer()))
    async with client(fake) as found:
        await drain(await found.aio.models.generate_content_stream(**ASK))


async def chat(fake: Place) -> None:
    fake.will(streamed(answer()))
    async with client(fake) as found:
        events = await found.aio.chats.create(model=MODEL).send_message_stream("Which rose is the pinkest?")
        await drain(events)


async def left(fake: Place) -> None:
    fake.will(Reply(events=(*server.events(answer())[:1], server.HOLD)))
    async with client(fake) as found:
        events = await found.aio.models.generate_content_stream(**ASK)
        async for _ in each(events):
            break
        await events.aclose()


async def tools(fake: Place) -> None:
    await asked(fake, Reply(body=answer(CALL)))


async def cached(fake: Place) -> None:
    await asked(fake, Reply(body=answer(said=CACHED)))


async def retried(fake: Place) -> None:
    from google.genai import types

    if not hasattr(types, "HttpRetryOptions"):
        pytest.skip("this google-genai does not retry")
    again = types.HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.002, jitter=0.001)
    await asked(fake, failure(503, "UNAVAILABLE"), Reply(body=answer()), retry_options=again)


async def embeddings(fake: Place) -> None:
    fake.will(Reply(body={"embeddings": [{"values": [0.1]}], "usageMetadata": {"promptTokenCount": 107}}))
    async with client(fake) as found:
        await found.aio.models.embed_content(model="gemini-embedding-001", contents=["a rose"])


async def predicted(fake: Place) -> None:
    statistics = {"token_count": 107, "truncated": False}
    fake.will(Reply(body={"predictions": [{"embeddings": {"values": [0.1], "statistics": statistics}}]}))
    async with client(fake) as found:
        await found.aio.models.embed_content(model="text-embedding-005", contents=["a rose"])


ASYNC = {
    "async": Cell("read", asked),
    "gathered": Cell("read", gathered, 321, 129, calls=3),
    "streamed": Cell("read", stream),
    "helper": Cell("read", chat),
    "left early": Cell("estimated", left, completion=None),
    "tools": Cell("read", tools),
    "cached": Cell("read", cached, 180, 43, 50),
    "retried": Cell("read", retried, failed=1),
    "embeddings": Cell("read", embeddings, completion=0),
}
VERTEX = {**ASYNC, "sync": Cell("read", sync), "embeddings": Cell("read", predicted, completion=0)}
ROWS = (
    Row("google-genai", "httpx", "google.genai", "google", place, {"sync": Cell("read", sync), **ASYNC}),
    Row("google-genai", "aiohttp", "google.genai", "google", partial(place, is_aiohttp=True), ASYNC),
    Row("google-genai (Vertex AI)", "httpx", "google.genai", "google", partial(place, is_vertex=True), VERTEX),
)
