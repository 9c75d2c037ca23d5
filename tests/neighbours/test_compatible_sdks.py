"""SDKs of providers that speak OpenAI's apis: counted, and a refusal reaches the caller as it is."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any, NamedTuple

import pytest

from tests.neighbours.children import in_child
from tests.providers.anthropic_fake import FakeAnthropic, Reply
from token_meter import BudgetExceededError, meter
from token_meter.budget import account, limits

LOADED = (account, limits)
"""Before the fork: pytest rewrites a module that it loads, and Python 3.11 cannot always parse it in a deep child."""


class Sdk(NamedTuple):
    """A package with a client for each colour."""

    module: str
    name: str


SDKS = [
    Sdk("groq", "Groq"),
    Sdk("together", "Together"),
    Sdk("perplexity", "Perplexity"),
    Sdk("cerebras.cloud.sdk", "Cerebras"),
    Sdk("fireworks", "Fireworks"),
]
BODY = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "llama-3.3-70b",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}  # fmt: skip
ASK: dict[str, Any] = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}


@pytest.fixture
def fake() -> Any:
    server = FakeAnthropic()
    server.will(Reply(body=BODY))
    yield server
    server.close()


def _ask(sdk: Sdk, colour: str, url: str, warm: dict[str, Any]) -> None:
    package = importlib.import_module(sdk.module)
    if colour == "sync":
        client = getattr(package, sdk.name)(api_key="k", base_url=url, **warm)
        client.chat.completions.create(**ASK)
        return

    async def ask() -> None:
        client = getattr(package, f"Async{sdk.name}")(api_key="k", base_url=url, **warm)
        await client.chat.completions.create(**ASK)

    asyncio.run(ask())


@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("sdk", SDKS, ids=lambda sdk: sdk.module)
def test_f127_a_call_is_counted_and_a_refusal_is_no_connection_error(fake, sdk, colour):
    """The package is imported before its first meter, or in it."""
    pytest.importorskip(sdk.module.partition(".")[0], reason="a neighbour that `make compat` installs")
    warm = {"warm_tcp_connection": False} if sdk.name == "Cerebras" else {}

    def act() -> tuple[int, int, str | None]:
        with meter() as cb:
            _ask(sdk, colour, fake.url, warm)
        refused = None
        with meter(max_calls=0):
            try:
                _ask(sdk, colour, fake.url, warm)
            except Exception as error:
                refused = type(error).__name__
        return cb.successful_requests, cb.total_tokens, refused

    assert in_child(act) == (1, 15, BudgetExceededError.__name__)
    assert len(fake.asked) == 1
