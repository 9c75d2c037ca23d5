"""Which handlers are attached to which client.

Clients are held by weak references, and no attribute is set on them. When a client is collected, its handlers are
detached. A handler that refers to its client keeps both alive.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

from token_meter.context.subscriber import Subscriber, unique


def _nothing() -> None:
    """Do nothing, until the runtime is loaded and sets the real functions."""


class ClientRegistry:
    """The handlers of clients.

    Attributes:
        acquire: called when a client gets its first handler.
        release: called when a client has lost its last handler, or is collected.
    """

    def __init__(self) -> None:
        self.acquire: Callable[[], None] = _nothing
        self.release: Callable[[], None] = _nothing
        self._attached: weakref.WeakKeyDictionary[Any, tuple[Subscriber, ...]] = weakref.WeakKeyDictionary()
        self._ends: dict[int, weakref.finalize[..., Any]] = {}
        self._lock = threading.RLock()

    def __bool__(self) -> bool:
        return bool(self._ends)  # one for each client, and a plain dictionary: every call asks

    def __contains__(self, client: object) -> bool:
        return client in self._attached

    def put(self, client: Any, found: tuple[Subscriber, ...]) -> bool:
        """Add handlers to *client*; return whether it had none before."""
        with self._lock:
            had = self._attached.get(client, ())
            both = unique((*had, *found))
            if not both:
                return False
            self._attached[client] = both
            if had:
                return False
            self.acquire()
            end = weakref.finalize(client, self._gone, id(client))
            end.atexit = False
            self._ends[id(client)] = end
            return True

    def remove(self, client: Any, off: tuple[Subscriber, ...] | None) -> None:
        """Detach handlers, or all, from *client*; a handler that is not attached is ignored."""
        with self._lock:
            had = self._attached.get(client, ())
            keys = {subscriber.key for subscriber in (had if off is None else off)}
            left = tuple(subscriber for subscriber in had if subscriber.key not in keys)
            if left:
                self._attached[client] = left
            elif had:
                del self._attached[client]
                end = self._ends.pop(id(client), None)
                if end is not None:
                    end()

    def inherit(self, client: Any, twin: Any) -> None:
        """Attach the handlers of *client* to its copy *twin*."""
        found = self._attached.get(client, ())
        if found and twin is not client:
            self.put(twin, found)

    def attached_to(self, *clients: Any) -> tuple[Subscriber, ...]:
        """The handlers that are attached to any of *clients*."""
        found: tuple[Subscriber, ...] = ()
        for client in clients:
            if client is not None:
                found += self._attached.get(client, ())
        return found

    def _gone(self, key: int) -> None:
        """Note that a client was collected, or lost its last handler."""
        self._ends.pop(key, None)
        self.release()


CLIENTS = ClientRegistry()
