"""Mistral's models at other clouds: the path that Vertex has for them, and what Mistral's SDK asks there."""

from __future__ import annotations

from typing import Any

from token_meter.estimate.rules import CountingRules
from token_meter.providers.generated import read_speakeasy
from token_meter.providers.openai.chat import CHAT
from token_meter.providers.provider import Gate
from token_meter.transports.ports import Key, PlannedCall
from token_meter.wire.json_scan import parse_object


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.mistral import counting

    return counting.AT_VERTEX


# https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/mistral and /ai21, 2026-11: OpenAI's format, for
# chats and for what is filled in, behind one path. OCR has it too, and states no tokens.
AT_VERTEX = CHAT._replace(
    paths=tuple(
        f"publishers/{publisher}/models/{{model}}:{method}"
        for publisher in ("mistralai", "ai21")
        for method in ("rawPredict", "streamRawPredict")
    ),
    can_request_stream_usage=False,
    rules=_rules,
)


class _VertexCall:
    """A call whose request has no place yet: a hook of the SDK makes the path, by the model in the body."""

    __slots__ = ("_request", "client")

    def __init__(self, request: PlannedCall) -> None:
        self.client = request.client
        self._request = request

    @property
    def key(self) -> Key:
        """Where the SDK will send it, but for project and location."""
        method, scheme, host, port, path = self._request.key
        model = (parse_object(self.body()) or {}).get("model")
        return method, scheme, host, port, f"/publishers/mistralai/models/{model}:{path.rpartition('/')[2]}"

    def body(self) -> bytes:
        """The body that the SDK will send."""
        return self._request.body()


def _read_vertex(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> PlannedCall:
    return _VertexCall(read_speakeasy(client, args, kwargs))


# Of 1.x, then of 3.x (2026-11), with both colours in one class; at Azure it asks by OpenAI's path. Retries are inside,
# and carry no number.
GATES = tuple(
    Gate(f"{module}.basesdk", sync, other, method, read, counts_attempts=True)
    for module, read in (
        ("mistralai", read_speakeasy), ("mistralai.client", read_speakeasy),
        ("mistralai_gcp", _read_vertex), ("mistralai.gcp.client", _read_vertex),
        ("mistralai_azure", read_speakeasy), ("mistralai.azure.client", read_speakeasy),
    )
    for sync, other, method in (("BaseSDK", None, "do_request"), (None, "BaseSDK", "do_request_async"))
)  # fmt: skip
"""The gates of Mistral's SDK, those of its clients of other clouds among them."""
