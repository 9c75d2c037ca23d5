"""What the tests of the doors share: nothing here, nor in them, is private."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest


@pytest.fixture
def post() -> Iterator[Callable[..., httpx.Response]]:
    """Post to a server that answers in memory, a text as events: `post(url, request, answer)`."""
    clients: list[httpx.Client] = []

    def send(url: str, request: Any, answer: Any) -> httpx.Response:
        def respond(_: httpx.Request) -> httpx.Response:
            if isinstance(answer, str):
                chunks = (line.encode() for line in answer.splitlines(keepends=True))
                return httpx.Response(200, content=chunks, headers={"content-type": "text/event-stream"})
            return httpx.Response(200, json=answer)

        client = httpx.Client(transport=httpx.MockTransport(respond))
        clients.append(client)
        with client.stream("POST", url, json=request) as response:
            response.read()
        return response

    yield send
    for client in clients:
        client.close()


CHAT = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
def chat(post: Callable[..., httpx.Response]) -> Callable[[], httpx.Response]:
    """Make one call that is counted."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    request = {"model": "gpt-4o", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]}
    return lambda: post(CHAT, request, {"object": "chat.completion", "model": "gpt-4o", "choices": [], "usage": usage})
