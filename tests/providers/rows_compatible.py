"""The rows of SDKs whose providers speak OpenAI's apis: Cerebras, Fireworks, Groq, Hugging Face, Mistral, Perplexity, Together."""

from __future__ import annotations

import asyncio
import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

from tests.providers import native_fake as bodies
from tests.providers.fake_server import HOLD, Reply
from tests.providers.native_fake import FakeNative
from tests.providers.table import Cell, Row, each

SAY: dict[str, Any] = {"messages": [{"role": "user", "content": "Which rose is the pinkest?"}], "max_tokens": 200}
TOOL = {
    "type": "function",
    "function": {"name": "find", "description": "A rose", "parameters": {"type": "object", "properties": {}}},
}
CACHED = {**bodies.USAGE, "prompt_tokens_details": {"cached_tokens": 50}}
AT_ONCE = (("retry-after-ms", "1"), ("retry-after", "0.001"))
"""What a server says to clients that would wait half a second before their next attempt."""


@contextmanager
def place() -> Iterator[FakeNative]:
    fake = FakeNative()
    try:
        yield fake
    finally:
        fake.close()


Ask = Callable[..., Any]


def chat(client: Any, **more: Any) -> Any:
    return client.chat.completions.create(**SAY, model="m-1", **more)


class Sdk(NamedTuple):
    """How one SDK is asked; *client* is a name in its module, and takes the server's address."""

    module: str
    client: str
    base: str = ""
    options: dict[str, Any] = {}  # noqa: RUF012  # never changed
    chat: Ask = chat
    url: str = "base_url"
    usage: dict[str, Any] | None = bodies.USAGE

    def make(self, fake: FakeNative, prefix: str = "") -> Any:
        found = getattr(importlib.import_module(self.module), prefix + self.client)
        known = inspect.signature(found).parameters  # of older ones too
        options = {name: value for name, value in self.options.items() if name in known}
        return found(api_key="k", **{self.url: fake.url + self.base}, **options)


async def closed(client: Any) -> None:
    """Close a client or a stream of either colour, where it can be closed."""
    if hasattr(client, "__aexit__") and not hasattr(client, "aclose"):
        await client.__aexit__(None, None, None)
        return
    done = getattr(client, "aclose", getattr(client, "close", lambda: None))()
    if inspect.isawaitable(done):
        await done


def sync(sdk: Sdk, fake: FakeNative) -> None:
    fake.will(Reply(body=bodies.chat()))
    client = sdk.make(fake)
    sdk.chat(client)
    getattr(client, "close", lambda: None)()


async def asked(
    sdk: Sdk, fake: FakeNative, *, answers: tuple[Reply, ...] = (), ask: Ask | None = None, times: int = 1, **more: Any
) -> None:
    """Ask so many times at once."""
    fake.will(*(answers or [Reply(body=bodies.chat())] * times))
    client = sdk.make(fake, "Async")
    await asyncio.gather(*((ask or sdk.chat)(client, **more) for _ in range(times)))
    await closed(client)


async def streamed(sdk: Sdk, fake: FakeNative, *, leave: bool = False) -> None:
    events = bodies.chat_events(sdk.usage)
    fake.will(Reply(events=(*events[:1], HOLD) if leave else events))
    client = sdk.make(fake, "Async")
    stream = await sdk.chat(client, stream=True)
    async for _ in each(stream):
        if leave:
            break
    await closed(stream)
    await closed(client)


def raw(client: Any) -> Any:
    return client.chat.completions.with_raw_response.create(**SAY, model="m-1")


def embed(client: Any) -> Any:
    return client.embeddings.create(model="m-1", input=["rose"])


EMBEDDED = Reply(body=bodies.embeddings({"prompt_tokens": 107, "total_tokens": 107}))
CALLED = Reply(body=bodies.chat(content=None, tool_calls=[bodies.CALL]))


def cells(sdk: Sdk, *, embeds: bool = True, is_stainless: bool = True) -> dict[str, Cell]:
    """The cells of an SDK that is made like OpenAI's."""
    run = partial(partial, asked, sdk)
    again = (Reply(429, {}, headers=AT_ONCE), Reply(body=bodies.chat()))
    found = {
        "sync": Cell("read", partial(sync, sdk)),
        "async": Cell("read", run()),
        "gathered": Cell("read", run(times=3), 321, 129, calls=3),
        "streamed": Cell("read", partial(streamed, sdk)) if sdk.usage else Cell("estimated", partial(streamed, sdk), None, None),
        "left early": Cell("estimated", partial(streamed, sdk, leave=True), None, None),
        "tools": Cell("read", run(answers=(CALLED,), tools=[TOOL])),
        "cached": Cell("read", run(answers=(Reply(body=bodies.chat(CACHED)),)), cached=50),
    }  # fmt: skip
    if is_stainless:
        found["raw"] = Cell("read", run(ask=raw))
        found["retried"] = Cell("read", run(answers=again), failed=1)
    if embeds:
        found["embeddings"] = Cell("read", run(answers=(EMBEDDED,), ask=embed), 107, 0)
    return found


GROQ = Sdk("groq", "Groq")
TOGETHER = Sdk("together", "Together", "/v1")
PERPLEXITY = Sdk("perplexity", "Perplexity")
CEREBRAS = Sdk("cerebras.cloud.sdk", "Cerebras", options={"warm_tcp_connection": False})
FIREWORKS = Sdk("fireworks", "Fireworks")
HUGGING_FACE = Sdk("huggingface_hub", "InferenceClient", "/v1", usage=None)


def respond(client: Any) -> Any:
    return client.responses.create(model="m-1", input="Which rose is the pinkest?")


RESPONSE = {
    "id": "r", "object": "response", "created_at": 1, "model": "m-1", "status": "completed",
    "output": [{"type": "message", "id": "o", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": bodies.SAID, "annotations": []}]}],
    "usage": {"input_tokens": 107, "output_tokens": 43, "total_tokens": 150,
              "input_tokens_details": {"cache_read_input_tokens": 50, "cache_creation_input_tokens": 0},
              "cost": {"currency": "USD", "total_cost": 0.0126}},
}  # fmt: skip
RESPONSES = partial(asked, PERPLEXITY, answers=(Reply(body=RESPONSE),), ask=respond)

ROWS = (
    Row("groq", "httpx", "groq", "groq", place, cells(GROQ)),
    Row("together", "httpx", "together._base_client", "together", place, cells(TOGETHER)),
    Row("together 1.x", "requests, aiohttp", "together.abstract", "together", place, cells(TOGETHER, is_stainless=False)),
    Row("perplexityai", "httpx", "perplexity", "perplexity", place, cells(PERPLEXITY, embeds=False)),
    Row("perplexityai responses", "httpx", "perplexity.resources.responses", "perplexity", place, {"async": Cell("read", RESPONSES, cached=50)}),
    Row("cerebras-cloud-sdk", "httpx", "cerebras.cloud.sdk", "cerebras", place, cells(CEREBRAS, embeds=False)),
    Row("fireworks-ai", "httpx", "fireworks", "fireworks", place, cells(FIREWORKS, embeds=False)),
    Row("huggingface_hub", "httpx", "huggingface_hub", None, place, cells(HUGGING_FACE, embeds=False, is_stainless=False)),
)  # fmt: skip
