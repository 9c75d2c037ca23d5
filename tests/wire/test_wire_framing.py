"""Framings other than server-sent events."""

from __future__ import annotations

import json
import struct

import pytest

from tests.wire.by_name import StreamReader, read_body
from token_meter import wire
from token_meter.providers import api_named
from token_meter.types import Usage
from token_meter.wire.framing import Frame, aws_frames, json_array, json_lines

CHUNKS = [
    {"model": "m", "choices": [{"delta": {"content": "a"}}]},
    {"choices": [{"delta": {"content": "b\n"}}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
]
LINES = b"\n".join(json.dumps(chunk).encode() for chunk in CHUNKS) + b"\n"
ARRAY = json.dumps(CHUNKS, indent=1).encode()


def frame(headers: dict[str, str], payload: bytes, *, before: bytes = b"") -> bytes:
    """A message as AWS writes it; the checksums are not looked at."""
    packed = before
    for name, value in headers.items():
        packed += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    return struct.pack(">II", 16 + len(packed) + len(payload), len(packed)) + b"crc1" + packed + payload + b"crc2"


@pytest.mark.parametrize("raw", [LINES, LINES.rstrip(), LINES.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + LINES])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_f143_lines_of_objects_are_read(raw: bytes, size: int) -> None:
    """Whole and in pieces."""
    reader = StreamReader("chat")
    for at in range(0, len(raw), size):
        reader.feed(raw[at : at + size])

    assert reader.finish().usage == read_body("chat", raw).usage == Usage(3, 4, 7)
    assert reader.answer().texts == ("ab\n",)


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_growing_array_is_read_where_the_layout_says_that_it_is_one(size: int) -> None:
    """Elsewhere an array is no answer."""
    layout = api_named("chat").format
    growing, other = wire.StreamReader(layout._replace(is_array=True)), wire.StreamReader(layout)
    for at in range(0, len(ARRAY), size):
        growing.feed(ARRAY[at : at + size])
        other.feed(ARRAY[at : at + size])

    assert growing.finish().usage == Usage(3, 4, 7)
    assert growing.answer().texts == ("ab\n",)
    assert other.finish().usage is None


def test_an_array_that_is_cut_gives_the_elements_that_came() -> None:
    """A stream that its reader left."""
    cut = ARRAY[: ARRAY.index(b'"usage"')]

    assert list(json_array(cut)) == CHUNKS[:2]
    assert list(json_lines(LINES[:-5])) == CHUNKS[:2]


@pytest.mark.parametrize("raw", [b"", b"[", b"[1, 2]", b"[{]", b"{", b"null", b"[[[[", b"\xff\xfe["])
def test_what_is_no_framing_holds_no_objects(raw: bytes) -> None:
    """And raises nothing."""
    assert list(json_array(raw)) == []


def test_one_object_over_many_lines_is_one_object() -> None:
    """Its line breaks stand between values."""
    body = json.dumps({"model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, indent=2).encode()

    assert read_body("chat", body).usage == Usage(1, 2, 3)


def test_aws_frames_give_their_strings_and_payloads() -> None:
    """Headers of other types are passed over."""
    other = b"\x01a\x00" + b"\x01b\x04" + b"\x00\x00\x00\x07" + b"\x01c\x06\x00\x02xy" + b"\x01d\x09" + b"u" * 16
    raw = frame({":event-type": "metadata"}, b'{"usage":{}}') + frame({":message-type": "exception"}, b"", before=other)

    assert list(aws_frames(raw)) == [
        Frame({":event-type": "metadata"}, b'{"usage":{}}'),
        Frame({":message-type": "exception"}, b""),
    ]


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 20, 30])
def test_an_aws_frame_that_is_cut_is_left_out(cut: int) -> None:
    """The one before it stays."""
    first, second = frame({"a": "b"}, b"1"), frame({"c": "d"}, b"2" * 20)

    assert list(aws_frames(first + second[:cut])) == [Frame({"a": "b"}, b"1")]


@pytest.mark.parametrize("raw", [b"\xff" * 40, b"\x00" * 40, struct.pack(">II", 20, 4000) + b"x" * 40])
def test_bytes_that_are_no_aws_frames_hold_none(raw: bytes) -> None:
    """Lengths that cannot be are no lengths."""
    assert list(aws_frames(raw)) == []
