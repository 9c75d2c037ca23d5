"""Websocket connections of both colours under one interface, and what the installed SDK has of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from token_meter.simulator import Simulator
from token_meter.transports.websockets import MODULES

ENDS = ("response.done", "response.completed", "response.incomplete", "response.failed", "error")


def _modules() -> list[Any]:
    found = []
    for name in MODULES:
        try:
            found.append(import_module(name))
        except ImportError:  # another version of the SDK
            continue
    return found


def _classes(ending: str) -> list[Any]:
    return [
        cls
        for module in _modules()
        for name, cls in vars(module).items()
        if isinstance(cls, type) and cls.__module__ == module.__name__ and name.endswith(ending)
    ]


CLASSES = _classes("Connection")
MANAGERS = _classes("ConnectionManager")
NAMES = {f"{cls.__module__.removeprefix('openai.resources.')}.{cls.__name__}": cls for cls in CLASSES}
APIS = [name for name, path in (("responses", "responses.responses"), ("realtime", "realtime.realtime"))
        if f"{path}.ResponsesConnection" in NAMES or f"{path}.RealtimeConnection" in NAMES] or ["realtime"]  # fmt: skip


class Talk:
    """A connection of either colour; every method is awaited."""

    def __init__(self, connection: Any, api: str, *, is_async: bool) -> None:
        self.connection = connection
        self.api = api
        self._is_async = is_async

    async def do(self, method: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the connection, or of one of its resources."""
        result = method(*args, **kwargs)
        return await result if self._is_async else result

    async def ask(self, text: str = "Which rose is the pinkest?", **more: Any) -> None:
        """Send what asks for one response."""
        if self.api == "responses":
            await self.do(
                self.connection.send, {"type": "response.create", "model": "gpt-4o-mini", "input": text, **more}
            )
            return
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        await self.do(self.connection.send, {"type": "conversation.item.create", "item": item})
        await self.do(self.connection.send, {"type": "response.create", **more})

    async def event(self) -> Any:
        """The next event."""
        return await self.do(self.connection.recv)

    async def until(self, *kinds: str) -> list[Any]:
        """Events up to one of *kinds*, by default up to the end of a response."""
        events = [await self.event()]
        while events[-1].type not in (kinds or ENDS):
            events.append(await self.event())
        return events

    async def answer(self, text: str = "Which rose is the pinkest?", **more: Any) -> list[Any]:
        """Ask, and read the whole response."""
        await self.ask(text, **more)
        return await self.until()


@asynccontextmanager
async def connected(
    sim: Simulator,
    api: str,
    colour: str,
    *,
    of: Callable[[Any], Any] = lambda client: client,
    queued: Iterable[Any] = (),
    **options: Any,
) -> AsyncIterator[Talk]:
    """A connection to *sim*, closed at the end; of what *of* makes of a client, with messages *queued* for it."""
    url = sim.base_url_with(**options) if options else sim.base_url
    # The first versions always ask for an encrypted connection, unless told where to go.
    make = sim.async_client if colour == "async" else sim.client
    client: Any = make(base_url=url, websocket_base_url=url.replace("http", "ws", 1))
    client = of(client)
    resource = client.responses if api == "responses" else getattr(client, "realtime", None) or client.beta.realtime
    manager = resource.connect(**({} if api == "responses" else {"model": "gpt-realtime"}))
    for message in queued:
        manager.send(message)
    if colour == "async":
        async with client, manager as connection:
            yield Talk(connection, api, is_async=True)
    else:
        with client, manager as connection:
            yield Talk(connection, api, is_async=False)
