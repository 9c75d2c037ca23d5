"""Reads a call of botocore or aiobotocore before its request is built and signed."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from token_meter.transports.ports import Key, PlannedCall

_IN_PATH = "modelId"


def read_operation(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PlannedCall:
    """Read a call of `_make_api_call(operation_name, api_params)`, the same in all versions (1.40 to 1.43, 2026)."""
    names = ("operation_name", "api_params")
    operation, params = (args[n] if len(args) > n else kwargs.get(name) for n, name in enumerate(names))
    return _OperationCall(client, operation, params)


def parts_of(client: Any) -> tuple[Any, ...]:
    """A client of any service of AWS sends by itself."""
    return (client,) if callable(getattr(client, "_make_api_call", None)) else ()


class _OperationCall:
    """A call of one operation of any service of AWS."""

    __slots__ = ("_operation", "_params", "client")

    def __init__(self, client: Any, operation: Any, params: Any) -> None:
        self.client = client
        self._operation = operation
        self._params = params

    @property
    def key(self) -> Key:
        """The endpoint to which the SDK will send it; of the parts in its path only the model is filled in."""
        meta = self.client.meta
        asked = meta.service_model.operation_model(self._operation).http
        path = asked["requestUri"].partition("?")[0]
        if isinstance(self._params, Mapping):
            path = path.replace(f"{{{_IN_PATH}}}", str(self._params.get(_IN_PATH)))
        url = urlsplit(meta.endpoint_url)
        return asked["method"], url.scheme, url.hostname or "", url.port, f"{url.path.rstrip('/')}{path}"

    def body(self) -> bytes:
        """The body that the SDK will send: the bytes that it is given, or its parameters as JSON."""
        params = self._params
        if not isinstance(params, Mapping):
            return b""
        if "body" in params:
            given = params["body"]
            if isinstance(given, str):
                return given.encode("utf-8", "surrogatepass")
            return bytes(given) if isinstance(given, bytes | bytearray) else b""
        sent = {name: value for name, value in params.items() if name != _IN_PATH}
        return json.dumps(sent, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass")


def _plain(value: Any) -> str:
    """Convert what is not JSON as the SDK does: bytes to base64."""
    return b64encode(value).decode() if isinstance(value, bytes | bytearray) else str(value)
