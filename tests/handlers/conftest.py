"""Clients of both colours over a mock transport, and handlers that write down what they are told."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

import token_meter
from tests.conftest import CHAT_BODY, sdk_http
from token_meter.context.registry import CLIENTS

MESSAGES = [{"role": "user", "content": "Which flower?"}]


@pytest.fixture(autouse=True)
def detached() -> Iterator[None]:
    """Clients that pytest itself still holds at the end of a test are detached."""
    yield
    for client in list(CLIENTS._attached):
        token_meter.detach(client)


class Told:
    """Writes down every event, with its keywords."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.args: list[Any] = []
        self.keywords: list[dict[str, Any]] = []

    def _note(self, event: str, arg: Any, keywords: dict[str, Any]) -> None:
        self.events.append(event)
        self.args.append(arg)
        self.keywords.append(keywords)

    def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
        self._note("start", prompts, kwargs)

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self._note("token", token, kwargs)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self._note("end", response, kwargs)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self._note("error", error, kwargs)


class ToldAsync(Told):
    """The same, in coroutines that really wait."""

    async def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
        await _wait()
        super().on_llm_start(serialized, prompts, **kwargs)

    async def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        await _wait()
        super().on_llm_new_token(token, **kwargs)

    async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        await _wait()
        super().on_llm_end(response, **kwargs)

    async def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        await _wait()
        super().on_llm_error(error, **kwargs)


async def _wait() -> None:
    import asyncio

    await asyncio.sleep(0)


def sse(*events: Any, done: bool = True) -> bytes:
    """Events as they stand on the wire."""
    data = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join([*data, "data: [DONE]\n\n"] if done else data).encode()


def piece(text: str | None = None, **delta: Any) -> dict[str, Any]:
    """One chunk of a streamed chat."""
    if text is not None:
        delta["content"] = text
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }


USAGE = {**piece(), "choices": [], "usage": CHAT_BODY["usage"]}


class Chunks(sdk_http.SyncByteStream, sdk_http.AsyncByteStream):
    """A body in given chunks, for both colours."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk


def streamed(*chunks: bytes) -> Callable[[Any], Any]:
    """An answer that comes in *chunks*."""
    return lambda _: sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=Chunks(*chunks))


def answered(_: Any) -> Any:
    return sdk_http.Response(200, json=CHAT_BODY)


class Colour:
    """One colour of the SDK: the same calls, awaited or not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_async = name == "async"

    def http(self, answer: Callable[[Any], Any] = answered) -> Any:
        transport = sdk_http.MockTransport(answer)
        return sdk_http.AsyncClient(transport=transport) if self.is_async else sdk_http.Client(transport=transport)

    def client(self, answer: Callable[[Any], Any] = answered, **options: Any) -> Any:
        cls = AsyncOpenAI if self.is_async else OpenAI
        return cls(api_key="sk-x", http_client=self.http(answer), **{"max_retries": 0, **options})

    async def ask(self, client: Any, **options: Any) -> Any:
        options = {"model": "gpt-4o-mini", "messages": MESSAGES, **options}
        result = client.chat.completions.create(**options)
        return await result if self.is_async else result

    async def read(self, stream: Any, each: Callable[[Any], None] = lambda _: None) -> None:
        if self.is_async:
            async for chunk in stream:
                each(chunk)
        else:
            for chunk in stream:
                each(chunk)

    async def post(self, client: Any) -> Any:
        """One chat of a plain HTTP client."""
        url, body = "https://api.openai.com/v1/chat/completions", {"model": "gpt-4o-mini", "messages": MESSAGES}
        result = client.post(url, json=body)
        return await result if self.is_async else result


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> Colour:
    return Colour(request.param)


@pytest.fixture(params=[Told, ToldAsync], ids=["handler", "async-handler"])
def told(request: pytest.FixtureRequest) -> Any:
    return request.param()


needs_responses = pytest.mark.skipif(
    not hasattr(OpenAI, "responses"), reason="this openai version has no Responses API"
)
