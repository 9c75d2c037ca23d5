"""Observes the messages of websocket connections: `recv_bytes`, sending and `close` of the SDK's connection classes.

This module does not parse messages. A `Line` (`ports.py`) decides what one means and which call it belongs to.
"""

from __future__ import annotations

import contextvars
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable
from functools import wraps
from types import ModuleType
from typing import Any, NamedTuple, Protocol

from token_meter.exceptions import BlindSpotWarning
from token_meter.patching.binding import home_of, owner_of
from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import ObservedAttempt, Runtime

MODULES = tuple(
    f"openai.resources.{name}"
    for name in (
        "responses.responses", "beta.responses.responses", "realtime.realtime", "beta.realtime.realtime",
        "realtime.translations.translations", "live.live", "live.forks", "live.sideband",
    )
)  # fmt: skip
"""Modules with connection classes. An SDK version may lack some of them."""


class Url(NamedTuple):
    """The URL of a connection, with the scheme of an HTTP call to the same endpoint."""

    scheme: str
    host: str
    port: int | None
    path: str
    query: str


class Line(Protocol):
    """The calls of one connection. Methods never raise, except that `sent` may refuse a call."""

    def sent(self, data: Any) -> ObservedAttempt | None:
        """A message is about to be sent: text, bytes, a mapping or a model of the SDK. Return the call it starts."""

    def unsent(self, attempt: ObservedAttempt, error: BaseException) -> None:
        """The message that started *attempt* was not sent."""

    def received(self, message: Any) -> ObservedAttempt | None:
        """A message was received. Return the call that it belongs to, if any."""

    def left(self, error: BaseException | None) -> Iterable[ObservedAttempt]:
        """The connection has ended. Return the calls that end with it."""


