"""Framings other than server-sent events: JSON lines, a growing JSON array, AWS event streams. It knows no api."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from token_meter.wire.json_scan import Object, parse_object, start_of

_BOM = b"\xef\xbb\xbf"
_PRELUDE = 12
_CRC = 4
_STRING = 7
# Sizes of the header values that are no strings: true, false, byte, short, int, long; 6 and 7 carry a length;
# 8 is a timestamp, 9 a UUID. https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html (2026-11)
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
# Between two objects, and never within one: a line break in a text is escaped.
_LINE_END = re.compile(rb"\}[ \t]*\r?\n[ \t]*\{")
_FRAME_LIMIT = 24 * 1024 * 1024


class Frame(NamedTuple):
    """One message of an AWS event stream: its headers that are strings, and its payload."""

    headers: dict[str, str]
    payload: bytes


def several(raw: bytes, *, is_array: bool) -> Iterator[Object]:
    """The objects of a body that is no one object: a line's each, or an array's where the layout says so; else none."""
    if is_array:
        yield from json_array(raw)
    elif raw.startswith(b"{", start_of(raw)) and _LINE_END.search(raw):
        yield from json_lines(raw)


def json_lines(raw: bytes) -> Iterator[Object]:
    """The objects of a body with one JSON object a line; a last line that is cut is left out."""
    for line in raw.removeprefix(_BOM).splitlines():
        found = parse_object(line) if line.strip() else None
        if found is not None:
            yield found


def json_array(raw: bytes) -> Iterator[Object]:
    """The objects of a JSON array, as far as it has come: a stream that is left ends amid an element."""
    text = raw.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if not text.startswith("["):
        return
    decoder = json.JSONDecoder()
    at = 1
    while True:
        while at < len(text) and text[at] in ", \t\r\n":
            at += 1
        if at >= len(text) or text[at] == "]":
            return
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(found, dict):
            yield found


def aws_frames(raw: bytes) -> Iterator[Frame]:
    """The messages of an AWS event stream, as far as they are whole; checksums are the client's affair.

    A frame is: total length and headers' length (4 bytes each), their checksum, headers, payload, checksum.
    """
    at = 0
    while at + _PRELUDE <= len(raw):
        total, headers = int.from_bytes(raw[at : at + 4], "big"), int.from_bytes(raw[at + 4 : at + 8], "big")
        end = at + total
        if not _PRELUDE + headers + _CRC <= total <= _FRAME_LIMIT or end > len(raw):
            return
        start = at + _PRELUDE
        yield Frame(_strings(raw[start : start + headers]), raw[start + headers : end - _CRC])
        at = end


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
