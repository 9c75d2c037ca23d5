"""HTTP libraries used by hand: each sends a chat to the simulator, and reads its answer in its own ways."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import aiohttp
import httpx
import httpx2
import requests

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which rose is the pinkest?"}]}
STREAM: dict[str, Any] = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
HEADERS = {"authorization": "Bearer sim-test", "x-rose": "pink"}

Reading = Callable[[Any], AsyncIterator[bytes]]


class Library(NamedTuple):
    """One library, or one colour of it.

    Attributes:
        name: its name in the ids of tests.
        opened: sends a chat to a URL with these options, and gives the answer, which is closed in the end.
        status: the status of an answer.
        whole: reads an answer at once.
        readings: the ways to read an answer piece by piece.
    """

    name: str
    opened: Callable[..., Any]
    status: Callable[[Any], int]
    whole: Callable[[Any], Awaitable[bytes]]
    readings: dict[str, Reading]


async def _each(found: Any) -> AsyncIterator[bytes]:
    for piece in found:
        yield piece.encode() if isinstance(piece, str) else piece


async def _aeach(found: Any) -> AsyncIterator[bytes]:
    async for piece in found:
        data = piece[0] if isinstance(piece, tuple) else piece
        yield data.encode() if isinstance(data, str) else data


# aiohttp


@contextlib.asynccontextmanager
async def _over_aiohttp(url: str, body: Any, **options: Any) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession(headers={"x-rose": "pink"}) as session:
        headers = {"authorization": HEADERS["authorization"]}
        async with session.post(
            f"{url}/chat/completions?key=sim-query", json=body, headers=headers, **options
        ) as found:
            yield found


async def _until_empty(read: Callable[[], Awaitable[Any]]) -> AsyncIterator[bytes]:
    while piece := await read():
        if piece == (b"", False):
            return
        yield piece[0] if isinstance(piece, tuple) else piece


async def _aiohttp_whole(found: Any) -> bytes:
    await found.json(content_type=None)
    return bytes(await found.read())


async def _nowait(found: Any) -> AsyncIterator[bytes]:
    while not found.content.at_eof():
        yield await found.content.read(1)
        yield found.content.read_nowait()


AIOHTTP: dict[str, Reading] = {
    "lines": lambda found: _aeach(found.content),
    "any": lambda found: _aeach(found.content.iter_any()),
    "chunked": lambda found: _aeach(found.content.iter_chunked(7)),
    "chunks": lambda found: _aeach(found.content.iter_chunks()),
    "read": lambda found: _until_empty(lambda: found.content.read(100)),
    "readline": lambda found: _until_empty(found.content.readline),
    "readany": lambda found: _until_empty(found.content.readany),
    "readchunk": lambda found: _until_empty(found.content.readchunk),
    "nowait": _nowait,
}

# requests


@contextlib.asynccontextmanager
async def _over_requests(url: str, body: Any, **options: Any) -> AsyncIterator[Any]:
    with requests.Session() as session:
        address = f"{url}/chat/completions?key=sim-query"
        with session.post(address, json=body, headers=HEADERS, stream=True, timeout=30, **options) as found:
            yield found


async def _requests_whole(found: Any) -> bytes:
    found.json()
    return bytes(found.content)


REQUESTS: dict[str, Reading] = {
    "pieces": lambda found: _each(found.iter_content(7)),
    "as they come": lambda found: _each(found.iter_content(None)),
    "text": lambda found: _each(found.iter_content(64, decode_unicode=True)),
    "lines": lambda found: _each(line + b"\n" for line in found.iter_lines()),
    "itself": lambda found: _each(found),
}

# httpx and httpx2


def _over_httpx(module: Any) -> Callable[..., Any]:
    @contextlib.asynccontextmanager
    async def opened(url: str, body: Any, **options: Any) -> AsyncIterator[Any]:
        address = f"{url}/chat/completions?key=sim-query"
        with (
            module.Client(verify=False, follow_redirects=True, timeout=30) as client,
            client.stream("POST", address, json=body, headers=HEADERS, **options) as found,
        ):
            yield found

    return opened


def _over_async_httpx(module: Any) -> Callable[..., Any]:
    @contextlib.asynccontextmanager
    async def opened(url: str, body: Any, **options: Any) -> AsyncIterator[Any]:
        address = f"{url}/chat/completions?key=sim-query"
        async with (
            module.AsyncClient(verify=False, follow_redirects=True, timeout=30) as client,
            client.stream("POST", address, json=body, headers=HEADERS, **options) as found,
        ):
            yield found

    return opened


async def _httpx_whole(found: Any) -> bytes:
    return bytes(found.read())


async def _async_httpx_whole(found: Any) -> bytes:
    return bytes(await found.aread())


HTTPX: dict[str, Reading] = {
    "bytes": lambda found: _each(found.iter_bytes()),
    "lines": lambda found: _each(f"{line}\n" for line in found.iter_lines()),
}
ASYNC_HTTPX: dict[str, Reading] = {"bytes": lambda found: _aeach(found.aiter_bytes())}


LIBRARIES = (
    Library("aiohttp", _over_aiohttp, lambda found: int(found.status), _aiohttp_whole, AIOHTTP),
    Library("requests", _over_requests, lambda found: int(found.status_code), _requests_whole, REQUESTS),
    Library("httpx", _over_httpx(httpx), lambda found: int(found.status_code), _httpx_whole, HTTPX),
    Library("httpx-async", _over_async_httpx(httpx), lambda found: int(found.status_code), _async_httpx_whole, ASYNC_HTTPX),
    Library("httpx2", _over_httpx(httpx2), lambda found: int(found.status_code), _httpx_whole, HTTPX),
    Library("httpx2-async", _over_async_httpx(httpx2), lambda found: int(found.status_code), _async_httpx_whole, ASYNC_HTTPX),
)  # fmt: skip
WAYS = [(library, way) for library in LIBRARIES for way in library.readings]


def texts_in(pieces: Iterable[bytes]) -> str:
    """The text in the events that some pieces hold."""
    lines = b"".join(pieces).replace(b"\r", b"\n").split(b"\n")
    events = [line[6:] for line in lines if line.startswith(b"data: {")]
    chosen = [choice for event in events for choice in json.loads(event)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in chosen)


async def ticks() -> None:
    """Let the loop run, so that a socket hangs up."""
    for _ in range(3):
        await asyncio.sleep(0)
