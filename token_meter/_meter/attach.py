"""Handlers outside of a meter: those of a client, and those of a block of requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from token_meter.context.registry import CLIENTS
from token_meter.context.stack import CALLBACKS, push, remove
from token_meter.context.subscriber import subscribers
from token_meter.events.dispatcher import dispatch_late
from token_meter.exceptions import ConfigError
from token_meter.providers import PROVIDERS
from token_meter.runtime.hub import HUB

if TYPE_CHECKING:
    from types import TracebackType

C = TypeVar("C")


def attach(client: C, *, handlers: Iterable[Any]) -> C:
    """Call *handlers* with the events of every call of *client* and its copies.

    *client* is any client of an SDK, or an httpx client. Works with and without an open meter. A second `attach` adds
    handlers; `detach` removes them.

    Returns:
        The same client.

    Raises:
        ConfigError: *client* is not a client, or one of *handlers* is not a handler.
    """
    parts = () if isinstance(client, type) else _parts_of(client)
    if not parts:
        msg = f"attach() takes a client of an SDK or of httpx; this is {_described(client)}"
        raise ConfigError(msg)
    found = subscribers(handlers)
    for part in parts:
        if CLIENTS.put(part, found) and _is_sdk_client(part):
            HUB.watch_copies(type(part))
    return client


def detach(client: C, *, handlers: Iterable[Any] | None = None) -> C:
    """Remove *handlers*, or all, from *client*. Copies made before keep theirs.

    Detaching a handler that is not attached does nothing.
    """
    off = None if handlers is None else subscribers(handlers)
    for part in _parts_of(client) or (client,):
        CLIENTS.remove(part, off)
    return client


class Callbacks:
    """Calls handlers for the requests of a block: `with callbacks(handler):`. Only meters count, not this block.

    Args:
        handlers: objects with methods such as `on_llm_end`, or functions that take the call.

    Raises:
        ConfigError: one of *handlers* is not a handler.
    """

    kind = CALLBACKS

    def __init__(self, *handlers: Any) -> None:
        self.subscribers = subscribers(handlers)
        self._depth = 0

    @property
    def is_open(self) -> bool:
        """Whether the block is still open."""
        return self._depth > 0

    def __enter__(self) -> Callbacks:
        self._depth += 1
        HUB.acquire()
        push(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self)
        if self._depth:
            self._depth -= 1
            HUB.release()
        dispatch_late()

    async def __aenter__(self) -> Callbacks:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _parts_of(client: Any) -> tuple[Any, ...]:
    """What *client* sends by, mostly itself; nothing for what is no client."""
    if _is_sdk_client(client) or _is_http_client(client):
        return (client,)
    readers = (provider.parts_of for provider in PROVIDERS.providers.values() if provider.parts_of is not None)
    return next((parts for read in readers if (parts := read(client))), ())


def _is_sdk_client(client: Any) -> bool:
    return all(callable(getattr(client, name, None)) for name in ("request", "copy", "with_options"))


def _is_http_client(client: Any) -> bool:
    return all(callable(getattr(client, name, None)) for name in ("send", "build_request"))


def _described(thing: Any) -> str:
    """Describe a wrong argument, with a hint at the likely mistake."""
    if isinstance(thing, type):
        return f"the class {thing.__name__}, not an instance"
    name = type(thing).__name__
    for inner in ("root_client", "_client"):
        if _is_sdk_client(getattr(thing, inner, None)):
            return f"{name}; its client is its attribute {inner}"
    return name
