"""Framings other than server-sent events."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.by_name import StreamReader, read_body
from token_meter import wire
from token_meter.providers import api_named, usage_of
from token_meter.types import Usage
from token_meter.wire import ContentPart, Format, UsageLocation, aws_events, json_array
from token_meter.wire.framing import Frame, aws_frames, json_lines
from token_meter.wire.json_scan import Object

CHUNKS = [
    {"model": "m", "choices": [{"delta": {"content": "a"}}]},
    {"choices": [{"delta": {"content": "b\n"}}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
]
LINES = b"\n".join(json.dumps(chunk).encode() for chunk in CHUNKS) + b"\n"
ARRAY = json.dumps(CHUNKS, indent=1).encode()


def frame(headers: dict[str, str], payload: bytes, *, before: bytes = b"") -> bytes:
    """A message as AWS writes it, with its two checksums."""
    packed = before
    for name, value in headers.items():
        packed += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack(">I", crc32(prelude)) + packed + payload
    return message + struct.pack(">I", crc32(message))


def event(kind: str, data: Any) -> bytes:
    """An event of a stream, as Bedrock sends it."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(data).encode())


def exception(kind: str) -> bytes:
    """An error that ends a stream."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, b'{"message":"canary"}')


def located(found: Object) -> UsageLocation:
    """Where the toy's events say what was used."""
    return UsageLocation(found["usage"] if isinstance(found.get("usage"), dict) else None, found)


def parts(found: Object) -> Iterator[ContentPart]:
    """The text of the toy's events."""
    if isinstance(found.get("text"), str):
        yield ContentPart("text", found["text"])


FRAMED = Format(
    usage=usage_of, locate_usage=located, stream_parts=parts, terminal=frozenset({"metadata"}), framing=aws_events
)
START = event("messageStart", {"model": "m"})
TEXT = [event("contentBlockDelta", {"text": text}) for text in ("ab", "\n\ndata: [DONE]\n\n", "é")]
USED = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
END = event("metadata", {"usage": USED})
STREAM = START + b"".join(TEXT) + END
SHOWN = "ab\n\ndata: [DONE]\n\né"


def read_in_pieces(layout: Format, raw: bytes, size: int) -> wire.StreamReader:
    """A reader that was fed *raw*."""
    reader = wire.StreamReader(layout)
    for at in range(0, len(raw), size):
        reader.feed(raw[at : at + size])
    return reader


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
    growing, other = wire.StreamReader(layout._replace(framing=json_array)), wire.StreamReader(layout)
    for at in range(0, len(ARRAY), size):
        growing.feed(ARRAY[at : at + size])
        other.feed(ARRAY[at : at + size])

    assert growing.finish().usage == Usage(3, 4, 7)
    assert growing.answer().texts == ("ab\n",)
    assert other.finish().usage is None


def test_an_array_that_is_cut_gives_the_elements_that_came() -> None:
    """A stream that its reader left."""
    cut = ARRAY[: ARRAY.index(b'"usage"')]

    assert [found for found, _ in json_array(cut)] == CHUNKS[:2]
    assert [found for found, _ in json_lines(LINES[:-5])] == CHUNKS[:2]


def test_each_element_says_where_it_ends() -> None:
    """In bytes, behind a mark of byte order and letters of several bytes too; from there on the rest can be read."""
    elements = [{"text": "é€"}, 1, {"text": "𝄞"}, {"n": [{}]}]
    raw = b"\xef\xbb\xbf" + json.dumps(elements, ensure_ascii=False).encode()
    found = list(json_array(raw))

    assert [element for element, _ in found] == [elements[0], elements[2], elements[3]]
    for n, (_, end) in enumerate(found):
        assert [element for element, _ in json_array(raw[end:])] == [element for element, _ in found[n + 1 :]]


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
    first = frame({":event-type": "metadata"}, b'{"usage":{}}')
    raw = first + frame({":message-type": "exception"}, b"", before=other)

    assert list(aws_frames(raw)) == [
        Frame({":event-type": "metadata"}, b'{"usage":{}}', len(first)),
        Frame({":message-type": "exception"}, b"", len(raw)),
    ]


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 20, 30])
def test_an_aws_frame_that_is_cut_is_left_out(cut: int) -> None:
    """The one before it stays."""
    first, second = frame({"a": "b"}, b"1"), frame({"c": "d"}, b"2" * 20)

    assert list(aws_frames(first + second[:cut])) == [Frame({"a": "b"}, b"1", len(first))]


