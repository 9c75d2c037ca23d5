"""Cohere, Mistral, Ollama and Voyage by their own wire formats, over each library that their SDKs use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import aiohttp
import httpx
import httpx2
import pytest
import requests

from tests.providers import native_fake as bodies
from tests.providers import rows_native
from tests.providers.fake_server import CUT, HOLD, Reply
from tests.providers.native_fake import HALVES, FakeNative, replies
from tests.providers.rows_compatible import closed
from token_meter import BudgetExceededError, CallbackHandler, Meter, UnpricedModelError, meter
from token_meter.estimate import count_text
from token_meter.prices import PriceBook, Rates

COHERE, MISTRAL, OLLAMA = ({"x-fern-sdk-name": "cohere"}, {"user-agent": "mistral-client-python/3.7"},
                           {"user-agent": "ollama-python/0.6 (x86_64 linux) Python/3.11"})  # fmt: skip


VERTEX = "/v1/projects/p/locations/r/publishers"


class Row(NamedTuple):
    """A way to ask: whose, where, by which mark, what comes back, as which api, of how many tokens."""

    provider: str
    path: str
    mark: dict[str, str]
    answer: Any
    api: str
    prompt: int | None = 107
    completion: int | None = 43


ROWS = {
    "cohere v2": Row("cohere", "/v2/chat", COHERE, bodies.COHERE_2, "cohere_chat"),
    "cohere v2, streamed": Row("cohere", "/v2/chat", COHERE, bodies.COHERE_2_EVENTS, "cohere_chat"),
    "cohere v1": Row("cohere", "/v1/chat", COHERE, bodies.COHERE_1, "cohere_chat"),
    "cohere v1, streamed": Row("cohere", "/v1/chat", COHERE, bodies.COHERE_1_EVENTS, "cohere_chat"),
    "cohere embeds": Row("cohere", "/v2/embed", COHERE, bodies.COHERE_EMBED, "cohere_embed", 107, 0),
    "mistral agents": Row("mistral", "/v1/agents/completions", {}, bodies.chat(), "agents"),
    "mistral fills in": Row("mistral", "/v1/fim/completions", {}, bodies.chat_events(), "fim"),
    "mistral converses": Row("mistral", "/v1/conversations", MISTRAL, bodies.CONVERSATION, "conversations", 4106, 134),
    "mistral converses, streamed": Row("mistral", "/v1/conversations/conv", MISTRAL, bodies.CONVERSATION_EVENTS, "conversations", 4106, 134),
    "mistral at Vertex": Row("google", f"{VERTEX}/mistralai/models/m:rawPredict", {}, bodies.chat(), "chat"),
    "mistral at Vertex, streamed": Row("google", f"{VERTEX}/mistralai/models/m:streamRawPredict", {}, bodies.chat_events(), "chat"),
    "jamba at Vertex": Row("google", f"{VERTEX}/ai21/models/m:rawPredict", {}, bodies.chat(), "chat"),
    "ollama chat": Row("ollama", "/api/chat", OLLAMA, bodies.ollama_chat(), "ollama_chat"),
    "ollama chat, streamed": Row("ollama", "/api/chat", OLLAMA, bodies.ollama_chat_lines(), "ollama_chat"),
    "ollama generates": Row("ollama", "/api/generate", OLLAMA, bodies.ollama_generate(), "ollama_generate"),
    "ollama generates, streamed": Row("ollama", "/api/generate", OLLAMA, bodies.ollama_generate_lines(), "ollama_generate"),
    "ollama embeds": Row("ollama", "/api/embed", OLLAMA, bodies.OLLAMA_EMBED, "ollama_embed", 107, 0),
    "voyage embeds": Row("voyageai", "/v1/embeddings", {}, bodies.VOYAGE_EMBED, "embeddings", 107, 0),
    "voyage embeds pictures": Row("voyageai", "/v1/multimodalembeddings", {}, bodies.VOYAGE_EMBED, "embeddings", 107, 0),
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("without_certificates")

Send = Callable[[str, dict[str, str], Any], Any]


def by_httpx(url: str, headers: dict[str, str], body: Any) -> bytes:
    with httpx.Client() as client, client.stream("POST", url, headers=headers, json=body) as answer:
        return answer.read()


def by_httpx2(url: str, headers: dict[str, str], body: Any) -> bytes:
    with httpx2.Client() as client:
        return client.post(url, headers=headers, json=body).content


def by_requests(url: str, headers: dict[str, str], body: Any) -> bytes:
    with requests.Session() as session, session.post(url, headers=headers, json=body, stream=True) as answer:
        return b"".join(answer.iter_content(7))


def by_aiohttp(url: str, headers: dict[str, str], body: Any) -> bytes:
    async def ask() -> bytes:
        async with aiohttp.ClientSession() as session, session.post(url, headers=headers, json=body) as answer:
            return await answer.read()

    return asyncio.run(ask())


SENDS: dict[str, Send] = {"httpx": by_httpx, "httpx2": by_httpx2, "requests": by_requests, "aiohttp": by_aiohttp}
ASK = {"model": "m", "messages": [{"role": "user", "content": "Which rose is the pinkest?"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[FakeNative]:
    found = FakeNative()
    yield found
    found.close()


@pytest.fixture
def fake(server: FakeNative) -> FakeNative:
    server.asked.clear()
    server.replies.clear()
    return server


def book(fake: FakeNative, provider: str = "ollama", **options: Any) -> PriceBook:
    return PriceBook(hosts={fake.url: provider}, on_unpriced="ignore", **options)


@pytest.mark.parametrize("library", SENDS)
@pytest.mark.parametrize("name", ROWS)
def test_an_answer_is_read_over_each_library(fake: FakeNative, name: str, library: str) -> None:
    row = ROWS[name]
    fake.will(replies(row.answer))

    with meter(prices=book(fake, row.provider), keep_calls=True) as cb:
        body = SENDS[library](fake.url + row.path, row.mark, ASK)

    assert body
    (call,) = cb.calls
    assert (call.api, call.provider, call.request_model) == (row.api, row.provider, "m")
    assert call.tokens[:2] == (row.prompt, row.completion)
    assert (call.certainty, call.outcome, call.source) == ("exact", "complete", "live")


# What is a call: a known host, a mark of the SDK, a host that a price book names, or a usage in the answer.

HOSTS = {
    "https://api.cohere.com/v2/chat": "cohere_chat",
    "https://api.cohere.com/v2/rerank": "rerank",
    "https://api.voyageai.com/v1/rerank": "rerank",
    "https://api.mistral.ai/v1/conversations/c/restart": "conversations",
    "https://ollama.com/api/chat": "ollama_chat",
    "https://router.huggingface.co/v1/chat/completions": "chat",
    "https://router.huggingface.co/hf-inference/models/gpt2": "unknown",
}


def asked(url: str, answer: Any = None, headers: dict[str, str] | None = None, **options: Any) -> Meter:
    """A meter around one post to *url*."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={} if answer is None else answer))
    with httpx.Client(transport=transport) as client, meter(keep_calls=True, **options) as cb:
        client.post(url, json=ASK, headers=headers)
    return cb


