"""Whatever the bytes are, the readers agree with openai's own decoder, make nothing up, and never raise."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from tests.wire.bodies import CASES, CHAT, RESPONSE, dump
from tests.wire.by_name import APIS, DeltaReader, StreamReader, read_answer, read_body
from token_meter.providers.usage import usage_of
from token_meter.types import Answer, Delta, Reading, Usage
from token_meter.wire import read_request
from token_meter.wire.numbers import NumberReader
from token_meter.wire.usage_merge import merge


class _Loud(logging.Handler):
    """Turns a caught failure into a failed test: the guards at the door must have nothing to do."""

    def emit(self, record: logging.LogRecord) -> None:
        raise AssertionError(record.getMessage())


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_caught() -> Iterator[None]:
    log, handler = logging.getLogger("token_meter"), _Loud()
    log.addHandler(handler)
    yield
    log.removeHandler(handler)


counts = st.integers(0, 10_000)
words = st.text(max_size=12) | st.sampled_from(
    [
        '"usage":{"prompt_tokens":9,"completion_tokens":9}',
        "data: [DONE]\n\n",
        "\r\r",
        "\n\nevent: x",
        "é模型😀",
        "\u2028",
    ]
)
usages = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": st.none() | counts,
        "completion_tokens": st.none() | counts,
        "total_tokens": st.none() | counts,
        "prompt_tokens_details": st.none() | st.fixed_dictionaries({}, optional={"cached_tokens": st.none() | counts}),
    },
)
chunks = st.fixed_dictionaries(
    {"choices": st.lists(st.builds(lambda text: {"index": 0, "delta": {"content": text}}, words), max_size=1)},
    optional={"usage": usages, "note": words},
)
payloads = chunks | st.none() | st.lists(st.integers(), max_size=2) | words
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[int]]:
    """The bytes of a stream with all liberties that the format has, and where to cut them."""
    lines: list[str] = []
    for payload in draw(st.lists(payloads, max_size=8)):
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from([": ping", "id: 7", "event: message", "retry: 10", "data_: x", ""])))
        text = json.dumps(payload, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, 1])))
        lines.extend(f"data:{draw(st.sampled_from(['', ' ']))}{line}" for line in text.split("\n"))
        lines.append("")
    if draw(st.booleans()):
        lines.extend(["data: [DONE]", ""])
    raw = b""
    for line in lines:
        raw += line.encode() + draw(line_ends)
        if not line and raw.endswith(b"\r\n") and not raw.endswith(b"\n\r\n"):
            raw += b"\n"  # a line end in one piece with the one before it makes no blank line
    return raw, sorted(draw(st.lists(st.integers(0, len(raw)), max_size=12)))


def cut(raw: bytes, cuts: list[int]) -> list[bytes]:
    """*raw* in pieces."""
    return [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]


def delivered(raw: bytes) -> list[Any]:
    """What openai's own decoder makes of it."""
    events = [sse.data for sse in SSEDecoder().iter_bytes(iter([raw]))]
    return [json.loads(data) for data in events if data and not data.startswith("[DONE]")]


@given(streams())
def test_f15_streams_agree_with_the_decoder_of_openai(stream: tuple[bytes, list[int]]) -> None:
    """Any events, any cuts, any line ends: the pieces are those that the caller sees, the usage the last one heard."""
    raw, cuts = stream
    events = [event for event in delivered(raw) if isinstance(event, dict)]
    reported = [event["usage"] for event in events if event.get("usage")]
    expected = usage_of(reduce(merge, reported, {}), NumberReader())
    texts = [choice["delta"]["content"] for event in events for choice in event["choices"]]

    reader, passing = StreamReader("chat"), DeltaReader("chat")
    deltas = []
    for piece in cut(raw, cuts):
        reader.feed(piece)
        deltas.extend(passing.feed(piece))

    assert deltas == [Delta("text", text) for text in texts if text]
    assert "".join(reader.answer().texts) == "".join(texts)
    found = reader.finish().usage or Usage()
    if len(reported) <= 2:
        assert found == expected
    else:  # what stands between may add a detail; the totals are those of the last reports
        assert (found.prompt_tokens, found.completion_tokens) == (expected.prompt_tokens, expected.completion_tokens)


KEYS = [
    "usage",
    "choices",
    "model",
    "id",
    "response",
    "message",
    "delta",
    "error",
    "status",
    "output",
    "type",
    "item",
    "prompt_tokens",
    "cached_tokens",
    "input_tokens_details",
    "cost",
    "tool_usage",
    "image_gen",
    "content",
    "tool_calls",
    "function",
    "name",
    "object",
    "seconds",
    "text",
    "index",
    "service_tier",
    "svg_usage",
    "completion_tokens",
    "total_tokens",
]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)
apis = st.sampled_from([*APIS, "unheard"])


