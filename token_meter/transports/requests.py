"""Where calls over requests pass: `Session.send`, redirects included. It knows no tokens and no meters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from token_meter.transports.carrier import BodyTap, SyncCarrierSeam
from token_meter.transports.httpx_stand_ins import SIMULATOR
from token_meter.transports.ports import Key, ObservedAttempt
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
        """A copy with *content* that asks for a plain answer."""
        if "content-encoding" in self.headers:
            return None
        found = self._request.copy()
        found.body = content
        found.headers.update({"Content-Length": str(len(content)), "Accept-Encoding": "identity"})
        return found


_TAP = "_token_meter_tap"
"""Where an answer keeps its tap; pickles of it name their attributes, and leave it out."""


class RequestsSeam(SyncCarrierSeam):
    """Patches `Session.send`, also if requests is imported later, and what requests-mock puts in its place."""

    modules = ("requests.sessions", "requests_mock.mocker")
    library = "requests"
    never_sent = _NEVER_SENT
    request_type = PreparedCall

    def _put(self, module: ModuleType) -> None:
        if module.__name__ == "requests_mock.mocker":
            self._follow(module.MockerCore, sys.modules["requests.sessions"].Session, "send", self._send)
            return
        self._patches.put(module.Session, "send", self._send)
        answers = sys.modules["requests.models"].Response
        self._patches.put(answers, "iter_content", _tapped_iter)
        self._patches.put(answers, "close", _tapped_close)

    def _was_sent(self, error: BaseException) -> bool:
        inner = error.args[0] if error.args else None
        cause = getattr(inner, "reason", inner)  # urllib3's own, of which requests makes one of its own
        return super()._was_sent(error) and self.never_sent.isdisjoint(cls.__name__ for cls in type(cause).__mro__)

    def _arrive(self, attempt: ObservedAttempt, response: Any) -> None:
        headers = response.headers
        if attempt.is_shown:
            attempt.stand_in = _stand_in(response, is_local=attempt.is_local)
        is_read = response._content is not False
        kind = "" if is_read and attempt.replacement_request is None else headers.get("content-type", "")
        attempt.respond(response.status_code, kind, streamed=not is_read, headers=headers)
        if is_read:
            attempt.body(response._content or b"")
            if (hiding := attempt.chunk_filter) is not None:
                response._content = hiding.filter_chunk(response._content or b"") + hiding.rest()
        else:
            vars(response)[_TAP] = BodyTap(attempt)


def _tapped_iter(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def iter_content(response: Any, *args: Any, **kwargs: Any) -> Any:
        chunks = original(response, *args, **kwargs)
        tap: BodyTap | None = vars(response).get(_TAP)
        return chunks if tap is None else _passing(tap, chunks)

    return iter_content


def _passing(tap: BodyTap, chunks: Iterator[Any]) -> Iterator[Any]:
    """The chunks that all ways to read a body but the raw one take, each shown to *tap*."""
    hiding, is_text = tap.chunk_filter, False
    try:
        for chunk in chunks:
            is_text = isinstance(chunk, str)
            data = chunk.encode("utf-8", "surrogatepass") if is_text else chunk
            tap.passed(data)
            if hiding is None:
                yield chunk
            elif kept := hiding.filter_chunk(data):
                yield kept.decode("utf-8", "surrogatepass") if is_text else kept  # it ends where an event does
    except GeneratorExit:
        raise
    except BaseException as error:
        tap.failed(error)
        raise
    tap.exhausted()
    if hiding is not None and (left := hiding.rest()):
        yield left.decode("utf-8", "surrogatepass") if is_text else left


def _tapped_close(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def close(response: Any, *args: Any, **kwargs: Any) -> Any:
        tap: BodyTap | None = vars(response).get(_TAP)
        try:
            return original(response, *args, **kwargs)
        finally:
            if tap is not None:
                tap.closed()

    return close


def _stand_in(response: Any, *, is_local: bool) -> Source | None:
    """What answered instead of a server: what a socket carried was parsed by the standard library."""
    headers = response.headers
    if is_local and headers.get("server") == SIMULATOR:
        return "mock"
    if getattr(response, "from_cache", False):  # requests-cache
        return "replay"
    parsed = getattr(response.raw, "_original_response", None)
    return None if type(parsed).__module__ == "http.client" or "date" in headers else "mock"
