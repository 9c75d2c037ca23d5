"""Where calls over requests pass: `Session.send`, redirects included. It knows no tokens and no meters."""

from __future__ import annotations

import contextvars
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from token_meter.exceptions import BlindSpotWarning
from token_meter.transports.httpx_stand_ins import SIMULATOR
from token_meter.transports.mockable import MockableSeam
from token_meter.transports.ports import Key, ObservedAttempt, Runtime, takes_nothing
from token_meter.types import Source

# A request that raised one of these, or for one of these, never reached the server, so it was not billed.
_NEVER_SENT = frozenset({
    "ConnectTimeout", "ProxyError", "SSLError", "InvalidURL", "InvalidSchema", "MissingSchema", "InvalidHeader",
    "NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "TypeError", "NoMockAddress",
})  # fmt: skip


class PreparedCall:
    """A prepared request of requests, as the runtime reads it."""

    __slots__ = ("_request", "client", "key")

    def __init__(self, session: Any, request: Any) -> None:
        self.client = session
        self._request = request
        url = urlsplit(request.url)
        self.key: Key = request.method.upper(), url.scheme, url.hostname or "", url.port, unquote(url.path)

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        found: Mapping[str, str] = self._request.headers
        return found

    def body(self) -> bytes:
        """The bytes that are in memory; none of a stream."""
        body = self._request.body
        if isinstance(body, str):
            return body.encode("utf-8", "surrogatepass")
        return body if isinstance(body, bytes) else b""

    def with_body(self, content: bytes) -> Any | None:
        """None can be made."""
        return None


_TAP = "_token_meter_tap"
"""Where an answer keeps its tap; pickles of it name their attributes, and leave it out."""


class RequestsSeam(MockableSeam):
    """Patches `Session.send`, also if requests is imported later, and what requests-mock puts in its place."""

    modules = ("requests.sessions", "requests_mock.mocker")

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime, attempt_kind: int) -> None:
        super().__init__(stack, runtime)
        self._attempt_kind = attempt_kind

    def _patch_module(self, module: ModuleType) -> None:
        try:
            if module.__name__ == "requests_mock.mocker":
                self._follow(module.MockerCore, sys.modules["requests.sessions"].Session, "send", self._send)
                return
            self._patches.put(module.Session, "send", self._send)
            answers = sys.modules["requests.models"].Response
            self._patches.put(answers, "iter_content", _tapped_iter)
            self._patches.put(answers, "close", _tapped_close)
        except Exception as error:
            self._runtime.internal_error("install")
            version = getattr(sys.modules.get("requests"), "__version__", "")
            msg = (
                f"token_meter cannot see calls made through requests {version} ({type(error).__name__}: {error}), so "
                "that totals may be too low; a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime, attempt_kind = self._stack, self._runtime, self._attempt_kind

        @wraps(original)
        def send(session: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not (current or runtime.is_listening) or not self._live:
                return original(session, *args, **kwargs)
            if current and current[-1].kind == attempt_kind:  # a redirect, or what carries another library's request
                return original(session, *args, **kwargs)
            attempt = self._attempt_of(session, args, kwargs)
            if attempt is None:
                return original(session, *args, **kwargs)
            if attempt.has_pending_events:
                attempt.dispatch()
            stack.set((*current, attempt))
            try:
                response = original(session, *args, **kwargs)
            except BaseException as error:
                attempt.failed(error, was_sent=_was_sent(error))
                if attempt.has_pending_events:
                    attempt.dispatch()
                raise
            finally:
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
            self._arrive(attempt, response)
            if attempt.has_pending_events:
                attempt.dispatch()
            return response

        return send

    def _attempt_of(self, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedAttempt | None:
        try:
            call = PreparedCall(session, args[0] if args else kwargs["request"])
        except Exception:
            return None  # no prepared request: the session finds the same fault, and says it
        return self._runtime.on_request(call)

    def _arrive(self, attempt: ObservedAttempt, response: Any) -> None:
        """Read a body that is there already; put a tap on one that is still to come."""
        try:
            headers = response.headers
            attempt.stand_in = _stand_in(response, is_local=attempt.is_local)
            is_read = response._content is not False
            kind = "" if is_read else headers.get("content-type", "")
            attempt.respond(response.status_code, kind, streamed=not is_read, headers=headers)
            if is_read:
                attempt.body(response._content or b"")
                return
            vars(response)[_TAP] = _Tap(attempt)
        except Exception:
            self._runtime.internal_error("arrive")
            attempt.abandoned()


def _tapped_iter(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def iter_content(response: Any, *args: Any, **kwargs: Any) -> Any:
        chunks = original(response, *args, **kwargs)
        tap: _Tap | None = vars(response).get(_TAP)
        return chunks if tap is None else tap.passing(chunks)

    return iter_content


def _tapped_close(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def close(response: Any, *args: Any, **kwargs: Any) -> Any:
        tap: _Tap | None = vars(response).get(_TAP)
        try:
            return original(response, *args, **kwargs)
        finally:
            if tap is not None:
                tap.closed()

    return close


class _Tap:
    """Listens to a body that somebody else reads, by `iter_content`, as all ways but the raw one do.

    It belongs to the answer, and goes with it.
    """

    __slots__ = ("_attempt",)

    def __init__(self, attempt: ObservedAttempt) -> None:
        self._attempt = attempt

    def __del__(self) -> None:
        self._attempt.abandoned()

    def closed(self) -> None:
        """The reader has closed the answer."""
        attempt = self._attempt
        attempt.closed()
        if attempt.has_pending_events:
            attempt.dispatch()

    def passing(self, chunks: Iterator[Any]) -> Iterator[Any]:
        """The chunks, each shown to the attempt."""
        attempt = self._attempt
        takes: Callable[[bytes], bool] = takes_nothing
        try:
            for chunk in chunks:
                data = chunk.encode("utf-8", "surrogatepass") if isinstance(chunk, str) else chunk
                if attempt.wants_body and not takes(data):
                    attempt.feed(data)
                    takes = attempt.takes
                    if attempt.has_pending_events:
                        attempt.dispatch()
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            attempt.failed(error, was_sent=True)
            if attempt.has_pending_events:
                attempt.dispatch()
            raise
        attempt.exhausted()
        if attempt.has_pending_events:
            attempt.dispatch()


def _stand_in(response: Any, *, is_local: bool) -> Source | None:
    """What answered instead of a server: what a socket carried was parsed by the standard library."""
    headers = response.headers
    if is_local and headers.get("server") == SIMULATOR:
        return "mock"
    if getattr(response, "from_cache", False):  # requests-cache
        return "replay"
    parsed = getattr(response.raw, "_original_response", None)
    return None if type(parsed).__module__ == "http.client" or "date" in headers else "mock"


def _was_sent(error: BaseException) -> bool:
    """Whether the server may have seen (and billed) the request that ended with *error*."""
    inner = error.args[0] if error.args else None
    causes = (error, getattr(inner, "reason", inner))
    return _NEVER_SENT.isdisjoint(cls.__name__ for cause in causes for cls in type(cause).__mro__)
