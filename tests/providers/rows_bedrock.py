"""The rows of Bedrock's SDKs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

from tests.providers import bedrock_fake as server
from tests.providers.bedrock_fake import MODEL, FakeBedrock, Reply, conversation, counted, failure, streamed, tool_use
from tests.providers.table import Cell, Row, drain, each

ASK: dict[str, Any] = {
    "modelId": MODEL,
    "messages": [{"role": "user", "content": [{"text": "Which rose is the pinkest?"}]}],
    "inferenceConfig": {"maxTokens": 200},
}
ABOUT = {"region_name": "us-east-1", "verify": False, "aws_access_key_id": "sim", "aws_secret_access_key": "sim"}
CACHED = server.usage(100, 43, cacheReadInputTokens=50, cacheWriteInputTokens=30)
EMBED = {"modelId": "amazon.titan-embed-text-v2:0", "body": json.dumps({"inputText": "a rose"})}


@contextmanager
def place() -> Iterator[FakeBedrock]:
    fake = FakeBedrock()
    try:
        yield fake
    finally:
        fake.close()


# boto3


@cache
def _session() -> Any:
    import boto3

    return boto3.Session()


@contextmanager
def client(fake: FakeBedrock, *replies: Reply) -> Iterator[Any]:
    fake.will(*(replies or [Reply(body=conversation())]))
    found = _session().client("bedrock-runtime", endpoint_url=fake.url, **ABOUT)
    try:
        yield found
    finally:
        found.close()


def sync(fake: FakeBedrock, *replies: Reply) -> None:
    with client(fake, *replies) as found:
        found.converse(**ASK)


def threads(fake: FakeBedrock) -> None:
    with client(fake, *[Reply(body=conversation())] * 3) as found, ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: found.converse(**ASK), range(3)))


def stream(fake: FakeBedrock) -> None:
    with client(fake, streamed(conversation())) as found:
        list(found.converse_stream(**ASK)["stream"])


def raw(fake: FakeBedrock) -> None:
    with client(fake, counted({"generations": [{"text": "Rose"}]})) as found:
        found.invoke_model(modelId="cohere.command-r-v1:0", body=json.dumps({"message": "Which?"}))["body"].read()


def left(fake: FakeBedrock) -> None:
    with client(fake, Reply(events=(*server.events(conversation())[:2], server.HOLD))) as found:
        events = found.converse_stream(**ASK)["stream"]
        next(event for event in events if "contentBlockDelta" in event)
        events.close()


def tools(fake: FakeBedrock) -> None:
    sync(fake, Reply(body=conversation(tool_use("look_up", {"rose": "pink"}), stop="tool_use")))


def cached(fake: FakeBedrock) -> None:
    sync(fake, Reply(body=conversation(usage=CACHED)))


def retried(fake: FakeBedrock) -> None:
    sync(fake, failure(429), Reply(body=conversation()))


def embeddings(fake: FakeBedrock) -> None:
    with client(fake, Reply(body={"embedding": [0.1], "inputTextTokenCount": 107})) as found:
        found.invoke_model(**EMBED)["body"].read()


# aiobotocore


@cache
def _aio_session() -> Any:
    from aiobotocore.session import get_session

    return get_session()


@asynccontextmanager
async def aclient(fake: FakeBedrock, *replies: Reply) -> AsyncIterator[Any]:
    fake.will(*(replies or [Reply(body=conversation())]))
    async with _aio_session().create_client("bedrock-runtime", endpoint_url=fake.url, **ABOUT) as found:
        yield found


async def asked(fake: FakeBedrock, *replies: Reply) -> None:
    async with aclient(fake, *replies) as found:
        await found.converse(**ASK)


async def gathered(fake: FakeBedrock) -> None:
    async with aclient(fake, *[Reply(body=conversation())] * 3) as found:
        await asyncio.gather(*(found.converse(**ASK) for _ in range(3)))


async def astream(fake: FakeBedrock) -> None:
    async with aclient(fake, streamed(conversation())) as found:
        await drain((await found.converse_stream(**ASK))["stream"])


async def araw(fake: FakeBedrock) -> None:
    async with aclient(fake, counted({"generations": [{"text": "Rose"}]})) as found:
        answer = await found.invoke_model(modelId="cohere.command-r-v1:0", body=json.dumps({"message": "Which?"}))
        await answer["body"].read()


async def aleft(fake: FakeBedrock) -> None:
    async with aclient(fake, Reply(events=(*server.events(conversation())[:2], server.HOLD))) as found:
        events = (await found.converse_stream(**ASK))["stream"]
        async for event in each(events):
            if "contentBlockDelta" in event:
                break
        events.close()


async def atools(fake: FakeBedrock) -> None:
    await asked(fake, Reply(body=conversation(tool_use("look_up", {"rose": "pink"}), stop="tool_use")))


async def acached(fake: FakeBedrock) -> None:
    await asked(fake, Reply(body=conversation(usage=CACHED)))


async def aretried(fake: FakeBedrock) -> None:
    await asked(fake, failure(429), Reply(body=conversation()))


async def aembeddings(fake: FakeBedrock) -> None:
    async with aclient(fake, Reply(body={"embedding": [0.1], "inputTextTokenCount": 107})) as found:
        await (await found.invoke_model(**EMBED))["body"].read()


ROWS = (
    Row("boto3", "botocore", "boto3", "aws", place, {
        "sync": Cell("read", sync),
        "gathered": Cell("read", threads, 321, 129, calls=3),
        "streamed": Cell("read", stream),
        "raw": Cell("read", raw),
        "left early": Cell("estimated", left, None, None),
        "tools": Cell("read", tools),
        "cached": Cell("read", cached, 180, 43, 50),
        "retried": Cell("read", retried, failed=1),
        "embeddings": Cell("read", embeddings, completion=0),
    }),
    Row("aiobotocore", "aiohttp", "aiobotocore", "aws", place, {
        "async": Cell("read", asked),
        "gathered": Cell("read", gathered, 321, 129, calls=3),
        "streamed": Cell("read", astream),
        "raw": Cell("read", araw),
        "left early": Cell("estimated", aleft, None, None),
        "tools": Cell("read", atools),
        "cached": Cell("read", acached, 180, 43, 50),
        "retried": Cell("read", aretried, failed=1),
        "embeddings": Cell("read", aembeddings, completion=0),
    }),
)  # fmt: skip
