"""One websocket for the APIs on it: sends events, and enters each answer in the bill."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from token_meter.simulator.bill import Books
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.routes import World
from token_meter.simulator.sending import Send
from token_meter.simulator.sse import dump


class CutError(Exception):
    """The options ask for the connection to be closed."""


class Socket:
    """One accepted connection."""

    def __init__(
        self, send: Send, books: Books, world: World, begin: Callable[[Reply], int | None], key: str, options: Options
    ) -> None:
        self._send = send
        self._begin = begin
        self.books = books
        self.world = world
        self.key = key
        self.options = options

    async def tell(self, data: dict[str, Any], lane: str | None = None) -> None:
        """Send one event."""
        await self._send({"type": "websocket.send", "text": dump(data if lane is None else data | {"stream_id": lane})})

    async def refuse(self, error: RefusedError, lane: str | None, event_id: Any = None) -> None:
        """Send an error event."""
        self.books.refuse(self.key)
        body = error.body()["error"] | ({"event_id": event_id} if event_id is not None else {})
        await self.tell({"type": "error", "status": error.status, "error": body}, lane)

    async def answer(self, reply: Reply, lane: str | None = None) -> None:
        """Send the events of *reply*, and update its entry in the bill.

        Raises:
            CutError: the options ask for it after that many events.
        """
        assert reply.events is not None
        books, options = self.books, self.options
        number = self._begin(reply)
        assert number is not None
        said, is_complete = "", False
        try:
            await asyncio.sleep(options.latency)
            for position, event in enumerate(reply.events()):
                if position == options.cut:
                    raise CutError
                if position == options.error:
                    failure = {"message": "The simulated server had an error.", "type": "server_error"}
                    await self.tell({"type": "error", "status": 500, "error": failure}, lane)
                    return
                await asyncio.sleep(options.delay)
                assert isinstance(event.data, dict)
                await self.tell(event.data, lane)
                said += event.text
                if event.has_usage:
                    books.change(number, delivered=True)
            is_complete = True
        finally:
            if not is_complete:
                books.change(number, aborted=True)
                if reply.usage_after is not None:
                    books.change(number, usage=reply.usage_after({0: said}))
            books.change(number, is_open=False)
