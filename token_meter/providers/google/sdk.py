"""Reads a call of google-genai before its request is sent."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlsplit

from token_meter.transports.ports import Key, PlannedCall


def read_built(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PlannedCall:
    """Read a call of `_request(http_request, ...)`, the same in every version (1.10 to 3.6, 2026-11)."""
    return _BuiltCall(client, args[0] if args else kwargs["http_request"])


def parts_of(client: Any) -> tuple[Any, ...]:
    """What a `Client`, or its `aio`, sends by: its api client, and the HTTP clients of interactions."""
    inner = getattr(client, "_api_client", None)
    if not hasattr(inner, "_async_request"):
        return ()
    carriers = (getattr(inner, name, None) for name in ("_httpx_client", "_async_httpx_client"))
    return (inner, *(carrier for carrier in carriers if carrier is not None))


class _BuiltCall:
    """A call whose URL and body the SDK has made already."""

    __slots__ = ("_request", "client")

    def __init__(self, client: Any, request: Any) -> None:
        self.client = client
        self._request = request

    @property
    def key(self) -> Key:
        """The endpoint to which the SDK will send it."""
        url = urlsplit(str(self._request.url))
        return str(self._request.method).upper(), url.scheme, url.hostname or "", url.port, unquote(url.path)

    def body(self) -> bytes:
        """The body that the SDK will send."""
        data = self._request.data
        if isinstance(data, bytes):
            return data
        return json.dumps(data).encode() if data else b""
