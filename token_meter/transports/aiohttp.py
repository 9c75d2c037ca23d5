"""Where calls over aiohttp pass: `ClientSession._request`, redirects included. It knows no tokens and no meters.

aiohttp may also carry the requests of httpx. Then the call has been seen further out, and passes here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter._aside import aside
from token_meter.transports.aiohttp_body import ContentTap
from token_meter.transports.aiohttp_filter import can_filter, filtered
from token_meter.transports.carrier import CarrierSeam
from token_meter.transports.httpx_stand_ins import SIMULATOR
from token_meter.transports.inflating import decoder_of
from token_meter.transports.ports import Key, ObservedAttempt
from token_meter.types import Source

# A request that raised one of these never reached the server, so it was not billed.
_NEVER_SENT = frozenset({
    "ClientConnectorError", "ConnectionTimeoutError", "ClientSSLError", "ServerFingerprintMismatch", "InvalidURL",
    "TypeError", "ValueError",
})  # fmt: skip


class AiohttpRequest:
    """A request of aiohttp, as the runtime reads it: the arguments of `_request(method, str_or_url, ...)`."""

    __slots__ = ("_args", "_body", "_headers", "_key", "_options", "client")

    def __init__(self, session: Any, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.client = session
        self._args = args
        self._options = options
        self._key: Key | None = None
        self._headers: Mapping[str, str] | None = None
        # Of a form at once: the session takes its fields out when it sends them.
        self._body: bytes | None = _form_fields(options.get("data"))

    @property
    def is_readable(self) -> bool:
        """Whether the arguments say where it goes."""
        try:
            return bool(self.key)
        except Exception:
            return False

    @property
    def key(self) -> Key:
        """Where it goes; a session may have a base URL."""
        if self._key is None:
            method, url = (
                self._args[n] if len(self._args) > n else self._options[name]
                for n, name in enumerate(("method", "str_or_url"))
            )
            url = self.client._build_url(url)
            port = None if url.is_default_port() else url.explicit_port
            self._key = method.upper(), url.scheme, url.host or "", port, url.path
        return self._key

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, those of the session among them."""
        if self._headers is None:
            self._headers = self.client._prepare_headers(self._options.get("headers"))
        return self._headers

    def body(self) -> bytes:
        """The bytes in memory, or what the session makes of `json=`; of a form, its fields; none of a stream."""
        if self._body is None:
            data, given = self._options.get("data"), self._options.get("json")
            if data is None and given is not None:
                data = self.client._json_serialize(given)
            if isinstance(data, str):
                data = data.encode("utf-8", "surrogatepass")
            self._body = bytes(data) if isinstance(data, bytes | bytearray | memoryview) else b""
        return self._body

    def with_body(self, content: bytes) -> Any | None:
        """The arguments with *content*, that ask for a plain answer; `None` where nothing could be taken out of it."""
        headers: Any = self.headers.copy()  # type: ignore[attr-defined]
        if "content-encoding" in headers or not (getattr(self.client, "auto_decompress", True) and can_filter()):
            return None
        headers["Accept-Encoding"] = "identity"
        if "content-length" in headers:
            headers["Content-Length"] = str(len(content))
        # aiohttp tells the type of a body by the Python type of it.
        is_text = isinstance(self._options.get("data"), str)
        data = content.decode("utf-8", "surrogatepass") if is_text else content
        options = {**self._options, "headers": headers, "data": data}
        if options.pop("json", None) is not None:
            headers.setdefault("Content-Type", "application/json")
        return self._args, options


def _form_fields(form: Any) -> bytes | None:
    """The short text fields of a form as JSON: a transcription's model stands only there. `None`: it is no form."""
    if isinstance(form, Mapping):
        found = list(form.items())
    elif isinstance(listed := getattr(form, "_fields", None), list):
        found = [(about.get("name"), value) for about, _, value in listed]
    else:
        return None
    short = {name: value for name, value in found if isinstance(value, str) and len(value) < 200}
    return json.dumps(short, skipkeys=True).encode()


