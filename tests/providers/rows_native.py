"""The rows of SDKs with apis of their own: Mistral's, Cohere's, Ollama's, Voyage's."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import pytest

from tests.providers import native_fake as bodies
from tests.providers.fake_server import HOLD, Reply
from tests.providers.native_fake import FakeNative, replies
from tests.providers.rows_compatible import CACHED, TOOL, closed, place
from tests.providers.table import Cell, Row, each

QUESTION = "Which rose is the pinkest?"
SAY: list[Any] = [{"role": "user", "content": QUESTION}]
Make = Callable[[FakeNative, bool], Any]
Ask = Callable[..., Any]


class Way(NamedTuple):
    """How one api of an SDK is asked: whole, and streamed, in both colours, and what is answered."""

    make: Make
    ask: Ask
    answer: dict[str, Any]
    events: tuple[dict[str, Any], ...] = ()
    stream: Ask | None = None


def once(way: Way, fake: FakeNative, answer: Any = None, **more: Any) -> None:
    fake.will(replies(answer or way.answer))
    client = way.make(fake, False)
    way.ask(client, False, **more)
    if hasattr(client, "close"):
        client.close()


async def asked(
    way: Way, fake: FakeNative, *, times: int = 1, answers: tuple[Any, ...] = (), ask: Ask | None = None, **more: Any
) -> None:
    """Ask so many times at once."""
    fake.will(*(found if isinstance(found, Reply) else replies(found) for found in answers or [way.answer] * times))
    client = way.make(fake, True)
    await asyncio.gather(*((ask or way.ask)(client, True, **more) for _ in range(times)))
    await closed(client)


async def streamed(way: Way, fake: FakeNative, *, leave: int = 0) -> None:
    """Read a stream; leave it after so many pieces."""
    assert way.stream is not None
    fake.will(Reply(events=(*way.events[:leave], HOLD) if leave else way.events))
    client = way.make(fake, True)
    events = way.stream(client)
    if not hasattr(events, "__aiter__"):
        events = await events
    count = 0
    async for _ in each(events):
        count += 1
        if count == leave:
            break
    await closed(events)
    await closed(client)


def cells(way: Way, counts: tuple[int, int] = (107, 43), *, leave: int = 1) -> dict[str, Cell]:
    run = partial(partial, asked, way)
    found = {
        "sync": Cell("read", partial(once, way), *counts),
        "async": Cell("read", run(), *counts),
        "gathered": Cell("read", run(times=3), *(3 * count for count in counts), calls=3),
    }  # fmt: skip
    if way.stream is not None:
        found["streamed"] = Cell("read", partial(streamed, way), *counts)
        found["left early"] = Cell("estimated", partial(streamed, way, leave=leave), None, None)
    return found


# Mistral: 1.x is on httpx, 3.x on httpx2, and in another module.


def mistral(fake: FakeNative, is_async: bool) -> Any:
    try:
        from mistralai.client import Mistral
    except ImportError:
        from mistralai import Mistral
    return Mistral(api_key="k", server_url=fake.url)


def mistral_at_google(fake: FakeNative, is_async: bool) -> Any:
    pytest.importorskip("google.auth")
    try:
        from mistralai.gcp.client import MistralGCP as Client
    except ImportError:
        from mistralai_gcp import MistralGoogleCloud as Client
    client = Client(project_id="p", region="r", access_token="k")
    client.sdk_configuration.server_url = fake.url  # that of 1.x takes no address
    return client


def mistral_at_azure(fake: FakeNative, is_async: bool) -> Any:
    try:
        from mistralai.azure.client import MistralAzure
    except ImportError:
        from mistralai_azure import MistralAzure

        return MistralAzure("k", fake.url)
    return MistralAzure("k", server_url=fake.url)


def mistral_way(
    api: str,
    answer: dict[str, Any],
    events: tuple[dict[str, Any], ...] = (),
    do: str = "complete",
    make: Make = mistral,
    **asks: Any,
) -> Way:
    def of(client: Any, name: str) -> Any:
        for part in api.split("."):
            client = getattr(client, part)
        return getattr(client, name)

    def ask(client: Any, is_async: bool, **more: Any) -> Any:
        return of(client, f"{do}_async" if is_async else do)(**asks, **more)

    def stream(client: Any) -> Any:
        return of(client, f"{do if do == 'start' else ''}_stream_async".removeprefix("_"))(**asks)

    return Way(make, ask, answer, events, stream if events else None)


MISTRAL = mistral_way("chat", bodies.chat(), bodies.chat_events(), model="m-1", messages=SAY)
AT_GOOGLE, AT_AZURE = (
    mistral_way("chat", bodies.chat(), bodies.chat_events(), make=make, model="m-1", messages=SAY)
    for make in (mistral_at_google, mistral_at_azure)
)
GOOGLE_FIM = mistral_way("fim", bodies.chat(), bodies.chat_events(), make=mistral_at_google, model="m-1", prompt="def")
MISTRAL_EMBEDS = mistral_way(
    "embeddings",
    bodies.embeddings({"prompt_tokens": 107, "completion_tokens": 0, "total_tokens": 107}),
    do="create",
    model="m-1",
    inputs=["rose"],
)
FIM = mistral_way("fim", bodies.chat(), bodies.chat_events(), model="m-1", prompt="def", suffix="return")
AGENTS = mistral_way("agents", bodies.chat(), bodies.chat_events(), agent_id="ag", messages=SAY)
CONVERSATIONS = mistral_way(
    "beta.conversations", bodies.CONVERSATION, bodies.CONVERSATION_EVENTS, do="start", model="m-1", inputs=QUESTION
)


def mistral_retries(cloud: str = "") -> dict[str, Any]:
    """Each cloud's client knows a class of its own."""
    try:
        utils = importlib.import_module(f"mistralai{cloud.replace('_', '.')}.client.utils")
    except ImportError:
        utils = importlib.import_module(f"mistralai{cloud}.utils")
    return {"retries": utils.RetryConfig("backoff", utils.BackoffStrategy(1, 2, 1.0, 1000), True)}


