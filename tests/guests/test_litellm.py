"""LiteLLM under a meter: each call counts once, whichever way it leaves, and a refusal is what was raised."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.providers.fake_server import HOLD, FakeServer, Reply
from token_meter import BudgetExceededError, meter
from token_meter.prices import PriceBook

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it would ask the net for prices when it is imported
litellm = pytest.importorskip("litellm", reason="a guest that `make compat` installs")

litellm.suppress_debug_info = True
pytestmark = [
    # Clients that it keeps, and tasks that it leaves behind.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning"),
]
completion = litellm.completion  # bound before any meter is open, as `from litellm import completion` does

SAY = [{"role": "user", "content": "Which rose is the pinkest?"}]
USAGE = {"prompt_tokens": 107, "completion_tokens": 43, "total_tokens": 150}
CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "default", "usage": USAGE,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Pink Peace"}, "finish_reason": "stop"}],
}  # fmt: skip
MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "Pink Peace"}],
    "usage": {"input_tokens": 107, "output_tokens": 43},
}  # fmt: skip
CONTENT = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Pink Peace"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 107, "candidatesTokenCount": 43, "totalTokenCount": 150},
}
COHERE = {
    "id": "1", "text": "P", "meta": {}, "generation_id": "g",  # what older versions of it look for
    "finish_reason": "COMPLETE", "message": {"role": "assistant", "content": [{"type": "text", "text": "P"}]},
    "usage": {"billed_units": {"input_tokens": 107, "output_tokens": 43}, "tokens": {"input_tokens": 500}},
}  # fmt: skip
OLLAMA = {
    "model": "llama3.2", "created_at": "2026-11-27T00:00:00Z", "done": True, "done_reason": "stop",
    "message": {"role": "assistant", "content": "P"}, "prompt_eval_count": 107, "eval_count": 43,
}  # fmt: skip


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "type": "chunk", "choices": [choice], **more}  # fmt: skip


STREAM = (chunk({"role": "assistant", "content": "Pink"}), chunk({"content": " Peace"}, "stop", usage=USAGE))


class Backend(NamedTuple):
    """A provider behind LiteLLM: its model, where its api begins, its answer."""

    model: str
    base: str
    answer: dict[str, Any]


BACKENDS = {
    "openai": Backend("openai/gpt-4o-mini", "/v1", CHAT),
    "mistral": Backend("mistral/mistral-small", "/v1", CHAT),
    "anthropic": Backend("anthropic/claude-sonnet-4-5", "", MESSAGE),
    "gemini": Backend("gemini/gemini-2.5-flash", "/v1beta/models/gemini-2.5-flash", CONTENT),
    "cohere": Backend("cohere_chat/command-r", "/v2/chat", COHERE),
    "ollama": Backend("ollama_chat/llama3.2", "", OLLAMA),
}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    found = FakeServer()
    yield found
    found.close()


@pytest.fixture
def fake(server: FakeServer) -> FakeServer:
    server.asked.clear()
    server.replies.clear()
    return server


Way = Callable[..., Any]


def plain(**options: Any) -> Any:
    return litellm.completion(messages=SAY, **options)


def bound_early(**options: Any) -> Any:
    return completion(messages=SAY, **options)


def awaited(**options: Any) -> Any:
    return asyncio.run(litellm.acompletion(messages=SAY, **options))


def by_router(**options: Any) -> Any:
    model = {"model_name": "rose", "litellm_params": options}
    return litellm.Router(model_list=[model], num_retries=2).completion(model="rose", messages=SAY)


def streamed(**options: Any) -> Any:
    return list(litellm.completion(messages=SAY, stream=True, stream_options={"include_usage": True}, **options))


def awaited_stream(**options: Any) -> Any:
    async def ask() -> None:
        async for _ in await litellm.acompletion(messages=SAY, stream=True, **options):
            pass

    asyncio.run(ask())


def embedded(**options: Any) -> Any:
    return litellm.embedding(input=["rose"], **options)


WAYS: dict[str, tuple[Way, Reply | None]] = {
    "plain": (plain, None),
    "bound early": (bound_early, None),
    "async": (awaited, None),
    "router": (by_router, None),
    "stream": (streamed, Reply(events=STREAM)),
    "async stream": (awaited_stream, Reply(events=STREAM)),
}
CELLS = [
    *((backend, way) for backend in BACKENDS for way in ("plain", "async")),
    *(("openai", way) for way in ("bound early", "router", "stream", "async stream")),
    ("anthropic", "bound early"), ("mistral", "stream"), ("mistral", "async stream"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "way"), CELLS)
def test_f127_a_call_of_litellm_counts_once_and_its_refusal_is_the_refusal(
    fake: FakeServer, name: str, way: str
) -> None:
    """Sync over httpx, async over httpx on aiohttp, or by OpenAI's client."""
    backend, (ask, reply) = BACKENDS[name], WAYS[way]
    fake.will(*[reply or Reply(body=backend.answer)] * 5)
    options = {"model": backend.model, "api_base": fake.url + backend.base, "api_key": "k", "max_tokens": 99}

    book = PriceBook(hosts={fake.url: name}, on_unpriced="ignore")  # or an app's own `/v2/chat` could be meant

    with meter(prices=book) as cb:
        ask(**options)
    with meter(max_calls=1, prices=book), pytest.raises(BudgetExceededError, match=r"max_calls|1 call"):
        ask(**options)
        ask(**options)

    assert (cb.successful_requests, cb.prompt_tokens, cb.completion_tokens) == (1, 107, 43)
    assert len([asked for asked in fake.asked if not asked.path.endswith("/api/show")]) == 2


def test_f127_an_earlier_refusal_is_not_given_back_for_another_error(fake: FakeServer) -> None:
    """A program that falls back when it was refused sees what happened to its second try."""
    fake.will(Reply(401, {"error": {"message": "no", "code": "invalid_api_key"}}))
    options = {"model": "openai/gpt-4o-mini", "api_base": f"{fake.url}/v1", "api_key": "k"}

    with pytest.raises(litellm.AuthenticationError):
        try:
            with meter(max_calls=0):
                litellm.completion(messages=SAY, **options)
        except BudgetExceededError:
            with meter():
                litellm.completion(messages=SAY, **options)


def test_f127_a_limit_on_cost_reserves_by_the_requests_own_cap(fake: FakeServer) -> None:
    """100,000 tokens of output do not fit into a cent, at any provider."""
    options = {"model": "anthropic/claude-sonnet-4-5", "api_base": fake.url, "api_key": "k", "max_tokens": 100_000}
    with meter(max_cost="0.01", prices=PriceBook(hosts={fake.url: "anthropic"})):
        with pytest.raises(BudgetExceededError):
            litellm.completion(messages=SAY, **options)

    assert fake.asked == []


def test_a_stream_of_litellm_that_is_left_is_a_lower_bound(fake: FakeServer) -> None:
    """What was shown is counted."""
    fake.will(Reply(events=(STREAM[0], HOLD)))

    with meter(keep_calls=True) as cb:
        stream = litellm.completion(
            model="mistral/mistral-small", api_base=f"{fake.url}/v1", api_key="k", messages=SAY, stream=True
        )
        next(stream)
        if not hasattr(stream, "close"):
            pytest.skip("this version keeps what it was reading")
        stream.close()

    assert [(call.certainty, call.tokens.completion_tokens) for call in cb.calls] == [("estimated", 1)]