@pytest.mark.parametrize("url", HOSTS)
def test_a_known_host_makes_it_a_call_whatever_is_answered(url: str) -> None:
    cb = asked(url)

    assert [call.api for call in cb.calls] == [HOSTS[url]]
    assert not cb.is_complete


FREE = [
    "https://api.cohere.com/v1/tokenize", "https://api.cohere.com/v1/datasets", "https://api.mistral.ai/v1/agents",
    "https://ollama.com/api/show", "https://api.mistral.ai/v1/files",
]  # fmt: skip
OWN = [
    "/api/chat", "/api/generate", "/api/embed", "/v1/chat", "/v2/chat", "/v1/embed", "/v1/rerank", "/v1/conversations",
    "/v1/conversations/3",
]  # fmt: skip


@pytest.mark.parametrize("url", [*FREE, *(f"http://shop.internal{path}" for path in OWN)])
def test_what_is_free_or_an_apps_own_is_no_call(url: str) -> None:
    """An app may have a chat of its own, and it may answer with a `message`."""
    cb = asked(url, {"message": {"content": "hi"}, "response": "hi", "done": True})

    assert (cb.calls, cb.is_complete) == ((), True)
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={}))) as client:
        with meter(max_calls=0):
            assert client.post(url, json=ASK).status_code == 200