def mistral_again(way: Way, cloud: str, fake: FakeNative) -> Any:
    return asked(way, fake, answers=(Reply(503, {}), Reply(body=bodies.chat())), **mistral_retries(cloud))


def mistral_cells(way: Way, cloud: str = "") -> dict[str, Cell]:
    return {
        **cells(way),
        "tools": Cell("read", partial(asked, way, answers=(bodies.chat(content="", tool_calls=[bodies.CALL]),), tools=[TOOL])),
        "cached": Cell("read", partial(asked, way, answers=(bodies.chat(CACHED),)), cached=50),
        "retried": Cell("read", partial(mistral_again, way, cloud), failed=1),
    }  # fmt: skip


MISTRAL_CELLS = {
    **mistral_cells(MISTRAL),
    "embeddings": Cell("read", partial(asked, MISTRAL_EMBEDS), 107, 0),
}  # fmt: skip


# Cohere


def cohere(name: str, fake: FakeNative, is_async: bool) -> Any:
    import cohere

    return getattr(cohere, ("Async" if is_async else "") + name)(api_key="k", base_url=fake.url)


def cohere_2(client: Any, is_async: bool, **more: Any) -> Any:
    return client.chat(model="m-1", messages=SAY, **more)


def cohere_1(client: Any, is_async: bool, **more: Any) -> Any:
    return client.chat(model="m-1", message=QUESTION, **more)


def cohere_raw(client: Any, is_async: bool) -> Any:
    if not hasattr(client, "with_raw_response"):
        pytest.skip("this cohere has no raw answers")
    return client.with_raw_response.chat(model="m-1", messages=SAY)


def cohere_embed(client: Any, is_async: bool) -> Any:
    return client.embed(model="m-1", texts=["rose"], input_type="search_document", embedding_types=["float"])


COHERE_2 = Way(
    partial(cohere, "ClientV2"),
    cohere_2,
    bodies.COHERE_2,
    bodies.COHERE_2_EVENTS,
    lambda client: client.chat_stream(model="m-1", messages=SAY),
)
COHERE_1 = Way(
    partial(cohere, "Client"),
    cohere_1,
    bodies.COHERE_1,
    bodies.COHERE_1_EVENTS,
    lambda client: client.chat_stream(model="m-1", message=QUESTION),
)
AGAIN: dict[str, tuple[Way, Callable[[], dict[str, Any]], Any]] = {
    "cohere": (COHERE_2, lambda: {"request_options": {"max_retries": 2}}, bodies.COHERE_2),
    "mistralai": (MISTRAL, mistral_retries, bodies.chat()),
    "mistralai at google": (AT_GOOGLE, partial(mistral_retries, "_gcp"), bodies.chat()),
    "mistralai at azure": (AT_AZURE, partial(mistral_retries, "_azure"), bodies.chat()),
}
"""How each SDK that has retries of its own is told to make some."""
COHERE_CALLED = {
    **bodies.COHERE_2,
    "message": {"role": "assistant", "tool_plan": "I look.", "tool_calls": [bodies.CALL]},
}
COHERE_CELLS = {
    **cells(COHERE_2, leave=3),
    "raw": Cell("read", partial(asked, COHERE_2, ask=cohere_raw)),
    "tools": Cell("read", partial(asked, COHERE_2, answers=(COHERE_CALLED,), tools=[TOOL])),
    "retried": Cell("read", partial(asked, COHERE_2, answers=(Reply(503, {}, headers=(("retry-after-ms", "1"),)), Reply(body=bodies.COHERE_2)), request_options={"max_retries": 2}), failed=1),
    "embeddings": Cell("read", partial(asked, COHERE_2, answers=(bodies.COHERE_EMBED,), ask=cohere_embed), 107, 0),
}  # fmt: skip