@pytest.mark.parametrize("raw", [b"\xff" * 40, b"\x00" * 40, struct.pack(">II", 20, 4000) + b"x" * 40])
def test_bytes_that_are_no_aws_frames_hold_none(raw: bytes) -> None:
    """Lengths that cannot be are no lengths."""
    assert list(aws_frames(raw)) == []


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_an_aws_event_stream_is_read(size: int) -> None:
    """Whole and in pieces; text that looks like the end of server-sent events is text."""
    reader = read_in_pieces(FRAMED, STREAM, size)
    reading = reader.finish()

    assert (reading.usage, reading.model, reading.ended, reading.error) == (Usage(3, 4, 7), "m", True, None)
    assert reader.answer().texts == wire.read_answer(FRAMED, STREAM).texts == (SHOWN,)
    assert wire.read_body(FRAMED, STREAM).usage == Usage(3, 4, 7)


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("layout", "raw"),
    [
        (FRAMED, STREAM),
        (FRAMED._replace(framing=json_array), json.dumps([{"text": "ab"}, {"text": SHOWN[2:]}], indent=1).encode()),
        (FRAMED, b'data: {"text":"ab"}\n\ndata: ' + json.dumps({"text": SHOWN[2:]}).encode() + b"\n\n"),
    ],
    ids=["frames", "array", "events"],
)
def test_the_pieces_of_a_framed_stream_are_told_as_they_pass(layout: Format, raw: bytes, size: int) -> None:
    """A service may also speak events, where it is asked for them."""
    reader = wire.DeltaReader(layout)
    told = [delta.text for at in range(0, len(raw), size) for delta in reader.feed(raw[at : at + size])]

    assert "".join(told) == SHOWN


def test_a_layout_with_frames_still_reads_json_and_events() -> None:
    """One api may answer whole in JSON, and streamed in frames."""
    whole = json.dumps({"model": "m", "usage": USED}).encode()

    assert wire.read_body(FRAMED, whole).usage == Usage(3, 4, 7)
    assert wire.read_body(FRAMED, b"data: " + whole + b"\n\n").usage == Usage(3, 4, 7)
    assert read_in_pieces(FRAMED, b"data: " + whole + b"\n\n", 9).finish().usage == Usage(3, 4, 7)


def test_a_stream_of_frames_that_is_left_has_not_ended() -> None:
    """Its end is an event that the layout calls terminal."""
    reading = read_in_pieces(FRAMED, STREAM[: -len(END)] + END[:-1], 50).finish()

    assert (reading.usage, reading.model, reading.ended) == (None, "m", False)


@pytest.mark.parametrize("before", [b"", START, START + END])
def test_an_exception_among_the_frames_is_an_error(before: bytes) -> None:
    """Its type is kept, its message never; what was reported before it counts."""
    reading = read_in_pieces(FRAMED, before + exception("throttlingException"), 50).finish()

    assert (reading.error, reading.usage) == ("throttlingException", Usage(3, 4, 7) if END in before else None)
    assert "canary" not in repr(reading)


def test_an_error_that_the_service_could_not_frame_as_an_exception_is_one_too() -> None:
    raw = frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "canary"}, b"")

    assert wire.read_body(FRAMED, raw).error == "InternalError"


@pytest.mark.parametrize("at", [0, 3, 5, 9, 20, 60, -1])
def test_after_a_broken_checksum_nothing_is_known(at: int) -> None:
    """The client stops there; what came before it stands."""
    broken = bytearray(END)
    broken[at] ^= 1
    reading = read_in_pieces(FRAMED, START + bytes(broken) + END, 50).finish()

    assert (reading.usage, reading.model) == (None, "m")


@pytest.mark.parametrize("payload", [b"", b"null", b"[1]", b"\xff", b"{", b'{"usage":3}'])
def test_a_frame_without_an_object_says_nothing(payload: bytes) -> None:
    raw = frame({":message-type": "event", ":event-type": "odd"}, payload) + frame({}, payload)

    assert wire.read_body(FRAMED, raw + END).usage == Usage(3, 4, 7)


@pytest.mark.parametrize(
    ("layout", "first", "piece", "last"),
    [
        (FRAMED, START, event("contentBlockDelta", {"text": "x" * 1_000_000}), END),
        (FRAMED._replace(framing=json_array), b'[{"model":"m"}', b',{"text":"' + b"x" * 1_000_000 + b'"}',
         b',{"usage":' + json.dumps(USED).encode() + b"}]"),
    ],
    ids=["frames", "array"],
)  # fmt: skip
def test_of_a_stream_too_large_to_keep_the_ends_are_read(
    layout: Format, first: bytes, piece: bytes, last: bytes
) -> None:
    """The middle goes at whole objects, so that the rest can still be read."""
    reader = read_in_pieces(layout, first + piece * 20 + last, 65_536)

    assert (reader.finish().usage, reader.finish().model) == (Usage(3, 4, 7), "m")
    assert reader.answer().texts == ()


@given(
    messages=st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=60)), max_size=4),
    rest=st.binary(max_size=40),
)
def test_frames_of_anything_raise_nothing(messages: list[tuple[bytes, bytes]], rest: bytes) -> None:
    """Their checksums fit; headers and payloads may hold any bytes."""
    raw = b"".join(frame({":message-type": "event"}, payload, before=before) for before, payload in messages) + rest
    reader = wire.DeltaReader(FRAMED)
    for at in range(0, len(raw), 11):
        reader.feed(raw[at : at + 11])

    assert wire.read_body(FRAMED, raw).usage is None
    assert all(0 < end <= len(raw) for _, end in aws_events(raw))
    assert list(json_array(raw)) == [] or b"{" in raw