@pytest.mark.parametrize("path", ["/api/chat", "/v2/chat", "/v1/conversations"])
def test_a_gateway_speaks_such_an_api_where_a_usage_says_so(path: str) -> None:
    answers = {"/api/chat": bodies.ollama_chat(), "/v2/chat": bodies.COHERE_2, "/v1/conversations": bodies.CONVERSATION}

    cb = asked(f"http://gateway.internal{path}", answers[path])

    assert cb.successful_requests == 1


REFUSED = [row for name, row in ROWS.items() if "streamed" not in name]


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: f"{row.api} {row.path}")
def test_a_limit_refuses_the_second_call_before_it_leaves(fake: FakeNative, row: Row) -> None:
    """By the SDK's mark or by a host that the price book names."""
    fake.will(replies(row.answer), replies(row.answer))

    with meter(max_calls=1, prices=book(fake, row.provider)):
        by_httpx(fake.url + row.path, row.mark, ASK)
        with pytest.raises(BudgetExceededError):
            by_httpx(fake.url + row.path, row.mark, ASK)

    assert len(fake.asked) == 1


OVERLOADED = Reply(503, {}, headers=(("retry-after-ms", "1"), ("retry-after", "0.001")))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("colour", ["sync", "async"])
@pytest.mark.parametrize("sdk", rows_native.AGAIN)
def test_retries_of_the_sdks_are_attempts_of_one_call(fake: FakeNative, sdk: str, colour: str) -> None:
    """Their requests carry no number: the method that makes them counts, also where it calls itself."""
    package, _, cloud = sdk.partition(" at ")
    pytest.importorskip(package)
    way, more, answer = rows_native.AGAIN[sdk]
    fake.will(OVERLOADED, OVERLOADED, Reply(body=answer))

    async def twice() -> None:
        client = way.make(fake, True)
        await way.ask(client, True, **more())
        with pytest.raises(BudgetExceededError):
            await way.ask(client, True, **more())
        await closed(client)

    with meter(max_calls=1, keep_calls=True, prices=book(fake, cloud or package.removesuffix("ai"))) as cb:
        if colour == "async":
            asyncio.run(twice())
        else:
            client = way.make(fake, False)
            way.ask(client, False, **more())
            with pytest.raises(BudgetExceededError):
                way.ask(client, False, **more())

    assert [(call.status, call.attempt) for call in cb.calls] == [(503, 0), (503, 1), (200, 2)]
    assert (cb.successful_requests, len(fake.asked)) == (1, 3)


CAPS = {
    "/v2/chat": {"max_tokens": 100_000},
    "/v1/chat": {"message": "hi", "max_tokens": 100_000},
    "/api/chat": {"options": {"num_predict": 100_000}},
    "/api/generate": {"prompt": "hi", "options": {"num_predict": 100_000}},
    "/v1/conversations": {"inputs": "hi", "completion_args": {"max_tokens": 100_000}},
    "/v1/fim/completions": {"prompt": "def", "max_tokens": 100_000},
    f"{VERTEX}/mistralai/models/m:rawPredict": {"max_tokens": 100_000},
}


@pytest.mark.parametrize("path", CAPS)
def test_a_limit_on_cost_reserves_by_the_apis_own_cap(fake: FakeNative, path: str) -> None:
    """100,000 tokens at $1 a million do not fit into a cent; 10 do."""
    rates = [Rates("ollama", "*", input="1", output="1")]
    small = json.loads(json.dumps({**ASK, **CAPS[path]}).replace("100000", "10"))
    fake.will(Reply(body={}))

    with meter(max_cost="0.01", prices=book(fake, overrides=rates)):
        by_httpx(fake.url + path, {}, small)
        with pytest.raises(BudgetExceededError):
            by_httpx(fake.url + path, {}, {**ASK, **CAPS[path]})

    assert len(fake.asked) == 1


# Streams

STREAMS = [name for name, row in ROWS.items() if isinstance(row.answer, tuple)]


@pytest.mark.parametrize("name", STREAMS)
def test_a_handler_is_told_the_pieces_as_they_come(fake: FakeNative, name: str) -> None:
    row, told = ROWS[name], []

    class Teller(CallbackHandler):
        def on_llm_new_token(self, token: str, **_: Any) -> None:
            told.append(token)

    fake.will(replies(row.answer))
    with meter(handlers=[Teller()], prices=book(fake, row.provider)):
        by_httpx(fake.url + row.path, row.mark, ASK)

    assert [text for text in told if text] == list(HALVES)


