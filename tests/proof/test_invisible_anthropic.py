"""Nobody can tell from the outside whether a meter is open, over Anthropic's clients: of its own, of aiohttp, of a cloud."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.contract.shapes import kind
from tests.proof import test_invisible as sdks
from tests.proof.test_invisible_transports import OWN, caught, normal
from tests.providers import anthropic_fake as server
from tests.providers import rows_anthropic as rows
from tests.providers.anthropic_fake import CUT, HOLD, Reply, failure
from token_meter import meter
from token_meter.prices import PriceBook

pytest.importorskip("anthropic")
pytestmark = [
    pytest.mark.usefixtures("without_certificates"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PLACES: dict[str, Any] = {"httpx": rows.place, "aiohttp": rows.place_of_aiohttp, "Bedrock": rows.BEDROCK}


def full(url: str) -> Any:
    book = PriceBook(hosts={url: "anthropic"})
    handlers = [sdks._Everything()]
    return meter(handlers=handlers, max_cost="1000", on_unpriced="ignore", prices=book, keep_calls=True)


MODES: dict[str, Callable[[str], Any]] = {
    "meter": lambda _: meter(on_unpriced="ignore"),
    "handlers and budget": full,
    "every internal function raises": lambda _: sdks._broken(*sdks.INTERNALS, *OWN),
}


async def create(client: Any) -> Any:
    found = await client.messages.create(**rows.ASK)
    return kind(found), repr(found)


async def stream(client: Any) -> Any:
    found = await client.messages.create(**rows.ASK, stream=True)
    return kind(found), [repr(event) async for event in found]


async def left(client: Any) -> Any:
    found = await client.messages.create(**rows.ASK, stream=True)
    async for event in found:
        await found.close()
        return repr(event)
    return None


async def cancelled(client: Any) -> Any:
    is_open = asyncio.Event()

    async def read() -> None:
        async for _ in await client.messages.create(**rows.ASK, stream=True):
            is_open.set()

    task = asyncio.create_task(read())
    await is_open.wait()
    task.cancel()
    return await caught(task), task.cancelled()


EVENTS = server.events(rows.SAID)
PROGRAMS: dict[str, tuple[Callable[[Any], Awaitable[Any]], tuple[Reply, ...]]] = {
    "create": (create, (Reply(body=rows.SAID),)),
    "stream": (stream, (Reply(events=tuple(EVENTS)),)),
    "left": (left, (Reply(events=(*EVENTS[:4], HOLD)),)),
    "cut": (stream, (Reply(events=(*EVENTS[:4], CUT)),)),
    "cancelled": (cancelled, (Reply(events=(*EVENTS[:4], HOLD)),)),
    "400": (create, (failure(400, "invalid_request_error"),)),
    "529, then an answer": (create, (failure(529, "overloaded_error"), Reply(body=rows.SAID))),
}


def observe(place: str, name: str, mode: Callable[[str], Any]) -> Any:
    program, replies = PROGRAMS[name]

    async def whole(fake: Any) -> Any:
        async with rows.client(fake) as client:
            return await caught(program(client))

    with PLACES[place]() as fake:
        fake.will(*replies)
        with mode(fake.url):
            seen = asyncio.run(whole(fake))
        return normal(seen), [unsigned(asked) for asked in fake.asked]


def unsigned(asked: Any) -> Any:
    """A request without what differs from one to the next: time, signature, port."""
    headers = {name: re.sub(r"Signature=\w+|\d{8}/", "…", value) for name, value in asked.headers.items()}
    for name in ("x-amz-date", "host", "idempotency-key"):
        headers.pop(name, None)
    return asked.method, asked.path, headers, asked.body


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_f01_over_anthropics_clients_nothing_is_noticed(place, name):
    """Requests, types, events, exceptions with causes, cancellation: in every mode as bare."""
    bare = observe(place, name, lambda _: contextlib.nullcontext())
    seen = {mode: observe(place, name, opened) for mode, opened in MODES.items()}

    assert seen == dict.fromkeys(MODES, bare)
    assert bare[1]
