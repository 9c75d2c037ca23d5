"""Streams without usage: estimated when a number is read, and marked; or, with `stream_usage`, requested with usage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp
import pytest
import requests
from openai import OpenAI

from tests.conftest import sdk_http
from tests.contract import shapes
from token_meter import meter
from token_meter.call import pending_estimate, record, stream_usage
from token_meter.estimate import count_text
from token_meter.runtime.hub import HUB


async def _text_of(events: Any, limit: int | None = None) -> str:
    said = ""
    count = 0
    async for event in shapes.each(events):
        said += event.choices[0].delta.content or "" if event.choices else ""
        count += 1
        if count == limit:
            break
    return said


async def test_a_stream_without_usage_is_estimated_as_the_server_counts(client, simulator, prices):
    """A classic model's plain text: the rules are exact, and the numbers are marked all the same."""
    with meter(prices=prices, keep_calls=True) as cb:
        await shapes.stream_without_usage(client)
    bill = simulator.bill("sim-test")

    assert (cb.prompt_tokens, cb.completion_tokens) == (bill.prompt_tokens, bill.completion_tokens)
    assert (cb.estimated_calls, cb.unmeasured_calls, cb.is_complete) == (1, 0, False)
    assert cb.calls[0].certainty == "estimated"
    assert cb.cost == bill.cost
    assert "1 call estimated" in str(cb)


async def test_an_aborted_stream_is_within_one_token_of_the_servers_count(make, simulator):
    """Counted is what was seen; the server may have sent one piece more before it noticed."""
    client = make.openai(base_url=f"{simulator.url}/__opt/delay=0.15,words=300/v1", api_key="sim-test")
    with meter(on_unpriced="ignore", keep_calls=True) as cb:
        events = await shapes.result(client.chat.completions.create(**shapes.CHAT, stream=True))
        said = await _text_of(events, limit=4)
        await shapes.result(events.close())
    bill = await asyncio.to_thread(simulator.bill, "sim-test")  # the loop must run for aiohttp to hang up

    assert cb.calls[0].outcome == "closed"
    assert cb.completion_tokens >= count_text(said, "gpt-4o-mini").tokens > 0
    assert abs(cb.completion_tokens - bill.completion_tokens) <= 1
    assert cb.prompt_tokens == bill.prompt_tokens
    assert cb.estimated_calls == 1


async def test_nothing_is_counted_until_somebody_looks(client, monkeypatch):
    """Tokenizing waits for the reader, and happens once for nested meters."""
    counted = []
    real = pending_estimate.PendingEstimate._settle
    monkeypatch.setattr(pending_estimate.PendingEstimate, "_settle", lambda *args: (counted.append(1), real(*args))[1])
    with meter(on_unpriced="ignore") as outer, meter(on_unpriced="ignore") as inner:
        await shapes.stream_without_usage(client)
        assert counted == []
        tokens = inner.total_tokens

    assert outer.total_tokens == tokens > 0
    assert counted == [1]


async def test_a_stream_that_reports_usage_is_never_estimated(client, monkeypatch):
    """Nothing is tokenized for a call whose usage arrived."""
    monkeypatch.setattr(record, "PendingEstimate", None)
    with meter(on_unpriced="ignore") as cb:
        await shapes.stream(client)

    assert cb.total_tokens > 0
    assert cb.estimated_calls == 0


async def test_stream_usage_asks_and_hide_the_answer(client, simulator):
    """The server's own count; the caller's events as without."""
    bare = await shapes.stream_without_usage(client)
    simulator.reset()
    with meter(stream_usage=True, on_unpriced="ignore") as cb:
        seen = await shapes.stream_without_usage(client)
    bill = simulator.bill("sim-test")

    assert [_contents(event) for event in seen] == [_contents(event) for event in bare]
    assert (cb.prompt_tokens, cb.completion_tokens) == (bill.prompt_tokens, bill.completion_tokens)
    assert (cb.estimated_calls, cb.unmeasured_calls) == (0, 0)


def _contents(event: str) -> str:
    return event.partition("choices=")[2].partition(", created=")[0]


