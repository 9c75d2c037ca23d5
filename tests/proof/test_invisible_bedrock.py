"""Nobody can tell from the outside whether a meter is open, over botocore and over aiobotocore."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.contract.shapes import each, kind, result
from tests.proof import test_invisible as sdks
from tests.proof.test_invisible_transports import OWN, caught, normal
from tests.providers import bedrock_fake as server
from tests.providers import rows_bedrock
from tests.providers.bedrock_fake import MODEL, Reply
from token_meter import meter
from token_meter.prices import PriceBook
from token_meter.providers.bedrock import sdk as bedrock_sdk
from token_meter.transports import botocore as over_botocore

pytest.importorskip("boto3")

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OURS = [
    (over_botocore.SignedRequest, "__init__"), (over_botocore.SignedRequest, "headers"),
    (over_botocore.SignedRequest, "body"), (over_botocore, "_stand_in"), (over_botocore, "_tapped"),
    (over_botocore, "BodyTap"), (bedrock_sdk._OperationCall, "key"), (bedrock_sdk._OperationCall, "body"),
]  # fmt: skip
"""What a call passes in this transport, and at its gate."""
ASK: dict[str, Any] = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Which rose?"}]}]}


def full(url: str) -> Any:
    book = PriceBook(hosts={url: "aws"})
    return meter(handlers=[sdks._Everything()], max_cost="1000", on_unpriced="ignore", prices=book, keep_calls=True)


MODES: dict[str, Callable[[str], Any]] = {
    "meter": lambda _: meter(on_unpriced="ignore"),
    "handlers and budget": full,
    "every internal function raises": lambda _: sdks._broken(*sdks.INTERNALS, *OWN, *OURS),
}


async def converse(client: Any) -> Any:
    return repr(await result(client.converse(**ASK)))


async def stream(client: Any) -> Any:
    found = (await result(client.converse_stream(**ASK)))["stream"]
    return kind(found), [repr(event) async for event in each(found)]


async def invoke(client: Any) -> Any:
    body = (await result(client.invoke_model(modelId=MODEL, body=b'{"prompt": "a"}')))["body"]
    first = await result(body.read(5))
    return kind(body), first, await result(body.read()), await result(body.read()), body.tell()


async def invoke_stream(client: Any) -> Any:
    found = (await result(client.invoke_model_with_response_stream(modelId=MODEL, body="{}")))["body"]
    return [repr(event) async for event in each(found)]


async def left(client: Any) -> Any:
    found = (await result(client.converse_stream(**ASK)))["stream"]
    async for event in each(found):
        await result(found.close())
        return repr(event)
    return None


async def cancelled(client: Any) -> Any:
    """In mid-answer; what is not asynchronous is left instead."""
    if not asyncio.iscoroutinefunction(client._make_api_call):
        return await left(client)
    is_open = asyncio.Event()

    async def read() -> None:
        async for _ in (await client.converse_stream(**ASK))["stream"]:
            is_open.set()

    task = asyncio.create_task(read())
    await is_open.wait()
    task.cancel()
    return await caught(task), task.cancelled()


async def wrong(client: Any) -> Any:
    return repr(await result(client.converse(modelId=MODEL, messages="none")))


EVENTS = server.events(server.conversation())
PROGRAMS: dict[str, tuple[Callable[[Any], Awaitable[Any]], tuple[Reply, ...]]] = {
    "converse": (converse, (Reply(body=server.conversation()),)),
    "stream": (stream, (Reply(events=tuple(EVENTS)),)),
    "invoke": (invoke, (server.counted({"generations": [{"text": "Rose"}]}),)),
    "invoke stream": (invoke_stream, (Reply(events=({"generation": "a"}, {"generation": "b", **server.metrics()})),)),
    "left": (left, (Reply(events=(*EVENTS[:2], server.HOLD)),)),
    "cut": (stream, (Reply(events=(*EVENTS[:2], server.CUT)),)),
    "cancelled": (cancelled, (Reply(events=(*EVENTS[:2], server.HOLD)),)),
    "an exception in the stream": (stream, (Reply(events=(EVENTS[0], {"throttlingException": {"message": "no"}})),)),
    "400": (converse, (server.failure(400, "ValidationException"),)),
    "429, then an answer": (converse, (server.failure(429), Reply(body=server.conversation()))),
    "429 for a stream": (stream, (server.failure(429), server.failure(429))),
    "what cannot be sent": (wrong, ()),
}


def observe(sdk: str, name: str, mode: Callable[[str], Any]) -> Any:
    program, replies = PROGRAMS[name]
    fake = server.FakeBedrock()
    fake.will(*replies)
    about = {
        "region_name": "us-east-1", "endpoint_url": fake.url, "aws_access_key_id": "sim",
        "aws_secret_access_key": "sim", "verify": False,
    }  # fmt: skip
    retries = {"total_max_attempts": 2, "mode": "standard"}

    async def whole() -> Any:
        if sdk == "boto3":
            from botocore.config import Config

            client = rows_bedrock._session().client("bedrock-runtime", **about, config=Config(retries=retries))
            try:
                return await caught(program(client))
            finally:
                client.close()
        from aiobotocore.config import AioConfig

        made = rows_bedrock._aio_session().create_client("bedrock-runtime", **about, config=AioConfig(retries=retries))
        async with made as client:
            return await caught(program(client))

    try:
        with mode(fake.url):
            seen = asyncio.run(whole())
    finally:
        fake.close()
    return normal(seen), [unsigned(asked) for asked in fake.asked]


def unsigned(asked: Any) -> Any:
    """A request without what differs from one to the next: time, signature, number."""
    headers = {
        name: re.sub(r"Signature=\w+|\d{8}/|ttl=\w+", "…", value)
        for name, value in asked.headers.items()
        if name not in ("x-amz-date", "amz-sdk-invocation-id", "host")
    }
    return asked.method, asked.path, headers, json.dumps(asked.body)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.retries.standard

    monkeypatch.setattr(botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda *_: 0)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("sdk", ["boto3", "aiobotocore"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_f01_over_botocore_nothing_is_noticed(sdk, name):
    """Requests, types, events, exceptions with causes, cancellation: in every mode as bare."""
    pytest.importorskip(sdk)
    bare = observe(sdk, name, lambda _: contextlib.nullcontext())
    seen = {mode: observe(sdk, name, opened) for mode, opened in MODES.items()}

    assert seen == dict.fromkeys(MODES, bare)
    assert bool(bare[1]) == (name != "what cannot be sent")


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("internal", OURS, ids=lambda i: f"{i[0].__name__}.{i[1]}")
@pytest.mark.parametrize("name", ["stream", "invoke"])
def test_f02_a_bug_of_this_transport_is_the_callers_never(name, internal):
    """One function at a time raises."""
    bare = observe("boto3", name, lambda _: contextlib.nullcontext())
    assert observe("boto3", name, lambda _: sdks._broken(internal)) == bare
