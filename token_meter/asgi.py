"""A meter for each request of an ASGI app (FastAPI, Starlette, Litestar, Django's ASGI): one line of middleware."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from token_meter._aside import aside
from token_meter._meter import Meter, meter
from token_meter._per_request import PerRequest, Tags, for_many, server_timing

__all__ = ["MeterMiddleware", "request_meter"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class MeterMiddleware:
    """Opens a meter for each request, and for each websocket: `app.add_middleware(MeterMiddleware, max_cost="0.05")`.

    The meter is open until the app has returned: it counts what dependencies, routes, streamed answers and background
    tasks call. `token_meter.current()` is the request's meter, in async and in sync routes.

    Nothing of the request or the answer is changed, held back or read, but for the header that *header* asks for.

    Args:
        app: the app behind this middleware.
        tags: labels of the calls, or a function of the ASGI scope that returns them:
            `lambda scope: {"customer": Request(scope).headers["x-customer"]}`. What such a function raises is logged,
            and the request is counted without tags.
        budgets: shared budgets, or a function of the ASGI scope that returns them; what it raises is raised.
        done: called with the scope and the meter when the request has ended; what it raises is logged.
        header: add a `Server-Timing` header with the tokens and the cost so far to answers that are not streamed (those
            with a `Content-Length`). Browsers show it to whoever may see the answer.
        settings: whatever else `meter()` takes, such as `name`, `max_cost`, `max_calls`, `ledger`, `handlers`.

    Raises:
        ConfigError: the settings are not those of a meter.
        BudgetExceededError: raised inside of the app by the call that a limit refuses, for its own error handlers.
    """

    def __init__(
        self,
        app: App,
        *,
        tags: Tags | Callable[[Scope], Tags] | None = None,
        budgets: Iterable[Any] | Callable[[Scope], Iterable[Any]] = (),
        done: Callable[[Scope, Meter], object] | None = None,
        header: bool = False,
        **settings: Any,
    ) -> None:
        self.app = app
        self._header = header
        self._requests = PerRequest(tags, budgets, done, settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request in a meter of its own."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        cb = self._requests.meter_of(scope)
        try:
            async with cb:
                await self.app(scope, receive, _with_header(send, cb) if self._header else send)
        finally:
            self._requests.ended(scope, cb)


def request_meter(**settings: Any) -> Callable[[], AsyncIterator[Meter]]:
    """A FastAPI dependency that opens a meter for a route, sync or async: `cb: Meter = Depends(request_meter())`.

    FastAPI enters an async dependency in the request's own context, which async routes share and sync routes are given
    a copy of. Background tasks run after a dependency has ended: `MeterMiddleware` counts those too.

    Args:
        settings: whatever `meter()` takes.

    Raises:
        ConfigError: the settings are not those of a meter.
    """
    settings = for_many(settings)
    meter(**settings)

    async def dependency() -> AsyncIterator[Meter]:
        async with meter(**settings) as cb:
            yield cb

    return dependency


def _with_header(send: Send, cb: Meter) -> Send:
    """*send*, which adds the header to an answer whose length is known, because it is whole."""

    async def send_start(message: Message) -> None:
        if message["type"] == "http.response.start" and message.get("headers"):
            headers = list(message["headers"])  # once: the protocol allows any iterable, and an iterator ends
            if _is_whole(headers):
                if cb.is_far_behind(priced=True):
                    await aside(cb.catch_up)
                value = server_timing(cb)
                headers += [] if value is None else [(b"server-timing", value.encode())]
            message = {**message, "headers": headers}
        await send(message)

    return send_start


def _is_whole(headers: Iterable[Any]) -> bool:
    return any(isinstance(each[0], bytes) and each[0].lower() == b"content-length" for each in headers if each)