@pytest.mark.parametrize("end", [CUT, HOLD], ids=["cut", "left"])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_does_not_end_is_estimated_by_what_it_showed(fake: FakeNative, name: str, end: Any) -> None:
    row = ROWS[name]
    shown = next(n for n, event in enumerate(row.answer) if HALVES[0] in json.dumps(event)) + 1
    fake.will(Reply(events=(*row.answer[:shown], end)))

    with meter(keep_calls=True, prices=book(fake, row.provider)) as cb:
        with httpx.Client() as client, client.stream("POST", fake.url + row.path, headers=row.mark, json=ASK) as answer:
            got = b""
            try:
                for piece in answer.iter_bytes():
                    got += piece
                    if HALVES[0].encode() in got and end is HOLD:
                        break
            except httpx.RemoteProtocolError:
                assert end is CUT

    (call,) = cb.calls
    assert call.tokens.completion_tokens in (count_text(HALVES[0]).tokens, count_text(HALVES[0]).tokens + 1)
    assert call.certainty in ("estimated", "lower_bound")
    assert call.outcome == ("error" if end is CUT else "closed")


def test_more_than_8_mib_of_json_lines_are_not_cut(fake: FakeNative) -> None:
    """Their last line counts, and the first ones name the model."""
    long = [{**bodies.ollama_chat_lines()[0], "message": {"content": "rose " * 20_000}} for _ in range(100)]
    fake.will(Reply(events=(*long, bodies.ollama_chat_lines()[-1])))

    with meter(keep_calls=True, prices=book(fake)) as cb:
        assert len(by_httpx(f"{fake.url}/api/chat", OLLAMA, ASK)) > 9 * 1024 * 1024

    assert [(call.certainty, call.tokens.total_tokens, call.response_model) for call in cb.calls] == [
        ("exact", 150, "llama3.2:1b")
    ]


ERRORS = {
    "/api/chat": ({"error": "model runner has stopped"},),
    "/v2/chat": ({"type": "message-end", "delta": {"error": "no", "finish_reason": "ERROR"}},),
    "/v1/conversations": ({"type": "conversation.response.error", "code": 3051, "message": "no"},),
}


@pytest.mark.parametrize("path", ERRORS)
def test_an_error_inside_of_a_stream_is_a_failed_call(fake: FakeNative, path: str) -> None:
    fake.will(Reply(events=ERRORS[path]))

    with meter(keep_calls=True, prices=book(fake)) as cb:
        by_httpx(fake.url + path, {}, ASK)

    assert cb.calls[0].outcome == "error"
    assert cb.calls[0].error is not None


# Counts


GIVEN: dict[str, tuple[dict[str, Any], dict[str, Any], str, tuple[str, ...]]] = {
    "filled in": ({"prompt": "def rose():", "suffix": "return 1"}, {**bodies.chat(), "usage": None}, "estimated", ("def rose():", "return 1")),
    "scanned": ({"document": {"document_url": "data:application/pdf;base64,AA"}}, {"pages": [{"markdown": "A rose"}], "usage_info": {"pages_processed": 1}}, "unmeasured", ()),
}  # fmt: skip


@pytest.mark.parametrize("given", GIVEN)
def test_what_vertex_serves_beside_chats_by_the_same_path_is_told_by_the_request(fake: FakeNative, given: str) -> None:
    """What is filled in is counted by both its texts; pages that are scanned have no tokens."""
    request, answer, certainty, counted = GIVEN[given]
    fake.will(Reply(body=answer))

    with meter(keep_calls=True, prices=book(fake, "google")) as cb:
        by_httpx(f"{fake.url}{VERTEX}/mistralai/models/m:rawPredict", {}, request)

    assert [call.certainty for call in cb.calls] == [certainty]
    assert cb.prompt_tokens == sum(count_text(text).tokens for text in counted)


def test_ollama_may_leave_the_prompt_out(fake: FakeNative) -> None:
    """It was cached: unknown, and not 0."""
    answer = {name: value for name, value in bodies.ollama_chat().items() if name != "prompt_eval_count"}

    (call,) = asked("https://ollama.com/api/chat", answer).calls

    assert call.tokens[:3] == (None, 43, None)


