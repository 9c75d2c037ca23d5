"""The places to attach handlers besides the meter: a client, and a block of requests. It knows no SDK by name.

Clients are keyed weakly, and nothing is put on them. A client that dies takes its attachment along, unless one of its
handlers holds it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from token_meter.context.stack import CALLBACKS, push, remove
from token_meter.exceptions import ConfigError

if TYPE_CHECKING:
    from types import TracebackType

    from token_meter.events.subscriber import Subscriber
    from token_meter.runtime.hub import Hub

C = TypeVar("C")

ATTACHED: weakref.WeakKeyDictionary[Any, tuple[Subscriber, ...]] = weakref.WeakKeyDictionary()
_lock = threading.RLock()
_ends: dict[int, weakref.finalize[..., Any]] = {}


def attach(client: C, *, handlers: Iterable[Any]) -> C:
    """Tell *handlers* of every call of *client*, an OpenAI client of any kind or an httpx client, and of its copies.

    Works with and without an open meter. Attaching again adds handlers; `detach` takes them off.

    Returns:
        The same client.

    Raises:
        ConfigError: *client* is no client, or one of *handlers* no handler.
    """
    from token_meter.events.subscriber import subscribers

    if isinstance(client, type) or not (_is_sdk_client(client) or _is_http_client(client)):
        msg = f"attach() takes an OpenAI or httpx client; this is {_described(client)}"
        raise ConfigError(msg)
    _put(client, subscribers(handlers))
    return client


def detach(client: C, *, handlers: Iterable[Any] | None = None) -> C:
    """Take *handlers*, or all, off *client*; copies made before keep theirs. Never attached ones are no error."""
    from token_meter.events.subscriber import subscribers

    with _lock:
        had = ATTACHED.get(client, ())
        off = {subscriber.key for subscriber in (had if handlers is None else subscribers(handlers))}
        left = tuple(subscriber for subscriber in had if subscriber.key not in off)
        if left:
            ATTACHED[client] = left
        elif had:
            del ATTACHED[client]
            end = _ends.pop(id(client), None)
            if end is not None:
                end()
    return client


def inherit(client: Any, twin: Any) -> None:
    """Give a copy what is attached to its original."""
    found = ATTACHED.get(client, ())
    if found and twin is not client:
        _put(twin, found)


def attached_to(*clients: Any) -> tuple[Subscriber, ...]:
    """What is attached to any of *clients*."""
    found: tuple[Subscriber, ...] = ()
    for client in clients:
        if client is not None:
            found += ATTACHED.get(client, ())
    return found


class Callbacks:
    """Handlers of the requests of a block: `with callbacks(handler):`. Nothing is counted; meters around it count.

    Args:
        handlers: objects with methods such as `on_llm_end`, or functions that take the call.

    Raises:
        ConfigError: one of *handlers* is no handler.
    """

    kind = CALLBACKS

    def __init__(self, *handlers: Any) -> None:
        from token_meter.events.subscriber import subscribers

        self.subscribers = subscribers(handlers)
        self._depth = 0

    @property
    def is_open(self) -> bool:
        """Whether a request that departs now still belongs to the block."""
        return self._depth > 0

    def __enter__(self) -> Callbacks:
        self._depth += 1
        _hub().listen()
        push(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove(self)
        if self._depth:
            self._depth -= 1
            _hub().release()
        _hub().dispatch_late()

    async def __aenter__(self) -> Callbacks:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)


def _put(client: Any, found: tuple[Subscriber, ...]) -> None:
    from token_meter.events.subscriber import unique

    with _lock:
        had = ATTACHED.get(client, ())
        both = unique((*had, *found))
        if not both:
            return
        ATTACHED[client] = both
        if not had:
            hub = _hub()
            hub.listen()
            if _is_sdk_client(client):
                hub.watch_copies(type(client))
            end = weakref.finalize(client, _gone, id(client))
            end.atexit = False
            _ends[id(client)] = end


def _gone(key: int) -> None:
    """The client died, or nothing is attached to it any more."""
    _ends.pop(key, None)
    _hub().release()


def _hub() -> Hub:
    from token_meter.runtime.hub import HUB

    return HUB


def _is_sdk_client(client: Any) -> bool:
    return all(callable(getattr(client, name, None)) for name in ("request", "copy", "with_options"))


def _is_http_client(client: Any) -> bool:
    return all(callable(getattr(client, name, None)) for name in ("send", "build_request"))


def _described(thing: Any) -> str:
    """What was given instead, with a guess at the slip."""
    if isinstance(thing, type):
        return f"the class {thing.__name__}, not an instance"
    name = type(thing).__name__
    for inner in ("root_client", "_client"):
        if _is_sdk_client(getattr(thing, inner, None)):
            return f"{name}; its client is its attribute {inner}"
    return name