@given(apis, values)
@example("realtime", {"type": []})  # found by chance after some hundred runs
def test_odd_shapes_never_raise(api: str, value: Any) -> None:
    """Known keys with foreign values: a reading comes back, and every count in it is a count."""
    body = json.dumps(value).encode("utf-8")
    event = b"data: " + body + b"\n\n"
    reader = StreamReader(api)
    reader.feed(event)

    for reading in (read_body(api, body), read_body(api, event), reader.finish()):
        assert isinstance(reading, Reading)
        assert all(type(n) is int and 0 <= n < 2**63 for n in (reading.usage or ())[:14] if n is not None)
        for name in (reading.model, reading.service_tier, reading.response_id, reading.error):
            assert name is None or (len(name) <= 200 and name.isprintable())
    assert isinstance(read_answer(api, body), Answer)
    assert isinstance(reader.answer(), Answer)
    assert isinstance(DeltaReader(api).feed(event), list)
    read_request(body)


BITS = rb"""{ } [ ] : , " \ 1 null data: event: "usage" "usage":{ "prompt_tokens":1 "model":"m" [DONE] "stream":true --x
response.completed "error": name="model" """.split()
near_json = st.lists(
    st.sampled_from([*BITS, b" ", b"\n", b"\r", b"data: {}\n\n", b"\xff", b"\xef\xbb\xbf", b"\x00"]), max_size=30
).map(b"".join)


@given(apis, st.binary(max_size=200) | near_json, st.sampled_from([1, 3, 1000]), st.sampled_from([0, 40_000]))
def test_any_bytes_never_raise(api: str, raw: bytes, size: int, padding: int) -> None:
    """Noise, near-JSON and near-events, short and padded beyond the size that is parsed whole."""
    raw = raw + b" " * padding
    reader, passing = StreamReader(api), DeltaReader(api)
    for at in range(0, len(raw) if not padding else 0, size):
        reader.feed(raw[at : at + size])
        passing.feed(raw[at : at + size])
    reader.feed(raw)

    assert isinstance(read_body(api, raw), Reading)
    assert isinstance(reader.finish(), Reading)
    assert isinstance(reader.answer(), Answer)
    assert isinstance(read_answer(api, raw), Answer)
    read_request(raw)


@given(st.text(max_size=40) | words, st.integers(0, 2), st.sampled_from([0, 30_000]))
def test_no_text_is_taken_for_a_usage(text: str, locate_usage: int, padding: int) -> None:
    """Whatever the model writes, wherever it stands: it is never counted."""
    said = text + '"usage":{"prompt_tokens":9},' + text
    body: dict[str, Any] = {"id": "c", "model": "m", "choices": [{"message": {"content": said + "x" * padding}}]}
    body = {
        **({said: said} if locate_usage == 0 else {}),
        **body,
        **({"z": {said: [said]}} if locate_usage == 1 else {}),
    }
    event = b"data: " + dump_surrogates(body) + b"\n\n"

    assert read_body("chat", dump_surrogates(body)).usage is None
    assert read_body("chat", event + b"data: [DONE]\n\n").usage is None


def dump_surrogates(value: Any) -> bytes:
    """JSON that may hold half characters, as a careless server sends it."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


@given(st.sampled_from(sorted(CASES)), st.integers(0, 40_000), st.permutations(range(12)), st.booleans())
def test_the_order_and_size_of_a_body_do_not_matter(case: str, padding: int, order: list[int], indented: bool) -> None:
    """Big or small, in any order of keys: the same usage."""
    api, body, usage = CASES[case]
    keys = [*body, "padding"]
    padded = {**body, "padding": {"usage": "x" * padding}}
    shuffled = sorted(keys, key=lambda key: order[hash_of(key) % len(order)])

    raw = json.dumps({key: padded[key] for key in shuffled}, indent=1 if indented else None).encode()

    assert read_body(api, raw).usage == usage


def hash_of(key: str) -> int:
    """A number for a key that is the same in every process."""
    return sum(map(ord, key))


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"x":"' + b"data: [DONE]" * 300_000 + b'"}\n\n',
        b'data: {"x":"' + b'\\"usage\\":' * 300_000 + b'"}\n\n',
        b"data: " + b'"usage":' * 300_000 + b"\n\n",
        b"data: " + b'"error":1,' * 300_000 + b"\n\n",
        b'data: {"usage":1}\n\n' * 100_000,
        b"\n" * 4_000_000,
        b"data: {" * 500_000,
        b'{"a":{' + b'"usage":{"a":' * 200_000,
    ],
)
def test_hostile_bytes_cost_no_more_than_their_length(raw: bytes) -> None:
    """Streams that are full of marks end in a reading, not in a hang (a quadratic reader would take minutes)."""
    reader = StreamReader("chat")
    reader.feed(raw)

    assert reader.finish().usage is None


def test_recorded_bodies_cut_anywhere_never_raise() -> None:
    """A connection may break at any byte; what came before it is no usage."""
    for api, body in (("chat", CHAT), ("responses", RESPONSE)):
        raw = dump(body)
        assert {read_body(api, raw[:at]).usage for at in range(len(raw))} == {None}