class WebSocketSeam(ModuleSeam):
    """Patches the connection classes of openai's Responses, Realtime and Live APIs, also if they are imported later.

    Args:
        connect: makes the `Line` of a connection from its URL and the connection itself.
    """

    modules = MODULES

    def __init__(
        self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime, connect: Callable[[Url, Any], Line]
    ) -> None:
        super().__init__(stack, runtime)
        self._connect = connect
        self._has_warned = False
        # Lines by connection, held weakly: no attribute is set on the connections.
        self._lines: weakref.WeakKeyDictionary[Any, Line | None] = weakref.WeakKeyDictionary()

    def uninstall(self) -> None:
        """Remove our patches, and forget the connections."""
        super().uninstall()
        self._lines.clear()

    def _patch_module(self, module: ModuleType) -> None:
        blind = []
        for name, cls in list(vars(module).items()):
            if isinstance(cls, type) and cls.__module__ == module.__name__ and name.endswith("Connection"):
                try:
                    self._patch_class(cls)
                except Exception as error:
                    self._runtime.internal_error("install websocket")
                    blind.append(f"{name} ({type(error).__name__}: {error})")
        if blind:
            package = sys.modules.get("openai")
            msg = (
                f"token_meter cannot see the messages on websocket connections of openai "
                f"{getattr(package, '__version__', '')}: {', '.join(blind)}. Totals may be too low; "
                "a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _patch_class(self, cls: type) -> None:
        # Check all members first, so that no class is half patched.
        receiver, closer = owner_of(cls, "recv_bytes"), owner_of(cls, "close")
        if not _calls(owner_of(cls, "recv").__dict__["recv"], "recv_bytes"):
            msg = "recv does not read through recv_bytes"
            raise AttributeError(msg)
        sending = "send"
        if hasattr(cls, "send_raw") and _calls(owner_of(cls, "send").__dict__["send"], "send_raw"):
            sending = "send_raw"
        sender = owner_of(cls, sending)
        is_async = cls.__name__.startswith("Async")
        self._patches.put(receiver, "recv_bytes", self._areceiving if is_async else self._receiving)
        self._patches.put(sender, sending, self._asending if is_async else self._sending)
        self._patches.put(closer, "close", self._aclosing if is_async else self._closing)

    # Called by the patched functions.

    @property
    def _is_awake(self) -> bool:
        """Whether a meter or handler may need the messages."""
        return self._live and bool(self._stack.get() or self._runtime.is_listening or self._lines)

    def _line(self, connection: Any) -> Line | None:
        """The line of *connection*; `None` where its URL is not known."""
        try:
            return self._lines[connection]
        except KeyError:
            pass
        line: Line | None = None
        try:
            line = self._connect(url_of(connection._connection.protocol), connection)
        except Exception:
            self._runtime.internal_error("websocket")
            self._warn_blind(type(connection).__name__)
        self._lines[connection] = line
        return line

    def _warn_blind(self, name: str) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        msg = f"token_meter cannot tell where this {name} leads: its messages are not metered. This is said once."
        try:
            warnings.warn(msg, BlindSpotWarning, stacklevel=4)
        except BlindSpotWarning:  # a filter turns it into an error, which must not lose the caller's message
            self._runtime.internal_error("warning")

    def _sent(
        self, connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Line | None, ObservedAttempt | None]:
        line = self._line(connection) if self._is_awake else None
        if line is None:
            return None, None
        return line, line.sent(args[0] if args else next(iter(kwargs.values()), None))

    def _received(self, connection: Any, message: Any) -> ObservedAttempt | None:
        line = self._line(connection)
        return line.received(message) if line is not None else None

    def _counted_as_open(self, connection: Any, error: BaseException | None) -> Iterable[ObservedAttempt]:
        if not self._live:
            return ()
        # The SDK may reconnect a broken connection, but not one that was closed.
        line = self._lines.pop(connection, None) if error is None else self._lines.get(connection)
        return line.left(error) if line is not None else ()

    # The patched functions.

    def _receiving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def recv_bytes(connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            try:
                message = original(connection, *args, **kwargs)
            except Exception as error:
                for attempt in self._counted_as_open(connection, error) if _is_over(error) else ():
                    if attempt.has_pending_events:
                        attempt.dispatch()
                raise
            if self._is_awake:
                told = self._received(connection, message)
                if told is not None and told.has_pending_events:
                    told.dispatch()
            return message

        return recv_bytes

    def _areceiving(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def recv_bytes(connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            try:
                message = await original(connection, *args, **kwargs)
            except Exception as error:
                for attempt in self._counted_as_open(connection, error) if _is_over(error) else ():
                    if attempt.has_pending_events:
                        await attempt.adispatch()
                raise
            if self._is_awake:
                told = self._received(connection, message)
                if told is not None and told.has_pending_events:
                    await told.adispatch()
            return message

        return recv_bytes

    def _sending(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def send(connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            line, attempt = self._sent(connection, args, kwargs)
            if line is None or attempt is None:
                return original(connection, *args, **kwargs)
            try:
                if attempt.has_pending_events:
                    attempt.dispatch()
                return original(connection, *args, **kwargs)
            except BaseException as error:
                line.unsent(attempt, error)
                if attempt.has_pending_events:
                    attempt.dispatch()
                raise

        return send

    def _asending(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def send(connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            line, attempt = self._sent(connection, args, kwargs)
            if line is None or attempt is None:
                return await original(connection, *args, **kwargs)
            try:
                if attempt.has_pending_events:
                    await attempt.adispatch()
                return await original(connection, *args, **kwargs)
            except BaseException as error:
                line.unsent(attempt, error)
                if attempt.has_pending_events:
                    await attempt.adispatch()
                raise

        return send

    def _closing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def close(connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            try:
                return original(connection, *args, **kwargs)
            finally:
                for attempt in self._counted_as_open(connection, None):
                    if attempt.has_pending_events:
                        attempt.dispatch()

        return close

    def _aclosing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        async def close(connection: Any, /, *args: Any, **kwargs: Any) -> Any:
            try:
                return await original(connection, *args, **kwargs)
            finally:
                for attempt in self._counted_as_open(connection, None):
                    if attempt.has_pending_events:
                        await attempt.adispatch()

        return close


def _calls(function: Any, name: str) -> bool:
    """Whether *function*, below the wrappers of other packages, calls *name*; true if it has no code to inspect."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return home_of(function) != "openai" or name in function.__code__.co_names


def url_of(protocol: Any) -> Url:
    """The URL of a connection, from its handshake, whose attribute has another name in websockets 13."""
    uri = getattr(protocol, "uri", None) or protocol.wsuri
    port = None if uri.port == (443 if uri.secure else 80) else uri.port
    return Url("https" if uri.secure else "http", uri.host, port, uri.path, uri.query)


def _is_over(error: Exception) -> bool:
    """Whether *error* means that the connection has ended, and not only one wait for a message."""
    return any(cls.__name__ == "ConnectionClosed" for cls in type(error).__mro__)
