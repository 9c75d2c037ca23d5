"""Reads what a multipart form asks for, without reading the file in it."""

from __future__ import annotations

from token_meter.wire.numbers import name_of
from token_meter.wire.request import RequestInfo

_HEAD = 64 * 1024


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
