"""The rows of OpenAI's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from tests.providers.fake_server import HOLD, Asked, FakeServer, Frames, Reply
from tests.providers.table import Cell, Row, drain

MODEL = "gpt-4o-mini"
ASK: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Which rose is the pinkest?"}]}
WITH_USAGE = {"stream": True, "stream_options": {"include_usage": True}}
USAGE = {"prompt_tokens": 107, "completion_tokens": 43, "total_tokens": 150}
CACHED = {**USAGE, "prompt_tokens_details": {"cached_tokens": 50}}
HEAD = {"id": "chatcmpl-1", "created": 1, "model": MODEL}
CALL = {"id": "call_1", "type": "function", "index": 0, "function": {"name": "look_up", "arguments": "{}"}}


def completion(usage: Any = USAGE, **message: Any) -> Reply:
    said = {"role": "assistant", "content": "The rose Pink Peace.", "refusal": None, **message}
    choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
    return Reply(body={**HEAD, "object": "chat.completion", "choices": [choice], "usage": usage})


def _chunk(text: str | None, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish, "logprobs": None}
    return {**HEAD, "object": "chat.completion.chunk", "choices": [choice]}


CHUNKS = (_chunk("The rose "), _chunk("Pink Peace."), _chunk(None, "stop"))
STREAM = Reply(events=(*CHUNKS, {**_chunk(None), "choices": [], "usage": USAGE}))


class Place(FakeServer):
    """The server, and the HTTP client with which it is asked."""

    http = "DefaultAsyncHttpxClient"

    def frames_of(self, asked: Asked) -> Frames:
        def frames(events: Any) -> Iterator[bytes | dict[str, Any]]:
            import json

            for event in events:
                yield event if event is HOLD else f"data: {json.dumps(event)}\n\n".encode()
            yield b"data: [DONE]\n\n"

        return frames


@contextmanager
def place(http: str = "DefaultAsyncHttpxClient") -> Iterator[Place]:
    fake = Place()
    fake.http = http
    try:
        yield fake
    finally:
        fake.close()


@contextmanager
def place_of_aiohttp() -> Iterator[Place]:
    openai = pytest.importorskip("openai")
    if not hasattr(openai, "DefaultAioHttpClient"):
        pytest.skip("this openai has no client of aiohttp")
    pytest.importorskip("aiohttp")
    with place("DefaultAioHttpClient") as fake:
        yield fake


@asynccontextmanager
async def client(fake: Place, *replies: Reply) -> AsyncIterator[Any]:
    import openai

    fake.will(*(replies or [completion()]))
    http = getattr(openai, fake.http)(verify=False)
    async with openai.AsyncOpenAI(api_key="sim", base_url=f"{fake.url}/v1", http_client=http) as found:
        yield found


def sync(fake: Place) -> None:
    import openai

    fake.will(completion())
    http = openai.DefaultHttpxClient(verify=False)
    with openai.OpenAI(api_key="sim", base_url=f"{fake.url}/v1", http_client=http) as found:
        found.chat.completions.create(**ASK)


async def asked(fake: Place, *replies: Reply) -> None:
    async with client(fake, *replies) as found:
        await found.chat.completions.create(**ASK)


async def gathered(fake: Place) -> None:
    async with client(fake, *[completion()] * 3) as found:
        await asyncio.gather(*(found.chat.completions.create(**ASK) for _ in range(3)))


async def stream(fake: Place) -> None:
    async with client(fake, STREAM) as found:
        await drain(await found.chat.completions.create(**ASK, **WITH_USAGE))


async def helper(fake: Place) -> None:
    async with client(fake, STREAM) as found:
        chat = found.chat if hasattr(found.chat.completions, "stream") else found.beta.chat
        async with chat.completions.stream(**ASK, stream_options={"include_usage": True}) as events:
            await events.get_final_completion()


async def raw(fake: Place) -> None:
    async with client(fake) as found:
        await found.chat.completions.with_raw_response.create(**ASK)


async def left(fake: Place) -> None:
    async with client(fake, Reply(events=(*CHUNKS[:1], HOLD))) as found:
        events = await found.chat.completions.create(**ASK, **WITH_USAGE)
        async for _ in events:
            break
        await events.close()


async def tools(fake: Place) -> None:
    await asked(fake, completion(content=None, tool_calls=[CALL]))


async def cached(fake: Place) -> None:
    await asked(fake, completion(CACHED))


async def retried(fake: Place) -> None:
    again = (("retry-after-ms", "1"),)
    await asked(fake, Reply(429, {"error": {"message": "no", "type": "rate_limit"}}, headers=again), completion())


async def embeddings(fake: Place) -> None:
    usage = {"prompt_tokens": 107, "total_tokens": 107}
    vector = {"object": "embedding", "index": 0, "embedding": [0.1]}
    async with client(fake, Reply(body={"object": "list", "data": [vector], "model": MODEL, "usage": usage})) as found:
        await found.embeddings.create(model="text-embedding-3-small", input="a rose", encoding_format="float")


ASYNC = {
    "async": Cell("read", asked),
    "gathered": Cell("read", gathered, 321, 129, calls=3),
    "streamed": Cell("read", stream),
    "helper": Cell("read", helper),
    "raw": Cell("read", raw),
    "left early": Cell("estimated", left, None, None),
    "tools": Cell("read", tools),
    "cached": Cell("read", cached, 107, 43, 50),
    "retried": Cell("read", retried, failed=1),
    "embeddings": Cell("read", embeddings, completion=0),
}
ROWS = (
    Row("openai", "httpx", "openai", "openai", place, {"sync": Cell("read", sync), **ASYNC}),
    Row("openai", "aiohttp", "openai", "openai", place_of_aiohttp, ASYNC),
)
