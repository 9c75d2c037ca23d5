"""Where HTTP calls pass: `send` of the client classes of httpx2 and httpx. It knows no tokens and no meters.

One hook body serves both libraries and both colours; the only thing replaced on an answer is `response.stream`
(see `_tap`), and only when the body has not been read yet.
"""

from __future__ import annotations

import contextvars
import warnings
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter._seams._modules import ModuleSeam
from token_meter._seams._observer import Observer, Watch
from token_meter._seams._tap import Taps
from token_meter.exceptions import BlindSpotWarning

# A request that raised one of these never reached the server, so it was not billed.
_NEVER_SENT = frozenset({
    "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError",
    "InvalidURL", "CookieConflict", "ConnectionRefusedError",
})  # fmt: skip


class _Canary(tuple):  # type: ignore[type-arg]  # holds nothing that anybody reads
    """Stands in the context variable during the self-test and counts how often the seam passes a request."""

    seen = 0


class HttpSeam(ModuleSeam):
    """Patches `Client.send` and `AsyncClient.send`, also of a library that is imported later."""

    modules = ("httpx2", "httpx")

    def _patch_module(self, module: ModuleType) -> None:
        """Patch both client classes of *module* and prove that each call is seen exactly once."""
        try:
            taps = Taps(module, self._observer)
            self._patches.put(module.Client, "send", lambda original: self._sync(original, taps))
            self._patches.put(module.AsyncClient, "send", lambda original: self._async(original, taps))
            seen = str(self._seen(module))
        except Exception as error:
            self._observer.internal_error("install")
            seen = f"{type(error).__name__}: {error}"
        if seen != "(1, 1)":
            msg = (
                f"token_meter cannot see calls made through {module.__name__} {getattr(module, '__version__', '')}: "
                f"its self-test should have counted (1, 1) calls and got {seen}. Totals may be too low; "
                "a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _sync(self, original: Callable[..., Any], taps: Taps) -> Callable[..., Any]:
        chain, observer = self._chain, self._observer

        @wraps(original)
        def send(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = chain.get()
            if not (current or observer.is_listening) or not self._live:
                return original(client, *args, **kwargs)
            if type(current) is _Canary:
                current.seen += 1
                return original(client, *args, **kwargs)
            watch = _depart(observer, client, args, kwargs)
            if watch is None:
                return original(client, *args, **kwargs)
            if watch.has_news:
                watch.tell()
            chain.set((*current, watch))
            try:
                if watch.instead is None:
                    response = original(client, *args, **kwargs)
                else:
                    request = kwargs.pop("request", None) or args[0]
                    response = original(client, watch.instead, *args[1:], **kwargs)
                    _give_back(response, watch.instead, request)
            except BaseException as error:
                watch.failed(error, was_sent=_was_sent(error))
                if watch.has_news:
                    watch.tell()
                raise
            finally:
                # A coroutine that the collector closes ends in a foreign context, which is left as it is.
                if chain.get()[-1:] == (watch,):
                    chain.set(current)
            taps.arrive(watch, response, client, is_async=False)
            if watch.has_news:
                watch.tell()
            return response

        return send

    def _async(self, original: Callable[..., Any], taps: Taps) -> Callable[..., Any]:
        chain, observer = self._chain, self._observer

        @wraps(original)
        async def send(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = chain.get()
            if not (current or observer.is_listening) or not self._live:
                return await original(client, *args, **kwargs)
            if type(current) is _Canary:
                current.seen += 1
                return await original(client, *args, **kwargs)
            watch = _depart(observer, client, args, kwargs)
            if watch is None:
                return await original(client, *args, **kwargs)
            if watch.has_news:
                await watch.atell()
            chain.set((*current, watch))
            try:
                if watch.instead is None:
                    response = await original(client, *args, **kwargs)
                else:
                    request = kwargs.pop("request", None) or args[0]
                    response = await original(client, watch.instead, *args[1:], **kwargs)
                    _give_back(response, watch.instead, request)
            except BaseException as error:
                watch.failed(error, was_sent=_was_sent(error))
                if watch.has_news:
                    await watch.atell()
                raise
            finally:
                # A coroutine that the collector closes ends in a foreign context, which is left as it is.
                if chain.get()[-1:] == (watch,):
                    chain.set(current)
            taps.arrive(watch, response, client, is_async=True)
            if watch.has_news:
                await watch.atell()
            return response

        return send

    def _seen(self, module: ModuleType) -> tuple[int, int]:
        """Send one request through a client of each colour that goes nowhere; count how often the hook saw it."""
        request = module.Request("GET", "http://canary.invalid/")
        response = module.Response(200, content=b"")

        # Answering above the transport keeps the canary out of the library's own INFO log.
        class Client(module.Client):  # type: ignore[misc,name-defined]
            def _send_handling_auth(self, *_: Any, **__: Any) -> Any:
                return response

        class AsyncClient(module.AsyncClient):  # type: ignore[misc,name-defined]
            async def _send_handling_auth(self, *_: Any, **__: Any) -> Any:
                return response

        transport = module.MockTransport(lambda _: response)
        sync, asyn = _Canary((0,)), _Canary((0,))
        context = contextvars.copy_context()
        context.run(self._chain.set, sync)
        context.run(Client(transport=transport, trust_env=False).send, request)
        context.run(self._chain.set, asyn)
        coroutine = AsyncClient(transport=transport, trust_env=False).send(request)
        try:
            context.run(coroutine.send, None)
        except StopIteration:
            pass
        finally:
            coroutine.close()
        return sync.seen, asyn.seen


def _depart(observer: Observer, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Watch | None:
    """Ask upstairs about the request, which callers may give by position or by name; budgets refuse here."""
    request = args[0] if args else kwargs.get("request")
    return observer.depart(request, client)


def _give_back(response: Any, sent: Any, request: Any) -> None:
    """Let the answer name the caller's own request; after a redirect it names the last one, as ever."""
    if response.request is sent:
        response.request = request


def _was_sent(error: BaseException) -> bool:
    """Whether the server may have seen (and billed) the request that ended with *error*."""
    # "Event loop is closed" is another matter: a client that outlived its loop says so after the request is out.
    if isinstance(error, RuntimeError) and "client has been closed" in str(error):
        return False
    return _NEVER_SENT.isdisjoint(cls.__name__ for cls in type(error).__mro__)
