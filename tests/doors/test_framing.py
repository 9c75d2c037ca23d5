"""`Format.framing`: a provider that streams in frames, counted, told and limited like any other."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import httpx
import pytest

from token_meter import Api, CallbackHandler, Format, Provider, Usage, meter, register, unregister
from token_meter.wire import ContentPart, NumberReader, UsageLocation, aws_events, json_array

MODEL = "arn:toy:model/one"
KIND = "application/vnd.toy.eventstream"


def _frame(headers: dict[str, str], payload: bytes) -> bytes:
    packed = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(packed) + len(payload), len(packed))
    message = prelude + struct.pack(">I", crc32(prelude)) + packed + payload
    return message + struct.pack(">I", crc32(message))


def _event(kind: str, data: Any) -> bytes:
    return _frame({":message-type": "event", ":event-type": kind}, json.dumps(data).encode())


def _usage(reported: dict[str, Any], numbers: NumberReader) -> Usage:
    sent, said = numbers.count(reported.get("inputTokens")), numbers.count(reported.get("outputTokens"))
    return Usage(sent, said, None if sent is None or said is None else sent + said)


def _locate(event: dict[str, Any]) -> UsageLocation:
    usage = event.get("usage")
    return UsageLocation(usage if isinstance(usage, dict) else None, event)


def _parts(event: dict[str, Any]) -> Iterator[ContentPart]:
    delta = event.get("delta")
    if isinstance(delta, dict) and isinstance(delta.get("text"), str):
        yield ContentPart("text", delta["text"])


LAYOUT = Format(
    usage=_usage, locate_usage=_locate, stream_parts=_parts, terminal=frozenset({"metadata"}), framing=aws_events
)
ROW = Provider(
    "frames",
    hosts=("llm.frames.example",),
    apis=(
        Api("talk", LAYOUT, paths=("frames/{model}/talk",)),
        Api("list", LAYOUT._replace(framing=json_array), paths=("frames/{model}/list",)),
    ),
)
TALK = f"https://llm.frames.example/frames/{MODEL}/talk"
TEXTS = [_event("contentBlockDelta", {"delta": {"text": text}}) for text in ("hel", "lo")]
USED = _event("metadata", {"usage": {"inputTokens": 10, "outputTokens": 2}})
FAILED = _frame({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"canary"}')
BROKEN = USED[:-1] + bytes([USED[-1] ^ 1])


@pytest.fixture(autouse=True)
def row() -> Iterator[None]:
    register(ROW)
    yield
    unregister(ROW.id)


def _sync(url: str, body: bytes, *, streamed: bool) -> bytes:
    answer = httpx.Response(200, content=_pieces(body), headers={"content-type": KIND})
    with httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as client:
        if not streamed:
            return client.post(url, json={}).content
        with client.stream("POST", url, json={}) as response:
            return b"".join(response.iter_bytes())


def _async(url: str, body: bytes, *, streamed: bool) -> bytes:
    async def pieces() -> Any:
        for piece in _pieces(body):
            yield piece

    async def ask() -> bytes:
        answer = httpx.Response(200, content=pieces(), headers={"content-type": KIND})
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
            if not streamed:
                return (await client.post(url, json={})).content
            async with client.stream("POST", url, json={}) as response:
                return b"".join([chunk async for chunk in response.aiter_bytes()])

    return asyncio.run(ask())


def _pieces(body: bytes) -> Iterator[bytes]:
    """Cut amid the frames, as a socket does."""
    for at in range(0, len(body), 37):
        yield body[at : at + 37]


each_way = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
each_colour = pytest.mark.parametrize("call", [_sync, _async], ids=["sync", "async"])


@each_colour
@each_way
def test_a_stream_of_frames_is_counted(call: Callable[..., bytes], streamed: bool) -> None:
    """The model stands in the path; the bytes pass as they are."""
    sent = b"".join(TEXTS) + USED
    with meter(keep_calls=True) as cb:
        assert call(TALK, sent, streamed=streamed) == sent

    [made] = cb.calls
    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (10, 2, 12)
    assert (made.api, made.request_model, made.certainty, made.outcome) == ("talk", MODEL, "exact", "complete")
    assert made.streamed is streamed


@each_colour
def test_its_pieces_are_told_as_they_pass(call: Callable[..., bytes]) -> None:
    told: list[Any] = []

    class Handler(CallbackHandler):
        def on_llm_new_token(self, token: str, **_: Any) -> None:
            told.append(token)

        def on_llm_end(self, response: Any, **_: Any) -> None:
            told.append(response.tokens.total_tokens)

    with meter(handlers=[Handler()]):
        call(TALK, b"".join(TEXTS) + USED, streamed=True)

    assert told == ["hel", "lo", 12]


@each_colour
@each_way
@pytest.mark.parametrize("end", [BROKEN, BROKEN + USED, b"", USED[:-5]], ids=["broken", "goes on", "none", "cut"])
def test_without_a_sound_report_the_usage_is_unknown(call: Callable[..., bytes], streamed: bool, end: bytes) -> None:
    """Never 0, and the bytes pass on to a client that says what it thinks of them."""
    sent = b"".join(TEXTS) + end
    with meter(keep_calls=True) as cb:
        assert call(TALK, sent, streamed=streamed) == sent

    assert [made.usage for made in cb.calls] == [None]
    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)


@each_way
def test_an_exception_in_a_frame_is_the_error_of_the_call(streamed: bool) -> None:
    """Its message is kept nowhere."""
    with meter(keep_calls=True) as cb:
        _sync(TALK, TEXTS[0] + FAILED, streamed=streamed)

    assert [(made.outcome, made.error) for made in cb.calls] == [("error", "throttlingException")]
    assert "canary" not in repr(cb.calls) + str(cb)


@each_way
def test_an_array_that_grows_is_counted(streamed: bool) -> None:
    array = json.dumps([{"delta": {"text": "hello"}}, {"usage": {"inputTokens": 1, "outputTokens": 2}}]).encode()
    with meter() as cb:
        _sync(TALK.replace("/talk", "/list"), array, streamed=streamed)

    assert cb.total_tokens == 3
