"""Sends a `Reply` by the options of its request, and detects when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from token_meter.simulator.bill import Books
from token_meter.simulator.options import Options
from token_meter.simulator.reply import Reply
from token_meter.simulator.sse import DONE, Event, Packer, dump, frame, rechunk
from token_meter.simulator.usages import chat_usage

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_AFTER_DONE_S = 0.05
_PIECE_BYTES = 1024
_PIECES_A_TURN = 4


class LeftError(Exception):
    """The client has left."""


class DiedError(Exception):
    """The options ask for the socket to be closed now."""


class Line:
    """The server's side of the socket for one request."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._watch: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Start to detect that the client leaves. The request body must have been read."""
        self._watch = asyncio.create_task(self._until_left())

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def close(self) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch

    async def pause(self, seconds: float) -> None:
        """Wait, unless the client leaves."""
        assert self._watch is not None
        # Also for 0 seconds: the loop must run once to detect that the client has left.
        await asyncio.wait([self._watch], timeout=seconds) if seconds else await asyncio.sleep(0)
        if self._watch.done():
            raise LeftError

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the status and the headers."""
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": raw})

    async def push(self, data: bytes) -> None:
        """Send a piece of the body."""
        if data:
            await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """End the body."""
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, data: bytes, headers: Iterable[tuple[str, str]]) -> None:
        """Send a whole answer."""
        await self.start(status, [("content-length", str(len(data))), *headers])
        await self.push(data)
        await self.end()


async def send_json(line: Line, status: int, data: Any, headers: Iterable[tuple[str, str]] = ()) -> None:
    """Send a JSON answer without options."""
    await line.whole(status, dump(data).encode(), [("content-type", "application/json"), *headers])


async def send_reply(line: Line, reply: Reply, options: Options, books: Books, number: int | None) -> None:
    """Send *reply*, and update its entry (*number*) in the bill.

    Raises:
        DiedError: the options ask for the socket to be closed.
    """
    as_stream = reply.streamed if options.body is None else options.body == "sse"
    if reply.events is None or reply.json is None:
        as_stream = reply.events is not None
    if reply.delivers is not None and reply.amends is not None:
        books.change(reply.delivers, **reply.amends)
    sender = _Sender(line, reply, options, books, number)
    try:
        await line.pause(options.latency)
        if reply.binary is not None:
            await sender.binary(*reply.binary)
        elif as_stream:
            await sender.stream()
        else:
            await sender.json()
    except LeftError:
        sender.left(as_stream)
    except DiedError:
        sender.left(as_stream)
        raise
    finally:
        sender.settle()


class _Sender:
    def __init__(self, line: Line, reply: Reply, options: Options, books: Books, number: int | None) -> None:
        self.line = line
        self.reply = reply
        self.options = options
        self.books = books
        self.number = number
        self.packer = Packer(options.compress)
        self.said: dict[int, str] = {}
        self.is_complete = False

    def headers(self, media_type: str) -> list[tuple[str, str]]:
        found = [("content-type", media_type), ("x-request-id", f"req_{self.reply.id}")]
        return [*found, ("content-encoding", self.packer.header)] if self.packer.header else found

    def change(self, **what: Any) -> None:
        number = self.number if self.reply.delivers is None else self.reply.delivers
        if number is not None:
            self.books.change(number, **what)

    def left(self, as_stream: bool) -> None:
        """Note that the client left before the end, so that only generated tokens are billed."""
        if self.is_complete or self.number is None:
            return
        self.books.change(self.number, aborted=True)
        if as_stream and self.reply.usage_after is not None:
            self.books.change(self.number, usage=self.reply.usage_after(self.said))

    def settle(self) -> None:
        if self.number is not None:
            self.books.change(self.number, is_open=False)

    async def binary(self, data: bytes, media_type: str) -> None:
        await self.line.start(200, self.headers(media_type))
        for piece in rechunk(data, self.options.chunk or _PIECE_BYTES):
            await self.line.pause(self.options.delay)
            await self.line.push(self.packer.pack(piece))
        await self._close()

    async def _close(self) -> None:
        self.is_complete = True
        if self.packer.header:
            await self.line.push(self.packer.pack(b"", is_last=True))
        await self.line.end()

    async def json(self) -> None:
        assert self.reply.json is not None
        body = self.reply.json()
        if self.options.huge:
            body = {"padding": "x" * self.options.huge, **body}
        data = self.packer.pack(dump(body).encode(), is_last=True)
        await self.line.start(200, [("content-length", str(len(data))), *self.headers("application/json")])
        if self.options.truncate:
            await self.line.push(data[: len(data) // 2])
            raise DiedError
        if self.options.slow:
            await self.line.push(data[: len(data) // 2])
            await self.line.pause(self.options.slow)
            data = data[len(data) // 2 :]
        for position, piece in enumerate(rechunk(data, self.options.chunk)):
            if position == self.options.cut:
                raise DiedError
            await self.line.pause(self.options.delay)
            await self.line.push(piece)
        self.is_complete = True
        await self.line.end()
        usage = body.get("usage") or body.get("usageMetadata") or (body.get("response") or {}).get("usage")
        if usage is not None:
            self.change(delivered=True)

    async def stream(self) -> None:
        assert self.reply.events is not None
        options = self.options
        events = [e for e in self.reply.events() if options.done or e.data != DONE]
        final = next((i for i, e in enumerate(events) if e.data == DONE), len(events) - 1)
        await self.line.start(200, self.headers("text/event-stream; charset=utf-8"))
        pipe = _Pipe(self.line, self.packer, options.chunk)
        for position, event in enumerate(events):
            if position == options.cut:
                await pipe.flush()
                raise DiedError
            if position == options.error:
                await pipe.push(frame(self._error(event, position), options))
                await pipe.flush(is_last=True)
                await self.line.end()
                return self.left(as_stream=True)
            await self.line.pause(max(options.delay, _AFTER_DONE_S if position > final else 0.0))
            is_last = position + 1 == len(events)
            await pipe.push(frame(event, options, is_first=position == 0, is_last=is_last))
            self.said[event.choice] = self.said.get(event.choice, "") + event.text
            self.is_complete = self.is_complete or position == final
            if event.has_usage:
                self.change(delivered=True)
        await pipe.flush(is_last=True)
        await self.line.end()
        return None

    def _error(self, event: Event, position: int) -> Event:
        error = {"message": "The simulated server had an error.", "type": "server_error", "code": "server_error"}
        data: dict[str, Any] = {"error": error}
        if event.name:
            data |= {"type": "error", **error, "param": None, "sequence_number": position}
        if self.options.error_usage and self.reply.usage_after is not None:
            data["usage"] = chat_usage(self.reply.usage_after(self.said), self.options.usage)
        return Event(data, name="error" if event.name else None)


class _Pipe:
    """Sends pieces of the requested size, across the borders of events."""

    def __init__(self, line: Line, packer: Packer, size: int | None) -> None:
        self._line = line
        self._packer = packer
        self._size = size
        self._held = b""

    async def push(self, data: bytes) -> None:
        await self._send(self._packer.pack(data))

    async def _send(self, data: bytes) -> None:
        data = self._held + data
        if not self._size:
            await self._line.push(data)
            return
        whole = len(data) // self._size * self._size
        for number, piece in enumerate(rechunk(data[:whole], self._size)):
            if number % _PIECES_A_TURN == 0:
                await asyncio.sleep(0)  # detects that the client has left; else asyncio logs each failed write
            await self._line.push(piece)
        self._held = data[whole:]

    async def flush(self, *, is_last: bool = False) -> None:
        if is_last and self._packer.header:
            await self._send(self._packer.pack(b"", is_last=True))
        await self._line.push(self._held)
        self._held = b""
