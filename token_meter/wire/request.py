"""What a request asks for, read from its bytes without parsing its prompt. Knows no HTTP."""

from __future__ import annotations

from typing import NamedTuple

from token_meter.wire.json_scan import fields
from token_meter.wire.numbers import name_of

_SMALL = 2048
_HEAD = 64 * 1024
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


def read_form_request(content: bytes) -> RequestInfo:
    """Read a multipart form: its small fields stand at one end, before or behind the file."""
    boundary = content[: content.find(b"\r\n")] if b"\r\n" in content[:256] else content[:72]
    ends = content if len(content) <= 2 * _HEAD else content[:_HEAD] + content[-_HEAD:]
    return RequestInfo(name_of(_part(ends, boundary, b"model")), _part(ends, boundary, b"stream") == "true")


def _part(content: bytes, boundary: bytes, name: bytes) -> str | None:
    head = boundary + b'\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n'
    at = content.find(head)
    if at < 0:
        return None
    end = content.find(b"\r\n", at + len(head))
    return content[at + len(head) : end].decode("utf-8", "replace") if end >= 0 else None
