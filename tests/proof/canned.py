"""The real SDK over bodies made by hand: what a provider might send that no simulator sends."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

from openai import OpenAI

from tests.sdk_http import sdk_http

MESSAGES: list[Any] = [{"role": "user", "content": "Which rose?"}]
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


class Pieces(sdk_http.SyncByteStream):  # type: ignore[misc]
    """A body that is read piece by piece; one given as `content` would have been read already."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self.pieces


@contextlib.contextmanager
def answering(answer: Callable[[Any], Any], **options: Any) -> Iterator[OpenAI]:
    """A client whose every request *answer* answers."""
    transport = sdk_http.MockTransport(answer)
    with OpenAI(api_key="sk-x", max_retries=0, http_client=sdk_http.Client(transport=transport), **options) as client:
        yield client


def json_body(usage: Any = None, **more: Any) -> dict[str, Any]:
    """A chat completion."""
    message = {"role": "assistant", "content": "hi"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
    return {**head, "choices": choices, "usage": usage, **more}


def event(usage: Any = None, text: str = "hi", **more: Any) -> bytes:
    """One event of a chat stream."""
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini"}
    return b"data: " + json.dumps({**head, "choices": choices, "usage": usage, **more}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


@contextlib.contextmanager
def streaming(*pieces: bytes) -> Iterator[OpenAI]:
    """A client whose every request is answered by a stream of *pieces*."""
    head = {"content-type": "text/event-stream"}
    with answering(lambda _: sdk_http.Response(200, headers=head, stream=Pieces(*pieces))) as client:
        yield client


@contextlib.contextmanager
def telling(body: Any) -> Iterator[OpenAI]:
    """A client whose every request is answered by *body*: JSON, or bytes as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = {"content-type": "application/json"}
    with answering(lambda _: sdk_http.Response(200, headers=head, content=data)) as client:
        yield client


def ask(client: OpenAI, **options: Any) -> Any:
    """One chat call."""
    return client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **options)


def read(client: OpenAI) -> list[Any]:
    """One chat stream, read to its end."""
    return list(ask(client, stream=True))
