"""Framings other than one JSON value and server-sent events: JSON lines, a JSON array, AWS event streams.

A `Framing` gives each whole object of some bytes, and the place where it ends. The bytes may start between two objects,
and may end amid one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias
from zlib import crc32

from token_meter.wire.json_scan import Object, parse_object, start_of

_PRELUDE = 12
_CRC = 4
_STRING = 7
# Sizes of the header values that are no strings: true, false, byte, short, int, long; 6 and 7 carry a length;
# 8 is a timestamp, 9 a UUID. https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html (2026-11)
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
# Between two objects, and never within one: a line break in a text is escaped.
_LINE_END = re.compile(rb"\}[ \t]*\r?\n[ \t]*\{")
# Where a line ends an object, and the next one begins an event.
_GLUED = (b"}\ndata:", b"}\nevent:", b"}\nid:", b"}\n:")
_NEXT = re.compile(rb"(?<=[}\]])\n(?=(?:data|event|id|retry)?:)")
_FRAME_LIMIT = 24 * 1024 * 1024
_BETWEEN = "\ufeff[, \t\r\n"

Framing: TypeAlias = Callable[[bytes], Iterator[tuple[Object, int]]]
"""Gives each whole object in some bytes, and where it ends."""


class Frame(NamedTuple):
    """One message of an AWS event stream: its headers that are strings, its payload, and where it ends."""

    headers: dict[str, str]
    payload: bytes
    end: int


def is_object(raw: bytes) -> bool:
    """Whether a body begins like a JSON object."""
    return raw.startswith(b"{", start_of(raw))


def several(raw: bytes, framing: Framing | None) -> Iterator[Object]:
    """The objects of a body that is not one object: by the layout's framing, or one a line; else none."""
    if framing is not json_lines and is_object(raw):
        yield from (found for found, _ in json_lines(raw)) if _LINE_END.search(raw) else ()
    elif framing is not None:
        yield from (found for found, _ in framing(raw))


def json_lines(raw: bytes) -> Iterator[tuple[Object, int]]:
    """The objects of a body with one JSON object a line; a last line that is cut is left out."""
    end = 0
    for line in raw.splitlines(keepends=True):
        end += len(line)
        found = parse_object(line) if line.strip() else None
        if found is not None:
            yield found, end


def json_array(raw: bytes) -> Iterator[tuple[Object, int]]:
    """The objects of a JSON array, as far as it has come: a stream that is left ends amid an element."""
    text = raw.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    at = end = 0
    while True:
        start = at
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
        if at >= len(text) or text[at] == "]":
            return
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        end += len(text[start:at].encode("utf-8"))
        if isinstance(found, dict):
            yield found, end


def aws_events(raw: bytes) -> Iterator[tuple[Object, int]]:
    """The events of an AWS event stream: the payload of each frame, with the frame's event type as its `type`.

    An exception, which ends the stream, becomes an error of that type; its message is left out.
    """
    for headers, payload, end in aws_frames(raw):
        kind = headers.get(":message-type")
        if kind == "event":
            yield {**(parse_object(payload) or {}), "type": headers.get(":event-type", "")}, end
        elif kind in ("exception", "error"):
            code = headers.get(":exception-type") or headers.get(":error-code") or "error"
            yield {"type": "error", "error": {"code": code}}, end


def aws_marks(*kinds: str) -> tuple[bytes, ...]:
    """The bytes of the headers that end an AWS event stream: those of some types of events, and of any exception."""
    events = (b":event-type\x07%b%b" % (len(kind).to_bytes(2, "big"), kind.encode()) for kind in kinds)
    return (b":exception-type", *events)


def aws_frames(raw: bytes) -> Iterator[Frame]:
    """The messages of an AWS event stream, as far as they are whole and sound.

    A frame is: total length and headers' length (4 bytes each), their checksum, headers, payload, checksum of all that.
    The client stops at a checksum that does not fit, so what comes after it has been seen by no program.
    """
    at = 0
    while at + _PRELUDE <= len(raw):
        total, headers = int.from_bytes(raw[at : at + 4], "big"), int.from_bytes(raw[at + 4 : at + 8], "big")
        end = at + total
        if not _PRELUDE + headers + _CRC <= total <= _FRAME_LIMIT or end > len(raw):
            return
        if _crc(raw, at + 8) != crc32(raw[at : at + 8]) or _crc(raw, end - _CRC) != crc32(raw[at : end - _CRC]):
            return
        start = at + _PRELUDE
        yield Frame(_strings(raw[start : start + headers]), raw[start + headers : end - _CRC], end)
        at = end


def _crc(raw: bytes, at: int) -> int:
    return int.from_bytes(raw[at : at + _CRC], "big")


def _strings(raw: bytes) -> dict[str, str]:
    """The headers whose values are strings; the rest is passed over, and what cannot be read ends the list."""
    found: dict[str, str] = {}
    at = 0
    while at < len(raw):
        length = raw[at]
        name, kind_at = raw[at + 1 : at + 1 + length], at + 1 + length
        if kind_at >= len(raw):
            break
        kind = raw[kind_at]
        at = kind_at + 1
        if kind in _SIZES:
            at += _SIZES[kind]
            continue
        size = int.from_bytes(raw[at : at + 2], "big")
        value = raw[at + 2 : at + 2 + size]
        at += 2 + size
        if kind == _STRING:
            found[name.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return found


def parted(raw: bytes, is_one: Callable[[bytes], bool]) -> bytes:
    """Plain lines of server-sent events, with every event parted by a blank line.

    A gateway parts events by one line end, as clients that read line by line take them. A block that *is_one* event, by
    its lines together, stays: the standard has it so.
    """
    if not any(raw.find(mark) >= 0 for mark in _GLUED):
        return raw
    blocks = raw.split(b"\n\n")
    return b"\n\n".join(
        block if _NEXT.search(block) is None or is_one(block) else _NEXT.sub(b"\n\n", block) for block in blocks
    )
