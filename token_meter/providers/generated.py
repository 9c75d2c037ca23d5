"""Reads calls of SDKs that Speakeasy generates (Mistral's, Google's interactions), or Fern (Cohere's)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote, urlsplit

from token_meter.transports.httpx import HttpxRequest
from token_meter.transports.ports import Key, PlannedCall


def read_speakeasy(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PlannedCall:
    """Read a call of `do_request(hook_ctx, request, ...)`, whose request is one of httpx.

    The same in google-genai 3.0 to 3.6 and mistralai 1.5 to 3.7 (2026-11).
    """
    return HttpxRequest(args[1] if len(args) > 1 else kwargs["request"], client)


def read_fern(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PlannedCall:
    """Read a call of `request(path, *, method, base_url, json, ...)`, the same in cohere 5.13 to 7.3 (2026-11)."""
    return _FernCall(client, args[0] if args else kwargs.get("path"), kwargs)


class _FernCall:
    """A call whose request is not built yet."""

    __slots__ = ("_kwargs", "_path", "client")

    def __init__(self, client: Any, path: str | None, kwargs: dict[str, Any]) -> None:
        self.client = client
        self._path = path or ""
        self._kwargs = kwargs

    @property
    def key(self) -> Key:
        """The endpoint to which the SDK will send it."""
        base = str(self.client.get_base_url(self._kwargs.get("base_url")))
        url = urlsplit(f"{base.rstrip('/')}/{self._path.lstrip('/')}")
        return str(self._kwargs.get("method")).upper(), url.scheme, url.hostname or "", url.port, unquote(url.path)

    def body(self) -> bytes:
        """The body that the SDK will send, without what it omits."""
        data, omit = self._kwargs.get("json"), self._kwargs.get("omit")
        if data is None:
            return b""
        if isinstance(data, dict):
            data = {name: value for name, value in data.items() if value is not omit}
        return json.dumps(data, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return str(value) if dump is None else dump(mode="json", exclude_unset=True)