@pytest.mark.parametrize(
    "options", ["chunk=1,words=4", "line=crlf", "line=cr,chunk=3,words=4", "compress=gzip", "comments"]
)
async def test_stream_usage_hides_the_answer_whatever_the_bytes_look_like(make, simulator, options):
    """Any chunking, line end and encoding."""
    client = make.openai(base_url=f"{simulator.url}/__opt/{options}/v1", api_key="sim-test")
    bare = await shapes.stream_without_usage(client)
    with meter(stream_usage=True, on_unpriced="ignore") as cb:
        seen = await shapes.stream_without_usage(client)

    assert [_contents(event) for event in seen] == [_contents(event) for event in bare]
    assert cb.estimated_calls == 0


ASK = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Which rose, \u201erosa\u201c?"}],
    "stream": True,
}


def _by_requests(url: str, read: Callable[[Any], Iterable[Any]], **options: Any) -> bytes:
    with requests.Session() as session:
        answer = session.post(url, json=ASK, **options)
        assert "stream_options" not in json.loads(answer.request.body)
        return b"".join(piece.encode() if isinstance(piece, str) else piece for piece in read(answer))


def _by_aiohttp(url: str, read: Callable[[Any], AsyncIterator[Any]], **options: Any) -> bytes:
    async def ask() -> bytes:
        async with aiohttp.ClientSession() as session, session.post(url, **(options or {"json": ASK})) as answer:
            return b"".join([piece async for piece in read(answer.content)])

    return asyncio.run(ask())


async def _one(content: Any) -> AsyncIterator[bytes]:
    yield await content.readexactly(5)
    yield await content.readuntil(b"\n")
    yield (await content.readchunk())[0]
    while not content.at_eof():
        yield await content.read(11)


async def _firsts(content: Any) -> AsyncIterator[bytes]:
    async for piece, _ in content.iter_chunks():
        yield piece


DATA = {
    "data": json.dumps(ASK),
    "headers": {"content-type": "application/json", "content-length": str(len(json.dumps(ASK)))},
}
BY_HAND: dict[str, Callable[[str], bytes]] = {
    "requests, lines": lambda url: _by_requests(url, lambda answer: (line + b"\n" for line in answer.iter_lines()), stream=True),
    "requests, pieces": lambda url: _by_requests(url, lambda answer: answer.iter_content(7), stream=True),
    "requests, texts": lambda url: _by_requests(url, lambda answer: answer.iter_content(7, decode_unicode=True), stream=True),
    "requests, read later": lambda url: _by_requests(url, lambda answer: [answer.content], stream=True),
    "requests, read at once": lambda url: _by_requests(url, lambda answer: [answer.text]),
    "aiohttp, lines": lambda url: _by_aiohttp(url, lambda content: content),
    "aiohttp, pieces": lambda url: _by_aiohttp(url, lambda content: content.iter_chunked(7)),
    "aiohttp, chunks": lambda url: _by_aiohttp(url, _firsts),
    "aiohttp, each way": lambda url: _by_aiohttp(url, _one),
    "aiohttp, bytes": lambda url: _by_aiohttp(url, lambda content: content.iter_any(), **DATA),
}  # fmt: skip


@pytest.mark.parametrize("options", ["chunk=5,words=4", "line=crlf,words=4", "compress=gzip"])
@pytest.mark.parametrize("way", BY_HAND)
def test_stream_usage_asks_and_hides_over_each_library(simulator, way, options):
    """What a program reads by hand has the lines that it has without."""
    url = f"{simulator.url}/__opt/{options}/v1/chat/completions"
    bare = BY_HAND[way](url)
    with meter(stream_usage=True, on_unpriced="ignore") as cb:
        seen = BY_HAND[way](url)

    assert _shown(seen) == _shown(bare)
    assert (cb.estimated_calls, cb.successful_requests) == (0, 1)
    assert cb.prompt_tokens > 0


def _shown(answer: bytes) -> list[Any]:
    """The lines of a stream, less what differs between two answers."""
    lines = answer.decode().splitlines()
    return [json.loads(line[6:])["choices"] if line.startswith("data: {") else line for line in lines]


def test_a_reader_by_hand_that_leaves_has_seen_what_it_would_have_seen(simulator):
    """And the call is a lower bound, as without."""
    url = f"{simulator.url}/__opt/delay=0.02,words=100/v1/chat/completions"

    async def leave() -> bytes:
        async with aiohttp.ClientSession() as session, session.post(url, json=ASK) as answer:
            return await answer.content.readuntil(b"\n\n")

    with meter(stream_usage=True, on_unpriced="ignore", keep_calls=True) as cb:
        assert asyncio.run(leave()).startswith(b"data: {")
        with requests.post(url, json=ASK, stream=True) as answer:
            assert next(answer.iter_lines()).startswith(b"data: {")

    assert [(call.outcome, call.certainty) for call in cb.calls] == [("closed", "lower_bound")] * 2


