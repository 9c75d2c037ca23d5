"""Where HTTP calls pass: `send` of the client classes of httpx2 and httpx. It knows no tokens and no meters.

One hook body serves both libraries and both colours; the only thing replaced on an answer is `response.stream`
(see `_tap`), and only when the body has not been read yet.
"""

from __future__ import annotations

import contextvars
import json
import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter._aside import aside
from token_meter.exceptions import BlindSpotWarning
from token_meter.patching.binding import home_of
from token_meter.transports.httpx_body import Taps
from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import Key

# A request that raised one of these never reached the server, so it was not billed.
_NEVER_SENT = frozenset({
    "ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError",
    "InvalidURL", "CookieConflict", "ConnectionRefusedError",
})  # fmt: skip


class _SelfTest(tuple):  # type: ignore[type-arg]  # holds nothing that anybody reads
    """Stands in the context variable during the self-test and counts how often the seam passes a request."""

    seen = 0
    answer: Any = None


class HttpxRequest:
    """A request of httpx or httpx2, as the runtime reads it."""

    __slots__ = ("client", "request")

    def __init__(self, request: Any, client: Any) -> None:
        self.request = request
        self.client = client

    @property
    def key(self) -> Key:
        """Where it goes."""
        url = self.request.url
        return self.request.method, url.scheme, url.host, url.port, url.path

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        found: Mapping[str, str] = self.request.headers
        return found

    def body(self) -> bytes:
        """The bytes that are in memory; of a form, its fields."""
        try:
            content: bytes = self.request.content
            return content
        except Exception:  # httpx raises RequestNotRead for a form, which is streamed
            return _form_fields(self.request)

    def with_body(self, content: bytes) -> Any | None:
        """A copy with *content* that asks for a plain answer: in a compressed one nothing can be hidden."""
        request = self.request
        if "content-encoding" in request.headers:
            return None
        headers = request.headers.copy()
        headers["content-length"] = str(len(content))
        headers["accept-encoding"] = "identity"
        return type(request)(
            request.method, request.url, headers=headers, content=content, extensions=dict(request.extensions)
        )


def _form_fields(request: Any) -> bytes:
    """The short text fields of a form as JSON: a transcription's model stands only there."""
    try:
        fields = {
            field.name: field.value
            for field in request.stream.fields
            if isinstance(getattr(field, "value", None), str) and len(field.value) < 200
        }
    except AttributeError:
        return b""
    return json.dumps(fields).encode()


class HttpSeam(ModuleSeam):
    """Patches `Client.send` and `AsyncClient.send`, also of a library that is imported later."""

    modules = ("httpx2", "httpx")

    def _patch_module(self, module: ModuleType) -> None:
        """Patch both client classes of *module* and prove that each call is seen exactly once, or take ours out."""
        try:
            taps = Taps(module, self._runtime)
            is_open = [
                self._patches.put(module.Client, "send", lambda original: self._sync(original, taps)),
                self._patches.put(module.AsyncClient, "send", lambda original: self._async(original, taps)),
            ]
            if not all(is_open):
                return  # ours stayed under somebody else's, who shall not get a request that we made up
            seen = str(self._seen(module))
        except Exception as error:
            self._runtime.internal_error("install")
            seen = f"{type(error).__name__}: {error}"
        if seen != "(1, 1)":
            for name in ("Client", "AsyncClient"):
                self._patches.take_out(getattr(module, name, None))
            msg = (
                f"token_meter cannot see calls made through {module.__name__} {getattr(module, '__version__', '')}: "
                f"its self-test should have counted (1, 1) calls and got {seen}, so it leaves them alone. "
                "Totals may be too low; a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _sync(self, original: Callable[..., Any], taps: Taps) -> Callable[..., Any]:
        stack, runtime = self._stack, self._runtime
        # Not theirs who wrapped it: a tracer would report our self-test, a mock count it as a call.
        is_librarys = home_of(original) in self.modules

        @wraps(original)
        def send(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not (current or runtime.is_listening) or not self._live:
                return original(client, *args, **kwargs)
            if type(current) is _SelfTest:
                current.seen += 1
                return original(client, *args, **kwargs) if is_librarys else current.answer
            attempt = runtime.on_request(HttpxRequest(args[0] if args else kwargs.get("request"), client))
            if attempt is None:
                return original(client, *args, **kwargs)
            if attempt.has_pending_events:
                attempt.dispatch()
            stack.set((*current, attempt))
            try:
                if attempt.replacement_request is None:
                    response = original(client, *args, **kwargs)
                else:
                    request = kwargs.pop("request", None) or args[0]
                    response = original(client, attempt.replacement_request, *args[1:], **kwargs)
                    _give_back(response, attempt.replacement_request, request)
            except BaseException as error:
                attempt.failed(error, was_sent=_was_sent(error))
                if attempt.has_pending_events:
                    attempt.dispatch()
                raise
            finally:
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
            taps.arrive(attempt, response, client, is_async=False)
            if attempt.has_pending_events:
                attempt.dispatch()
            return response

        return send

    def _async(self, original: Callable[..., Any], taps: Taps) -> Callable[..., Any]:
        stack, runtime = self._stack, self._runtime
        is_librarys = home_of(original) in self.modules

        @wraps(original)
        async def send(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not (current or runtime.is_listening) or not self._live:
                return await original(client, *args, **kwargs)
            if type(current) is _SelfTest:
                current.seen += 1
                return await original(client, *args, **kwargs) if is_librarys else current.answer
            outgoing = HttpxRequest(args[0] if args else kwargs.get("request"), client)
            if (slow := runtime.slow_part(outgoing)) is not None:
                await aside(slow)
            attempt = runtime.on_request(outgoing)
            if attempt is None:
                return await original(client, *args, **kwargs)
            if attempt.has_pending_events:
                await attempt.adispatch()
            stack.set((*current, attempt))
            try:
                if attempt.replacement_request is None:
                    response = await original(client, *args, **kwargs)
                else:
                    request = kwargs.pop("request", None) or args[0]
                    response = await original(client, attempt.replacement_request, *args[1:], **kwargs)
                    _give_back(response, attempt.replacement_request, request)
            except BaseException as error:
                attempt.failed(error, was_sent=_was_sent(error))
                if attempt.has_pending_events:
                    await attempt.adispatch()
                raise
            finally:
                # A coroutine that the collector closes ends in a foreign context, which is left as it is.
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
            taps.arrive(attempt, response, client, is_async=True)
            if attempt.has_pending_events:
                await attempt.adispatch()
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
        sync, asyn = _SelfTest((0,)), _SelfTest((0,))
        sync.answer = asyn.answer = response
        context = contextvars.copy_context()
        context.run(self._stack.set, sync)
        context.run(Client(transport=transport, trust_env=False).send, request)
        context.run(self._stack.set, asyn)
        coroutine = AsyncClient(transport=transport, trust_env=False).send(request)
        try:
            context.run(coroutine.send, None)
        except StopIteration:
            pass
        finally:
            coroutine.close()
        return sync.seen, asyn.seen


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
