"""What a request asks for, read from its bytes without parsing its prompt."""

from __future__ import annotations

from typing import NamedTuple

from token_meter.wire.json_scan import fields
from token_meter.wire.numbers import name_of

_SMALL = 2048
_KEYS = tuple((key, b'"%b"' % key.encode()) for key in ("model", "stream", "background", "service_tier"))


class RequestInfo(NamedTuple):
    """What a request asks for.

    Attributes:
        model: the model's name.
        stream: the answer shall be streamed.
        background: the answer shall be made in the background.
        service_tier: the tier that shall serve.
    """

    model: str | None = None
    stream: bool = False
    background: bool = False
    service_tier: str | None = None


def read_json_request(content: bytes) -> RequestInfo:
    """Read a JSON request: four keys, and of a big body only its ends."""
    keys = [key for key, quoted in _KEYS if content.rfind(quoted) >= 0]
    if not keys:
        return RequestInfo()
    found = fields(content, keys, small=_SMALL) or {}
    return RequestInfo(
        name_of(found.get("model")),
        found.get("stream") is True,
        found.get("background") is True,
        name_of(found.get("service_tier")),
    )