# Ollama


def ollama(fake: FakeNative, is_async: bool) -> Any:
    import ollama

    return (ollama.AsyncClient if is_async else ollama.Client)(host=fake.url)


def ollama_chat(client: Any, is_async: bool, **more: Any) -> Any:
    return client.chat(model="llama3.2:1b", messages=SAY, **more)


def ollama_generate(client: Any, is_async: bool, **more: Any) -> Any:
    return client.generate(model="llama3.2:1b", prompt=QUESTION, **more)


def ollama_embed(client: Any, is_async: bool) -> Any:
    return client.embed(model="all-minilm", input=["rose"])


OLLAMA_CALL = {"function": {"name": "find", "arguments": {"rose": "pink"}}}
OLLAMA_CHAT = Way(
    ollama,
    ollama_chat,
    bodies.ollama_chat(),
    bodies.ollama_chat_lines(),
    lambda client: ollama_chat(client, True, stream=True),
)
OLLAMA_GENERATE = Way(
    ollama,
    ollama_generate,
    bodies.ollama_generate(),
    bodies.ollama_generate_lines(),
    lambda client: ollama_generate(client, True, stream=True),
)
OLLAMA_CELLS = {
    **cells(OLLAMA_CHAT),
    "tools": Cell("read", partial(asked, OLLAMA_CHAT, answers=(bodies.ollama_chat(message={"role": "assistant", "tool_calls": [OLLAMA_CALL]}),), tools=[TOOL])),
    "embeddings": Cell("read", partial(asked, OLLAMA_CHAT, answers=(bodies.OLLAMA_EMBED,), ask=ollama_embed), 107, 0),
}  # fmt: skip


# Voyage


def voyage(fake: FakeNative, is_async: bool) -> Any:
    import voyageai

    return (voyageai.AsyncClient if is_async else voyageai.Client)(api_key="k", base_url=f"{fake.url}/v1")


def voyage_embed(client: Any, is_async: bool) -> Any:
    return client.embed(["rose"], model="voyage-3.5")


def voyage_rerank(client: Any, is_async: bool) -> Any:
    return client.rerank("rose", ["a rose"], model="rerank-2.5")


VOYAGE = Way(
    voyage,
    voyage_embed,
    {**bodies.VOYAGE_EMBED, "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}]},
)
VOYAGE_RERANK = Way(voyage, voyage_rerank, bodies.VOYAGE_RERANK)

ROWS = (
    Row("mistralai", "httpx", "mistralai", "mistral", place, MISTRAL_CELLS),
    Row("mistralai (Google Cloud)", "httpx", "mistralai", "google", place, mistral_cells(AT_GOOGLE, "_gcp")),
    Row("mistralai fim (Google Cloud)", "httpx", "mistralai", "google", place, cells(GOOGLE_FIM)),
    Row("mistralai (Azure)", "httpx", "mistralai", "azure", place, mistral_cells(AT_AZURE, "_azure")),
    Row("mistralai fim", "httpx", "mistralai", "mistral", place, cells(FIM)),
    Row("mistralai agents", "httpx", "mistralai", "mistral", place, cells(AGENTS)),
    Row("mistralai conversations", "httpx", "mistralai.client.conversations", "mistral", place, cells(CONVERSATIONS, (4106, 134), leave=2)),
    Row("cohere v2", "httpx", "cohere", "cohere", place, COHERE_CELLS),
    Row("cohere v1", "httpx", "cohere", "cohere", place, cells(COHERE_1, leave=2)),
    Row("ollama", "httpx", "ollama", "ollama", place, OLLAMA_CELLS),
    Row("ollama generate", "httpx", "ollama", "ollama", place, cells(OLLAMA_GENERATE)),
    Row("voyageai", "requests, aiohttp", "voyageai", "voyageai", place, cells(VOYAGE, (107, 0)) | {"embeddings": Cell("read", partial(asked, VOYAGE), 107, 0)}),
    Row("voyageai rerank", "requests, aiohttp", "voyageai", "voyageai", place, cells(VOYAGE_RERANK, (107, 0))),
)  # fmt: skip
