"""Observes Google's Live API: messages on connections of the library websockets, by which google-genai opens them.

A program that opens such a connection without the SDK is seen in the same way. Other connections of that library pass:
they are told apart once, by their path.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter.transports.ports import Runtime
from token_meter.transports.watched import PLACED
from token_meter.transports.websockets import Line, Url, WebSocketSeam, url_of

_SDK = "google.genai.live"
_METHOD = "BidiGenerateContent"
_OTHERS = "BidiGenerateMusic"
_MARK = "x-goog-api-client"
_PATH = "/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


class LiveSocketSeam(WebSocketSeam):
    """Patches the client connections of websockets 13 and later, and what opens them in google-genai.

    Args:
        connect: makes the `Line` of a connection from its URL and what sends for the client that opened it.
    """

    modules = ("websockets.asyncio.client", "websockets.sync.client", _SDK)

    def __init__(
        self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime, connect: Callable[[Url, Any], Line]
    ) -> None:
        super().__init__(stack, runtime, connect)
        # The first message follows in the same task, and the connection does not refer to its client.
        self._opening: contextvars.ContextVar[Any] = contextvars.ContextVar("token_meter_live", default=None)

    def uninstall(self) -> None:
        super().uninstall()
        PLACED.difference_update(self.modules)

    def _patch_module(self, module: ModuleType) -> None:
        if module.__name__ == _SDK:
            try:
                self._patches.put(module.AsyncLive, "connect", self._connecting)
            except Exception:
                self._runtime.internal_error("install websocket openers")
            return
        cls: Any = getattr(module, "ClientConnection", None)
        is_async = ".asyncio." in module.__name__
        try:
            self._patches.put(cls, "recv", self._areceiving if is_async else self._receiving)
            self._patches.put(cls, "send", self._asending if is_async else self._sending)
            self._patches.put(cls, "close", self._aclosing if is_async else self._closing)
            PLACED.add(module.__name__)
        except Exception:
            self._runtime.internal_error("install websocket")

    @property
    def _is_awake(self) -> bool:
        """Also while the SDK opens a connection: its first message names the model of all calls on it."""
        return super()._is_awake or (self._live and self._opening.get() is not None)

    def _connecting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def connect(live: Any, /, *args: Any, **kwargs: Any) -> Any:
            if self._live:
                self._opening.set(getattr(live, "_api_client", None))
            return original(live, *args, **kwargs)

        return connect

    def _line(self, connection: Any) -> Line | None:
        """The line of *connection*; `None` for one that leads elsewhere, or into this process."""
        try:
            if connection in self._lines:
                return self._lines[connection]
            url = _live_url(connection)
            if url is None:
                line = None
            else:
                line = self._connect(url, self._opening.get())
                self._opening.set(None)
            self._lines[connection] = line
        except Exception:
            self._runtime.internal_error("websocket")
            return None
        return line


def _live_url(connection: Any) -> Url | None:
    """Where a connection of the Live API leads; a gateway's path may say nothing, but then the SDK's header does."""
    protocol = connection.protocol
    if not (hasattr(protocol, "uri") or hasattr(protocol, "wsuri")):  # a server's
        return None
    url = url_of(protocol)
    if _METHOD in url.path:
        return url
    request = getattr(connection, "request", None)
    if request is None or _MARK not in request.headers or _OTHERS in url.path:
        return None
    return url._replace(path=url.path.rstrip("/") + _PATH)