def test_the_first_embeddings_of_ollama_are_unmeasured(fake: FakeNative) -> None:
    """They state no count, which is never 0."""
    cb = asked("http://localhost:11434/api/embeddings", {"embedding": [0.1]}, OLLAMA)

    assert [(call.tokens.prompt_tokens, call.certainty) for call in cb.calls] == [(None, "unmeasured")]
    assert not cb.is_complete


def test_a_rerank_of_cohere_has_no_tokens_and_no_price() -> None:
    """Searches are billed; that is never 0."""
    cb = asked("https://api.cohere.com/v2/rerank", bodies.COHERE_RERANK)

    assert (cb.unmeasured_calls, cb.is_complete, cb.calls[0].price.cost) == (1, False, None)
    with pytest.raises(UnpricedModelError):
        asked("https://api.cohere.com/v2/rerank", bodies.COHERE_RERANK, max_cost="1")


def test_a_rerank_of_voyage_has_the_tokens_of_its_documents() -> None:
    (call,) = asked("https://api.voyageai.com/v1/rerank", bodies.VOYAGE_RERANK).calls

    assert (call.tokens[:3], call.response_model) == ((107, 0, 107), "rerank-2.5")


IMAGES = {
    "beside the text": {"input_tokens": 100, "image_tokens": 300, "text_tokens": 100},
    "alone": {"image_tokens": 400, "input_tokens": 0},
    "inside": {"input_tokens": 400, "image_tokens": 300},
}


@pytest.mark.parametrize("name", IMAGES)
def test_tokens_of_images_are_part_of_the_prompt(name: str) -> None:
    answer = {**bodies.COHERE_EMBED, "meta": {"billed_units": IMAGES[name]}}

    (call,) = asked("https://api.cohere.com/v2/embed", answer).calls

    assert call.tokens.prompt_tokens == 400


# Prices

PRICED = {
    "https://api.mistral.ai/v1/agents/completions": ("mistral-small-latest", bodies.chat()),
    "https://api.mistral.ai/v1/conversations": ("mistral-small-latest", bodies.CONVERSATION),
    "https://api.cohere.com/v2/chat": ("command-r-08-2024", bodies.COHERE_2),
    "https://api.voyageai.com/v1/embeddings": ("voyage-3.5", bodies.VOYAGE_EMBED),
}  # fmt: skip


@pytest.mark.parametrize("url", PRICED)
def test_the_public_list_has_its_price(url: str) -> None:
    model, answer = PRICED[url]
    answer = json.loads(json.dumps(answer).replace("m-1", model))
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=answer))
    with httpx.Client(transport=transport) as client, meter(keep_calls=True) as cb:
        client.post(url, json={**ASK, "model": model})

    assert cb.calls[0].price is not None
    assert cb.calls[0].price.cost is not None, cb.calls[0].price.reason
    assert cb.cost > 0


def test_a_model_on_this_machine_is_free_by_one_line(fake: FakeNative) -> None:
    """Its tokens count all the same."""
    fake.will(Reply(body=bodies.ollama_chat()))

    with meter(prices=book(fake, overrides=[Rates("ollama", "*", input=0, output=0)])) as cb:
        by_httpx(f"{fake.url}/api/chat", OLLAMA, ASK)

    assert (cb.total_tokens, cb.cost, cb.is_complete) == (150, Decimal(0), True)


EXTRACTED = {
    "cohere": bodies.COHERE_2,
    "mistral": {**bodies.chat(), "model": "mistral-small-latest"},
}


@pytest.mark.parametrize("provider", EXTRACTED)
def test_genai_prices_reads_the_same_counts(provider: str) -> None:
    """Its extractors are another reader of the same bodies."""
    from genai_prices import extract_usage

    answer = EXTRACTED[provider]
    url = {"cohere": "https://api.cohere.com/v2/chat", "mistral": "https://api.mistral.ai/v1/agents/completions"}[
        provider
    ]

    theirs = extract_usage(answer, provider_id=provider).usage
    (call,) = asked(url, answer).calls

    assert (theirs.input_tokens, theirs.output_tokens) == call.tokens[:2]
