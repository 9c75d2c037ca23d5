"""Where calls over botocore pass: `URLLib3Session.send`, once for each attempt. It knows no tokens and no meters.

aiobotocore sends over aiohttp or httpx, and is seen there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from token_meter.transports.carrier import BodyTap, SyncCarrierSeam
from token_meter.transports.httpx_stand_ins import SIMULATOR
from token_meter.transports.ports import Key, ObservedAttempt
from token_meter.types import Source

# A request that raised one of these never reached the server, so it was not billed.
_NEVER_SENT = frozenset({"EndpointConnectionError", "ConnectTimeoutError", "ProxyConnectionError", "SSLError"})
_TAP = "_token_meter_tap"
"""Where a body keeps its tap."""
_FINALIZING = "_finalizing"
"""What the interpreter sets on a file before it closes one that is dropped."""


class SignedHeaders(Mapping[str, str]):
    """The headers of a prepared request, whose values may be bytes."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def __getitem__(self, name: str) -> str:
        value = self._headers[name]
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)

    def __contains__(self, name: object) -> bool:
        return name in self._headers

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __len__(self) -> int:
        return len(self._headers)


@lru_cache(maxsize=256)
def _key_of(method: str, address: str) -> Key:
    url = urlsplit(address)
    return method.upper(), url.scheme, url.hostname or "", url.port, unquote(url.path)


class SignedRequest:
    """A prepared request of botocore, as the runtime reads it."""

    __slots__ = ("_request", "client", "key")

    def __init__(self, session: Any, request: Any) -> None:
        self.client = session
        self._request = request
        self.key = _key_of(request.method, request.url.partition("?")[0])

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers."""
        return SignedHeaders(self._request.headers)

    def body(self) -> bytes:
        """The bytes that are in memory; none of a stream."""
        body = self._request.body
        if isinstance(body, str):
            return body.encode("utf-8", "surrogatepass")
        return bytes(body) if isinstance(body, bytes | bytearray) else b""

    def with_body(self, content: bytes) -> Any | None:
        """None can be made: the signature covers the body."""
        return None


class BotocoreSeam(SyncCarrierSeam):
    """Patches `URLLib3Session.send`, also if botocore is imported later."""

    modules = ("botocore.httpsession",)
    library = "botocore"
    never_sent = _NEVER_SENT
    request_type = SignedRequest

    def _put(self, module: ModuleType) -> None:
        self._patches.put(module.URLLib3Session, "send", self._send)

    def _arrive(self, attempt: ObservedAttempt, response: Any) -> None:
        headers, raw = response.headers, response.raw
        if attempt.is_shown:
            attempt.stand_in = _stand_in(headers, raw, is_local=attempt.is_local)
        content = response._content
        kind = "" if content is not None else headers.get("content-type", "")
        attempt.respond(response.status_code, kind, streamed=content is None, headers=headers)
        if content is not None:
            attempt.body(content)
            return
        vars(raw)[_TAP] = BodyTap(attempt)  # first: who listens finds it there
        cls: Any = type(raw)
        raw.__class__ = _tapped(cls)


@lru_cache(maxsize=16)
def _tapped(cls: type) -> type:
    """The library's own class of a body, with ears; it has the same name."""
    about = {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (_Listening, cls), about)


class _Listening:
    """What a body of urllib3 does that somebody else reads, besides what it does anyway."""

    __slots__ = ()

    def read(self, amt: int | None = None, *args: Any, **kwargs: Any) -> Any:
        return _read(self, super().read, amt, args, kwargs)  # type: ignore[misc]

    def read1(self, amt: int | None = None, *args: Any, **kwargs: Any) -> Any:
        return _read(self, super().read1, amt, args, kwargs)  # type: ignore[misc]

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        yield from super().stream(*args, **kwargs)  # type: ignore[misc]
        vars(self)[_TAP].exhausted()

    def read_chunked(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        tap = vars(self)[_TAP]
        try:
            for chunk in super().read_chunked(*args, **kwargs):  # type: ignore[misc]
                tap.passed(chunk)
                yield chunk
        except GeneratorExit:
            raise
        except BaseException as error:
            tap.failed(error)
            raise
        tap.exhausted()

    def close(self) -> None:
        try:
            super().close()  # type: ignore[misc]
        finally:
            if _FINALIZING not in vars(self):  # of one that is dropped, the tap hears by itself
                vars(self)[_TAP].closed()


def _read(body: Any, read: Callable[..., Any], amt: int | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Read a piece, or all that is left, and show it."""
    tap: BodyTap = vars(body)[_TAP]
    try:
        data = read(amt, *args, **kwargs)
    except BaseException as error:
        tap.failed(error)
        raise
    if data:
        tap.passed(data)
    if amt is None or amt < 0 or (amt and not data):
        tap.exhausted()
    return data


def _stand_in(headers: Any, raw: Any, *, is_local: bool) -> Source | None:
    """What answered instead of a server: what a socket carried was parsed by the standard library."""
    if is_local and headers.get("server") == SIMULATOR:
        return "mock"
    parsed = getattr(raw, "_original_response", None)
    is_parsed = any(cls.__module__ == "http.client" for cls in type(parsed).__mro__)
    return None if is_parsed or "date" in headers else "mock"