class AiohttpSeam(CarrierSeam):
    """Patches `ClientSession._request`, also if aiohttp is imported later, and what takes its place for a while.

    vcrpy and aioresponses each put a function of theirs there, which for some requests calls ours or for none.
    """

    modules = ("aiohttp.client", "vcr.stubs.aiohttp_stubs", "aioresponses.core")
    library = "aiohttp"
    never_sent = _NEVER_SENT

    def _put(self, module: ModuleType) -> None:
        if module.__name__ == "aiohttp.client":
            self._patches.put(module.ClientSession, "_request", self._send)
        elif module.__name__ == "aioresponses.core":
            owner = sys.modules["aiohttp.client"].ClientSession
            self._follow(module.aioresponses, owner, "_request", self._send)
        else:
            self._patches.put(module, "vcr_request", self._cassette)

    def _send(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime = self._stack, self._runtime

        @wraps(original)
        async def _request(session: Any, /, *args: Any, **kwargs: Any) -> Any:
            current = stack.get()
            if not (current or runtime.is_listening) or not self._live or self._carries(current):
                return await original(session, *args, **kwargs)
            request = AiohttpRequest(session, args, kwargs)
            if not request.is_readable:  # the session finds the same fault in the arguments, and says it
                return await original(session, *args, **kwargs)
            if (slow := runtime.slow_part(request)) is not None:
                await aside(slow)
            attempt = runtime.on_request(request)
            if attempt is None:
                return await original(session, *args, **kwargs)
            if attempt.has_pending_events:
                await attempt.adispatch()
            stack.set((*current, attempt))
            if attempt.replacement_request is not None:
                args, kwargs = attempt.replacement_request
            try:
                response = await original(session, *args, **kwargs)
            except BaseException as error:
                self._failed(attempt, error)
                if attempt.has_pending_events:
                    await attempt.adispatch()
                raise
            finally:
                # A coroutine that the collector closes ends in a foreign context, which is left as it is.
                if stack.get()[-1:] == (attempt,):
                    stack.set(current)
            self._arrive(session, attempt, response)
            if attempt.has_pending_events:
                await attempt.adispatch()
            return response

        return _request

    def _failed(self, attempt: ObservedAttempt, error: BaseException) -> None:
        """The request ended with *error*, which tells the answer's status where `raise_for_status` made it."""
        status = getattr(error, "status", None)
        if type(status) is int and status >= 400 and error.__cause__ is None:  # with a cause: an unreadable answer
            attempt.respond(status, "", streamed=False)
        attempt.failed(error, was_sent=self._was_sent(error))

    def _was_sent(self, error: BaseException) -> bool:
        is_closed = isinstance(error, RuntimeError) and "Session is closed" in str(error)
        return super()._was_sent(error) and not is_closed

    def _cassette(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Make what replaces `_request` in a cassette with our hook around it: it calls aiohttp's own."""

        @wraps(original)
        def vcr_request(*args: Any, **kwargs: Any) -> Any:
            return self._send(original(*args, **kwargs))

        return vcr_request

    def _arrive(self, session: Any, attempt: ObservedAttempt, response: Any) -> None:
        """Read a body that is there already; put a tap on one that is still to come."""
        try:
            headers = response.headers
            if attempt.is_shown:
                attempt.stand_in = _stand_in(response, is_local=attempt.is_local)
            if response._body is not None:  # a callback of the session has read it
                attempt.respond(response.status, "", streamed=False, headers=headers)
                attempt.body(response._body)
                return
            kind = headers.get("content-type", "")
            attempt.respond(response.status, kind, streamed=True, headers=headers)
            encoding = None if getattr(session, "auto_decompress", True) else headers.get("content-encoding")
            decode = decoder_of(encoding) if encoding else None
            tap = ContentTap(response.content, attempt, decode, may_be_whole="event" not in kind)
            response.content = tap if attempt.chunk_filter is None else filtered(tap, attempt.chunk_filter)
        except Exception:
            self._runtime.internal_error("arrive")
            attempt.abandoned()


def _stand_in(response: Any, *, is_local: bool) -> Source | None:
    """What answered instead of a server. Only an answer that came over a connection has a protocol."""
    headers = response.headers
    if is_local and headers.get("server") == SIMULATOR:
        return "mock"
    if getattr(response, "_protocol", None) is not None or "date" in headers:
        return None
    return "mock"
