"""Remembers which client opened a websocket connection.

The SDK's connections do not refer to their client, but the managers that open them do.
"""

from __future__ import annotations

import contextvars
import weakref
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import Runtime
from token_meter.transports.websockets import MODULES


class OpenerSeam(ModuleSeam):
    """Patches `enter` of openai's connection managers."""

    modules = MODULES

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime) -> None:
        super().__init__(stack, runtime)
        self._clients: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()
        # The SDK sends queued messages while the connection is being opened.
        self._opening: contextvars.ContextVar[Any] = contextvars.ContextVar("token_meter_opening", default=None)

    def client_of(self, connection: Any) -> Any | None:
        """The client that opened *connection*; `None` if we did not observe the opening."""
        return self._clients.get(connection, self._opening.get())

    def uninstall(self) -> None:
        """Also forget all connections."""
        super().uninstall()
        self._clients.clear()

    def _patch_module(self, module: ModuleType) -> None:
        for name, cls in list(vars(module).items()):
            if isinstance(cls, type) and cls.__module__ == module.__name__ and name.endswith("ConnectionManager"):
                is_async = "__aenter__" in vars(cls)
                for method in ("__aenter__" if is_async else "__enter__", "enter"):
                    try:
                        self._patches.put(cls, method, self._async if is_async else self._sync)
                    except Exception:
                        self._runtime.internal_error("install websocket openers")

    def _sync(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def enter(manager: Any, /, *args: Any, **kwargs: Any) -> Any:
            client = self._begin(manager)
            try:
                connection = original(manager, *args, **kwargs)
            finally:
                self._end(client)
            self._remember(connection, client)
            return connection

        return enter

    def _async(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def enter(manager: Any, /, *args: Any, **kwargs: Any) -> Any:
            client = self._begin(manager)
            try:
                connection = await original(manager, *args, **kwargs)
            finally:
                self._end(client)
            self._remember(connection, client)
            return connection

        return enter

    def _begin(self, manager: Any) -> Any | None:
        client = _client_of(manager) if self._live else None
        if client is not None:
            self._opening.set(client)
        return client

    def _end(self, client: Any | None) -> None:
        # A coroutine that the collector closes ends in another context, which must not be changed.
        if client is not None and self._opening.get() is client:
            self._opening.set(None)

    def _remember(self, connection: Any, client: Any | None) -> None:
        if client is not None:
            try:
                self._clients[connection] = client
            except Exception:
                self._runtime.internal_error("websocket opener")


def _client_of(manager: Any) -> Any | None:
    """The client in the private attribute of *manager*."""
    held = getattr(manager, "__dict__", {})
    names = (f"_{cls.__name__.lstrip('_')}__client" for cls in type(manager).__mro__)
    return next((held[name] for name in names if name in held), None)
