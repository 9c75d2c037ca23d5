"""The gates of Google's generated clients over gRPC: each method is one call, with its retries inside."""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import Any

from token_meter.providers.google.rpc import RPCS
from token_meter.providers.provider import Gate
from token_meter.transports.grpc import RpcCall
from token_meter.transports.ports import Key, PlannedCall

_BESIDE = ("request", "retry", "timeout", "metadata")
"""What a method is given beside the fields of its request."""
_CONTENT = ("GenerateContent", "StreamGenerateContent")
_EMBEDDINGS = ("EmbedContent", "BatchEmbedContents")


class _GapicCall:
    """A call by a request, or by its fields."""

    __slots__ = ("_given", "_made", "client")

    def __init__(self, client: Any, given: tuple[str, str, tuple[Any, ...], dict[str, Any]]) -> None:
        self.client = client
        self._given = given
        self._made: RpcCall | None = None

    @property
    def _call(self) -> RpcCall:
        if self._made is None:
            package, method, args, kwargs = self._given
            message = args[0] if args else kwargs.get("request")
            if message is None or isinstance(message, dict):
                kind = f"{method.rpartition('/')[2].removeprefix('Stream')}Request"
                fields = {name: value for name, value in kwargs.items() if name not in _BESIDE}
                message = getattr(sys.modules[f"{package}.types"], kind)(message or fields)
            row, match = next((row, found) for row in RPCS if (found := re.fullmatch(row.method, method)))
            host = row.host if row.host_of is None else row.host_of(match, message)
            path = "" if row.path is None else row.path(match, message)
            self._made = RpcCall(self.client, row, ("POST", "https", host, None, path), message)
        return self._made

    @property
    def key(self) -> Key:
        """The path of the same call over HTTP."""
        return self._call.key

    def body(self) -> bytes:
        """The JSON of the request."""
        return self._call.body()


def _read(package: str, method: str, client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PlannedCall:
    return _GapicCall(client, (package, method, args, kwargs))


def _gates(package: str, proto: str, service: str, verbs: tuple[str, ...]) -> list[Gate]:
    module = f"{package}.services.{re.sub('(?!^)(?=[A-Z])', '_', service).lower()}"
    found = []
    for verb in verbs:
        read, name = partial(_read, package, f"/{proto}.{service}/{verb}"), re.sub("(?!^)(?=[A-Z])", "_", verb).lower()
        found.append(Gate(f"{module}.client", f"{service}Client", None, name, read, counts_attempts=True))
        found.append(Gate(f"{module}.async_client", None, f"{service}AsyncClient", name, read, counts_attempts=True))
    return found


# google-ai-generativelanguage 0.6, google-cloud-aiplatform 1.70 to 2.7, 2026-11.
GATES = tuple(
    gate
    for package, service, versions, verbs in (
        ("google.ai.generativelanguage", "GenerativeService", ("v1", "v1beta"), (*_CONTENT, *_EMBEDDINGS)),
        ("google.cloud.aiplatform", "PredictionService", ("v1", "v1beta1"), (*_CONTENT, "Predict")),
    )
    for version in versions
    for gate in _gates(f"{package}_{version}", f"{package}.{version}", service, verbs)
)
"""Retries are those of google.api_core, which carry no number."""
