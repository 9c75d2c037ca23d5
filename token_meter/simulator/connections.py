"""Serves websocket connections, and the Responses API on them: each lane (`stream_id`) in order."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.parse import parse_qs

from token_meter.simulator.realtime import Realtime
from token_meter.simulator.reply import RefusedError
from token_meter.simulator.responses import create_response
from token_meter.simulator.sending import Message, Receive, Send
from token_meter.simulator.sockets import CutError, Socket

_log = logging.getLogger("token_meter.simulator")
SOCKETS = ("/responses", "/realtime")
"""Suffixes of the paths that are served."""


async def serve_socket(scope: Message, receive: Receive, send: Send, socket: Socket, path: str) -> None:
    """Serve one connection until its client leaves or its options cut it."""
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    query = parse_qs(scope["query_string"].decode("latin-1"))
    headers = dict(scope["headers"])
    kind = Realtime if path.endswith("/realtime") else _Responses
    session = kind(socket, query.get("model", [""])[0], is_beta=b"realtime" in headers.get(b"openai-beta", b""))
    tasks: set[asyncio.Task[None]] = set()
    over = asyncio.Event()

    async def hear(event: dict[str, Any]) -> None:
        try:
            await session.heard(event)
        except CutError:
            over.set()
        except Exception:  # noqa: BLE001  a bug of ours must not look like a silent provider
            _log.exception("the simulator failed on a websocket of %s", path)
            over.set()

    async def listen() -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            tasks.add(asyncio.create_task(hear(json.loads(message.get("text") or message.get("bytes") or "{}"))))
            await asyncio.sleep(0)  # the first await of what was heard is its place in the queue
        over.set()

    try:
        await session.greet()
        listening = asyncio.create_task(listen())
        tasks.add(listening)
        await over.wait()
        if not listening.done():
            await send({"type": "websocket.close", "code": 1011})
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Responses:
    def __init__(self, socket: Socket, model: str, *, is_beta: bool) -> None:
        self._socket = socket
        self._lanes: dict[str | None, asyncio.Lock] = {}

    async def greet(self) -> None:
        """Send nothing before the first request."""

    async def heard(self, event: dict[str, Any]) -> None:
        socket = self._socket
        lane = event.pop("stream_id", None)
        async with self._lanes.setdefault(lane, asyncio.Lock()):
            socket.books.ask(socket.key)
            try:
                if event.pop("type", None) != "response.create":
                    msg = "Unknown event type: expected 'response.create'."
                    raise RefusedError(msg)
                world = socket.world
                body = {**event, "stream": True}
                reply = create_response(body, socket.options, socket.key, world.cache, world.archive, None)
            except RefusedError as exc:
                await socket.refuse(exc, lane)
                return
            await socket.answer(reply, lane)
