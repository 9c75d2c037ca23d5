"""Nobody can tell from the outside whether a meter is open, over each HTTP library and each transport of google-genai."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest

from tests.contract.raw import CHAT, LIBRARIES, STREAM, Library
from tests.contract.shapes import each, kind, result
from tests.proof import test_invisible as sdks
from tests.providers import google_fake as google
from tests.providers.fake_server import Reply
from token_meter import meter
from token_meter.prices import PriceBook
from token_meter.providers.google import sdk as google_sdk
from token_meter.transports import aiohttp as over_aiohttp
from token_meter.transports import requests as over_requests

genai = pytest.importorskip("google.genai")
IS_3 = int(genai.__version__.partition(".")[0]) >= 3

pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class .* from ClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

OWN = [
    (over_aiohttp.AiohttpRequest, "key"), (over_aiohttp.AiohttpRequest, "headers"), (over_aiohttp.AiohttpRequest, "body"),
    (over_aiohttp, "_stand_in"), (over_aiohttp, "ContentTap"), (over_requests.PreparedCall, "__init__"),
    (over_requests.PreparedCall, "headers"), (over_requests.PreparedCall, "body"), (over_requests, "_stand_in"),
    (over_requests, "BodyTap"), (google_sdk._BuiltCall, "key"), (google_sdk._BuiltCall, "body"),
]  # fmt: skip
"""What a call passes in these transports."""


def full(url: str) -> Any:
    book = PriceBook(hosts={url: "google"})
    handlers = [sdks._Everything()]
    return meter(handlers=handlers, max_cost="1000", on_unpriced="ignore", prices=book, keep_calls=True)


MODES: dict[str, Callable[[str], Any]] = {
    "meter": lambda _: meter(on_unpriced="ignore"),
    "handlers and budget": full,
    "every internal function raises": lambda _: sdks._broken(*sdks.INTERNALS, *OWN),
}


def normal(seen: Any) -> str:
    pattern = r"\w{3}, \d\d \w{3} \d{4} [\d:]+ GMT|sim0\d+|created(_at)?\W+[\d.]+|0x[0-9a-f]+|[a-z]+/[\d.]+ms|\d+\.\d{3,}|port=\d+|:\d{4,5}\b|'\d+'\)"
    return re.sub(pattern, "…", repr(seen))


async def caught(call: Awaitable[Any]) -> Any:
    """What the caller got, or the exception that it saw: types, texts, causes."""
    try:
        return await call
    except (Exception, asyncio.CancelledError) as error:
        seen: list[str] = []
        links: BaseException | None = error
        while links is not None and len(seen) < 12:
            seen += [kind(links), str(links)]
            links = links.__cause__
        return seen


# The libraries by hand.


async def read_whole(library: Library, url: str) -> Any:
    async with library.opened(url, CHAT) as found:
        body = await library.whole(found)
        return kind(found), library.status(found), sorted(map(str, found.headers)), body


async def read_pieces(library: Library, url: str) -> Any:
    seen: list[Any] = []
    for way in library.readings:
        async with library.opened(url, STREAM) as found:
            pieces = [piece async for piece in library.readings[way](found)]
            if library.name == "aiohttp":
                seen.append((isinstance(found.content, aiohttp.StreamReader), found.content.at_eof(), found.closed))
            seen.append((kind(found), b"".join(pieces)))
    return seen


async def read_some(library: Library, url: str) -> Any:
    async with library.opened(url, STREAM) as found:
        reading = library.readings[next(iter(library.readings))](found)
        async for piece in reading:
            return piece
    return None


async def leave_unread(library: Library, url: str) -> Any:
    async with library.opened(url, STREAM) as found:
        return library.status(found)


async def raise_in_the_loop(library: Library, url: str) -> Any:
    async with library.opened(url, STREAM) as found:
        async for _ in library.readings[next(iter(library.readings))](found):
            raise LookupError("mine")


async def cancel(library: Library, url: str) -> Any:
    """In mid-answer; what is not asynchronous is left instead."""
    if "async" not in library.name and library.name != "aiohttp":
        return await leave_unread(library, url)
    is_open = asyncio.Event()

    async def read() -> None:
        async with library.opened(url, STREAM) as found:
            async for _ in library.readings[next(iter(library.readings))](found):
                is_open.set()

    task = asyncio.create_task(read())
    await is_open.wait()
    task.cancel()
    seen = await caught(task)
    return seen, task.cancelled()


BY_HAND: dict[str, tuple[Callable[[Library, str], Awaitable[Any]], str]] = {
    "whole": (read_whole, ""), "pieces": (read_pieces, ""), "compressed": (read_pieces, "compress=gzip,chunk=3"),
    "redirected": (read_whole, "redirect"), "400": (read_whole, "status=400"), "429": (read_pieces, "status=429"),
    "truncated": (read_whole, "truncate"), "cut": (read_pieces, "cut=2"), "cut at once": (read_whole, "cut=0"),
    "left": (read_some, "delay=0.01"), "left unread": (leave_unread, ""), "the caller raises": (raise_in_the_loop, ""),
    "cancelled": (cancel, "delay=0.02"), "an app's own path": (read_whole, "../mine"),
}  # fmt: skip


@pytest.fixture(scope="module")
def recording_server() -> Iterator[Any]:
    with sdks._RecordingSimulator() as server:
        yield server


async def observe_by_hand(server: Any, library: Library, name: str, mode: Any) -> Any:
    program, options = BY_HAND[name]
    server.reset()
    sdks.RECEIVED.clear()
    url = f"{server.url}/__opt/{options}/v1" if options and ".." not in options else f"{server.base_url}{options[2:]}"
    with mode:
        seen = await caught(program(library, url))
    server.bill(settle_s=5)
    return normal(seen), normal(sdks.RECEIVED)


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda library: library.name)
@pytest.mark.parametrize("name", BY_HAND)
async def test_f01_over_a_library_by_hand_nothing_is_noticed(recording_server, library, name):
    """Request bytes, types, pieces, exceptions with causes, cancellation: in every mode as bare."""
    bare = await observe_by_hand(recording_server, library, name, contextlib.nullcontext())
    seen = {
        mode: await observe_by_hand(recording_server, library, name, opened(recording_server.url))
        for mode, opened in MODES.items()
    }

    assert seen == dict.fromkeys(MODES, bare)
    assert "POST" in bare[1]


@pytest.mark.parametrize("internal", OWN, ids=lambda i: f"{i[0].__name__}.{i[1]}")
@pytest.mark.parametrize("library", LIBRARIES[:2], ids=lambda library: library.name)
async def test_f02_a_bug_of_a_transport_is_the_callers_never(recording_server, library, internal):
    """One function at a time raises."""
    for name in ("pieces", "429"):
        bare = await observe_by_hand(recording_server, library, name, contextlib.nullcontext())
        assert await observe_by_hand(recording_server, library, name, sdks._broken(internal)) == bare


# google-genai.


async def create(client: Any) -> Any:
    found = await result(client.models.generate_content(model=google.MODEL, contents="Which rose?"))
    return kind(found), found.text, repr(found)


async def stream(client: Any) -> Any:
    found = await result(client.models.generate_content_stream(model=google.MODEL, contents="Which rose?"))
    return [repr(piece) async for piece in each(found)]


async def left(client: Any) -> Any:
    found = await result(client.models.generate_content_stream(model=google.MODEL, contents="Which rose?"))
    async for piece in each(found):
        await result(found.aclose() if hasattr(found, "aclose") else found.close())
        return repr(piece)
    return None


async def embed(client: Any) -> Any:
    found = await result(client.models.embed_content(model="gemini-embedding-001", contents="a rose"))
    return repr(found)


async def count(client: Any) -> Any:
    return repr(await result(client.models.count_tokens(model=google.MODEL, contents="a rose")))


async def cancelled(client: Any) -> Any:
    if inspect.isgeneratorfunction(client.models.generate_content_stream):
        return await left(client)
    is_open = asyncio.Event()

    async def read() -> None:
        async for _ in await client.models.generate_content_stream(model=google.MODEL, contents="Which rose?"):
            is_open.set()

    task = asyncio.create_task(read())
    await is_open.wait()
    task.cancel()
    return await caught(task), task.cancelled()


EVENTS = google.events(google.answer())
BY_SDK: dict[str, tuple[Callable[[Any], Awaitable[Any]], Reply]] = {
    "create": (create, Reply(body=google.answer())),
    "stream": (stream, Reply(events=tuple(EVENTS))),
    "left": (left, Reply(events=(*EVENTS[:1], google.HOLD))),
    "cut": (stream, Reply(events=(*EVENTS[:1], google.CUT))),
    "cancelled": (cancelled, Reply(events=(*EVENTS[:1], google.HOLD))),
    "400": (create, google.failure(400, "INVALID_ARGUMENT")),
    "429 for a stream": (stream, google.failure(429)),
    "an error in the stream": (stream, Reply(events=({"error": {"code": 503, "status": "UNAVAILABLE", "message": "no"}},))),
    "embed": (embed, Reply(body={"embeddings": [{"values": [0.1]}]})),
    "count tokens": (count, Reply(body={"totalTokens": 3})),
}  # fmt: skip


def observe_sdk(way: str, name: str, mode: Callable[[str], Any]) -> Any:
    program, reply = BY_SDK[name]
    fake = google.FakeGoogle()
    fake.will(reply)

    async def whole() -> Any:
        options: dict[str, Any] = {"base_url": fake.url}
        if way == "httpx" and IS_3:
            import httpx2

            options["async_client_args"] = {"transport": httpx2.AsyncHTTPTransport()}
        client = genai.Client(api_key="sim-roses", http_options=options)
        try:
            return await caught(program(client if way == "sync" else client.aio))
        finally:
            if hasattr(client, "close"):
                client.close()
                await client.aio.aclose()

    try:
        with mode(fake.url):
            seen = asyncio.run(whole())
    finally:
        fake.close()
    return normal(seen), normal(fake.asked)


@pytest.mark.parametrize("way", ["sync", "httpx", *(["aiohttp"] if IS_3 else [])])
@pytest.mark.parametrize("name", BY_SDK)
def test_f01_over_google_genai_nothing_is_noticed(way, name):
    """Request bytes, types, events, exceptions with causes, cancellation: in every mode as bare."""
    bare = observe_sdk(way, name, lambda _: contextlib.nullcontext())
    seen = {mode: observe_sdk(way, name, opened) for mode, opened in MODES.items()}

    assert seen == dict.fromkeys(MODES, bare)
    assert "POST" in bare[1]
