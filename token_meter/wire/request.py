"""What a request asks for, read from its bytes without parsing its prompt."""

from __future__ import annotations

from typing import NamedTuple

from token_meter.wire.json_scan import fields
from token_meter.wire.numbers import name_of

_SMALL = 2048
_KEYS = tuple((key, b'"%b"' % key.encode()) for key in ("model", "stream", "background", "service_tier", "serviceTier"))


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
    """Read a JSON request: some keys, and of a big body only its ends. A tier has two spellings, or is an object."""
    keys = [key for key, quoted in _KEYS if content.rfind(quoted) >= 0]
    if not keys:
        return RequestInfo()
    found = fields(content, keys, small=_SMALL) or {}
    tier = found.get("service_tier") or found.get("serviceTier")
    return RequestInfo(
        name_of(found.get("model")),
        found.get("stream") is True,
        found.get("background") is True,
        name_of(tier.get("type") if isinstance(tier, dict) else tier),
    )
