"""What a call, a chunk and a call outside every meter cost on top of the bare SDK, over a mock transport."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
from openai import OpenAI

from benchmarks.pairs import Pair, each_us, pair
from token_meter import meter
from token_meter.context.stack import CONTEXT_STACK
from token_meter.providers.provider import Gate
from token_meter.runtime.blind import missed
from token_meter.runtime.hub import HUB
from token_meter.transports.gates import GateSeam
from token_meter.transports.httpx import HttpSeam
from token_meter.transports.httpx_body import Taps

ANSWER = json.dumps(
    {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion",
        "created": 1741570283,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "A pink rose stands for thanks. " * 20, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 1117,
            "completion_tokens": 146,
            "total_tokens": 1263,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
    }
).encode()
CHUNKS = 200
MESSAGES: list[Any] = [{"role": "user", "content": "What does a pink rose mean?"}]


def _event(**changes: Any) -> bytes:
    event = {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion.chunk",
        "created": 1741570283,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
        "choices": [{"index": 0, "delta": {"content": " rose"}, "logprobs": None, "finish_reason": None}],
        "usage": None,
        **changes,
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"


EVENTS = [
    *[_event() for _ in range(CHUNKS)],
    _event(choices=[], usage={"prompt_tokens": 20, "completion_tokens": CHUNKS, "total_tokens": 20 + CHUNKS}),
    b"data: [DONE]\n\n",
]


class _Events(httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        yield from EVENTS


def _whole(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, content=ANSWER, headers={"content-type": "application/json"})


def _stream(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, stream=_Events(), headers={"content-type": "text/event-stream"})


def _client(answer: Any) -> OpenAI:
    return OpenAI(api_key="sk-bench", http_client=httpx2.Client(transport=httpx2.MockTransport(answer)))


def call() -> Pair:
    """A chat call: read, summed and priced, against the same call bare."""
    client = _client(_whole)

    def bare(count: int) -> None:
        for _ in range(count):
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    def metered(count: int) -> None:
        with meter() as cb:
            bare(count)
        assert cb.total_cost > 0
        assert cb.total_tokens == 1263 * count

    return pair(bare, metered, count=50)


def chunk() -> Pair:
    """One chunk of a stream of 200, start and end included, against the same stream bare."""
    client = _client(_stream)

    def bare(count: int) -> None:
        for _ in range(count // CHUNKS):
            events = client.chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            for _event in events:
                pass

    def metered(count: int) -> None:
        with meter() as cb:
            bare(count)
        assert cb.total_cost > 0
        assert cb.completion_tokens == count

    return pair(bare, metered, count=CHUNKS * 4)


def outside_us() -> float:
    """What both patched functions add to a call that no meter hears, around functions that do nothing.

    Against whole calls this cannot be resolved on a shared machine: it is under a thousandth of one.
    """

    def nothing(*_: Any, **__: Any) -> None:
        return None

    http, ticket = HttpSeam(CONTEXT_STACK, HUB), GateSeam(CONTEXT_STACK, HUB, HUB._admission, (), missed)
    http._live = ticket._live = True
    send = http._sync(nothing, Taps(httpx2, HUB))
    request = ticket._sync(Gate(""), nothing)

    def bare(count: int) -> None:
        for _ in range(count):
            nothing(None, None)
            nothing(None, None)

    def wrapped(count: int) -> None:
        for _ in range(count):
            request(None, None)
            send(None, None)

    return each_us(wrapped, count=20_000) - each_us(bare, count=20_000)
