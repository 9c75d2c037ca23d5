"""What vendors and gateways answer in their own ways reads right: whole and streamed, by a sync and an async client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tests.contract.answers import KINDS, PATH, ROOT, Answer
from token_meter import Meter, meter
from token_meter.prices import PriceBook

MESSAGES = [{"role": "user", "content": "Tell me about the sea."}]
ASKS: dict[str, dict[str, Any]] = {
    "chat": {"messages": MESSAGES},
    "messages": {"messages": MESSAGES, "max_tokens": 99},
    "responses": {"input": "Tell me about the sea."},
    "embeddings": {"input": ["Tell me about the sea."]},
}
ROWS = [pytest.param(row, id=f"{kind}: {row.name}") for kind, rows in KINDS.items() for row in rows]


class Pieces(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """A body that comes piece by piece."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece


def body_of(row: Answer) -> dict[str, Any]:
    """The answer whole."""
    model = row.served or row.model
    if row.api == "chat":
        choices = [{"index": 0, "message": {"role": "assistant", "content": row.text}, "finish_reason": "stop"}]
        head: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "choices": choices}
    elif row.api == "responses":
        said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": row.text}]}
        head = {"id": "r", "object": "response", "created_at": 1, "status": "completed", "output": [said]}
    elif row.api == "messages":
        head = {"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": row.text}]}
    else:
        head = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1]}]}
    return {**head, "model": model, "usage": row.usage, **row.more} if row.api in PATH else row.more


def events_of(row: Answer) -> list[Any]:
    """The same as the events of a stream."""
    body = body_of(row)
    if row.api == "responses":
        return [{"type": "response.created", "response": {**body, "usage": None}}, {"type": "response.completed", "response": body}]  # fmt: skip
    delta = {"index": 0, "delta": {"content": row.text}, "finish_reason": None}
    chunk = {**body, "object": "chat.completion.chunk"}
    return [{**chunk, "choices": [delta], "usage": None}, {**chunk, "choices": []}]


def response_to(row: Answer, *, streamed: bool) -> Any:
    if row.raw:
        kind = "application/json" if row.raw[0].lstrip()[:1] in (b"", b"{", b"\xef") else "text/event-stream"
        return httpx2.Response(200, headers={"content-type": kind}, stream=Pieces(list(row.raw)))
    if not streamed:
        return httpx2.Response(200, json=body_of(row))
    events = [json.dumps(event).encode() for event in row.events or events_of(row)]
    pieces = [b"data: " + event + b"\n\n" for event in (*events, *([b"[DONE]"] if row.api == "chat" else []))]
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(pieces))


def metered(row: Answer, *, streamed: bool, is_async: bool) -> Meter:
    """The meter of a call that *row* answers."""
    url = ROOT[row.at] + PATH.get(row.api, row.api)
    ask = {"model": row.model, **ASKS.get(row.api, {}), **({"stream": True} if streamed else {}), **row.ask}
    prices = PriceBook(web_search=Decimal(row.web_search)) if row.web_search else None

    async def send() -> None:
        async def answer(_: Any) -> Any:
            return response_to(row, streamed=streamed)

        async with httpx2.AsyncClient(transport=httpx2.MockTransport(answer)) as client:
            async with client.stream("POST", url, json=ask) as found:
                await found.aread()

    with meter(prices=prices, on_unpriced="ignore") as cb:
        if is_async:
            asyncio.run(send())
        else:
            transport = httpx2.MockTransport(lambda _: response_to(row, streamed=streamed))
            with httpx2.Client(transport=transport) as client, client.stream("POST", url, json=ask) as found:
                found.read()
    return cb


def is_right(cb: Meter, right: dict[str, Any]) -> bool:
    """Whether the meter has all these numbers."""
    return all(getattr(cb, name) == (Decimal(value) if name == "cost" else value) for name, value in right.items())


@pytest.mark.parametrize("row", ROWS)
def test_f142_what_a_vendor_says_in_its_own_way_is_read_right(row: Answer) -> None:
    """In each way that the answer can come, with the same sums."""
    streams = [True] if row.events else [False, True] if row.api in ("chat", "responses") and not row.raw else [False]
    right = row.right if isinstance(row.right, list) else [row.right]
    for streamed in streams:
        for is_async in (False, True):
            cb = metered(row, streamed=streamed, is_async=is_async)
            if not any(is_right(cb, numbers) for numbers in right):
                way = f"{'async' if is_async else 'sync'}, {'streamed' if streamed else 'whole'}"
                pytest.fail(f"{way}: {right}, but {cb.to_dict()}", pytrace=False)