@pytest.mark.parametrize("options", ["chunk=1,words=4", "line=crlf", "compress=gzip"])
async def test_what_cannot_be_hidden_is_shown_and_nothing_is_lost(make, simulator, options, monkeypatch):
    """A failure of ours amid the stream leaves the additional event in it."""
    client = make.openai(base_url=f"{simulator.url}/__opt/{options}/v1", api_key="sim-test")
    bare = await shapes.stream_without_usage(client)
    with meter(stream_usage=True, on_unpriced="ignore") as cb:
        monkeypatch.setattr(stream_usage, "is_report", lambda _: 1 / 0)
        seen = await shapes.stream_without_usage(client)

    assert [_contents(event) for event in seen[: len(bare)]] == [_contents(event) for event in bare]
    assert len(seen) == len(bare) + 1
    assert cb.estimated_calls == 0
    assert HUB.internal_errors.pop("hide usage") == 1


def _sent(requests: list[Any], *, refuse: bool = False) -> OpenAI:
    def answer(request: Any) -> Any:
        requests.append(request)
        if refuse and b"stream_options" in request.content:
            return sdk_http.Response(400, json={"error": {"message": "unknown field stream_options"}})
        return sdk_http.Response(200, content=b"data: [DONE]\n\n", headers={"content-type": "text/event-stream"})

    client = sdk_http.Client(transport=sdk_http.MockTransport(answer))
    return OpenAI(api_key="sk-x", http_client=client, max_retries=0)


def test_the_request_is_byte_for_byte_the_callers_by_default():
    """`include_usage` is not injected unless asked for."""
    bare: list[Any] = []
    metered: list[Any] = []
    with _sent(bare) as client:
        list(client.chat.completions.create(**shapes.CHAT, stream=True))
    with _sent(metered) as client, meter():
        list(client.chat.completions.create(**shapes.CHAT, stream=True))

    assert metered[0].content == bare[0].content
    assert metered[0].headers.raw == bare[0].headers.raw


def test_stream_usage_changes_a_copy_and_never_the_callers_request():
    """`response.request` is what the caller sent."""
    requests: list[Any] = []
    with _sent(requests) as client, meter(stream_usage=True):
        stream = client.chat.completions.create(**shapes.CHAT, stream=True)
        list(stream)

    assert json.loads(requests[0].content)["stream_options"] == {"include_usage": True}
    assert b"stream_options" not in stream.response.request.content


def test_a_host_that_refuses_to_tell_is_not_asked_again():
    """The caller gets the refusal once; the next stream goes out as it was made."""
    requests: list[Any] = []
    with _sent(requests, refuse=True) as client, meter(stream_usage=True):
        with pytest.raises(Exception, match="stream_options"):
            client.chat.completions.create(**shapes.CHAT, stream=True)
        list(client.chat.completions.create(**shapes.CHAT, stream=True))

    assert [b"stream_options" in request.content for request in requests] == [True, False]


@pytest.mark.parametrize("chunk", [0, 1000])
def test_speech_that_is_streamed_as_events_says_what_it_used(simulator, chunk):
    """As sound it says nothing, and is unmeasured."""
    options = {"base_url": simulator.base_url_with(chunk=chunk)} if chunk else {}
    ask = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "A rose is a rose is a rose."}
    with simulator.client(**options) as client, meter(on_unpriced="ignore") as cb:
        client.audio.speech.create(**ask)
        assert (cb.total_tokens, cb.unmeasured_calls) == (0, 1)
        with client.audio.speech.with_streaming_response.create(**ask, extra_body={"stream_format": "sse"}) as answer:
            assert b"speech.audio.done" in answer.read()

    assert cb.unmeasured_calls == 1
    assert cb.total_tokens == simulator.bill().entries[-1].usage.total_tokens > 0


async def test_speech_as_events_that_is_read_at_once_says_what_it_used(make, simulator, prices):
    """The plain call reads the whole stream: it is a body by the time that we see it."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    ask = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "A rose.", "extra_body": {"stream_format": "sse"}}
    with meter(prices=prices) as cb:
        answer = await shapes.result(client.audio.speech.create(**ask))

    assert b"speech.audio.done" in answer.content
    assert (cb.total_tokens, cb.unmeasured_calls) == (simulator.bill().total_tokens, 0)
