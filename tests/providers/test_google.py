"""google-genai under a meter, newest and 1.10, in each colour and over each transport: what is counted, priced, refused."""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import httpx2
import pytest

from tests.providers import google_fake as server
from tests.providers.fake_server import Reply
from tests.providers.google_fake import MODEL, SAID, SERVED, FakeGoogle, answer, failure, streamed, usage
from token_meter import BudgetExceededError, attach, detach, meter
from token_meter.estimate import count_text
from token_meter.prices import PriceBook

genai = pytest.importorskip("google.genai")
types = genai.types
IS_3 = int(genai.__version__.partition(".")[0]) >= 3
HAS_AIOHTTP = hasattr(genai._api_client, "has_aiohttp")
HAS_INTERACTIONS = hasattr(genai.Client, "interactions")

# The SDK makes a class of aiohttp's session.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class .* from ClientSession:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*nteractions .*:UserWarning"),  # 1.x: they are experimental
    # 1.x leaves sockets open.
    *([] if IS_3 else [pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]),
]

QUESTION = "Which rose is the pinkest?"
CAPPED = {"max_output_tokens": 200}

Program = Callable[[Any], Awaitable[Any]]


async def result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def each(items: Any) -> AsyncIterator[Any]:
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


class Caller:
    """Runs a program with the client of one colour and transport."""

    def __init__(self, way: str, url: str) -> None:
        self.way = way
        self._url = url

    def run(self, program: Program, *, by: dict[str, Any] | None = None, **options: Any) -> Any:
        async def whole() -> Any:
            client = genai.Client(**(by or {"api_key": "sim-roses"}), http_options=self._options(**options))
            try:
                return await program(client if self.way == "sync" else client.aio)
            finally:
                if hasattr(client, "close"):
                    client.close()
                    await client.aio.aclose()
                if not IS_3:
                    client._api_client._httpx_client.close()
                    await client._api_client._async_httpx_client.aclose()

        try:
            return asyncio.run(whole())
        finally:
            if not IS_3:
                gc.collect()  # the first versions close no stream that is left

    def _options(self, **more: Any) -> Any:
        found: dict[str, Any] = {"base_url": self._url, **more}
        if HAS_AIOHTTP and self.way == "httpx":  # a transport of one's own switches aiohttp off
            library = httpx2 if IS_3 else httpx
            found["async_client_args"] = {"transport": library.AsyncHTTPTransport()}
        return types.HttpOptions(**found)


WAYS = ["sync", "httpx", *(["aiohttp"] if HAS_AIOHTTP else [])]
"""Transports of the SDK: what its async client takes by itself is aiohttp, where that is installed."""


@pytest.fixture
def fake() -> Any:
    found = FakeGoogle()
    yield found
    found.close()


@pytest.fixture
def metered(fake: FakeGoogle) -> Callable[..., Any]:
    """A meter that knows who is paid on this machine's port."""
    return lambda **options: meter(prices=PriceBook(hosts={fake.url: "google"}), keep_calls=True, **options)


@pytest.fixture(params=WAYS)
def caller(request: pytest.FixtureRequest, fake: FakeGoogle) -> Caller:
    return Caller(request.param, fake.url)


# The ways to ask.


async def create(client: Any) -> str:
    found = await result(client.models.generate_content(model=MODEL, contents=QUESTION, config=CAPPED))
    return found.text


async def stream(client: Any) -> str:
    found = await result(client.models.generate_content_stream(model=MODEL, contents=QUESTION, config=CAPPED))
    return "".join([piece.text or "" async for piece in each(found)])


async def chat(client: Any) -> str:
    found = await result(client.chats.create(model=MODEL).send_message(QUESTION))
    return found.text


async def chat_stream(client: Any) -> str:
    found = await result(client.chats.create(model=MODEL).send_message_stream(QUESTION))
    return "".join([piece.text or "" async for piece in each(found)])


WHOLE, STREAMED = [create, chat], [stream, chat_stream]


@pytest.mark.parametrize("way", [*WHOLE, *STREAMED], ids=lambda way: way.__name__)
def test_each_way_to_ask_is_counted_and_priced_once(fake, metered, caller, way):
    fake.will(streamed(answer()) if way in STREAMED else Reply(body=answer()))

    with metered() as cb:
        said = caller.run(way)

    assert said == SAID
    assert (cb.prompt_tokens, cb.completion_tokens, cb.successful_requests) == (107, 43, 1)
    assert cb.cost == Decimal("0.0001396")  # 107 at $0.30 and 43 at $2.50 per million
    assert cb.is_complete
    assert len(fake.asked) == 1
    (call,) = cb.calls
    assert (call.api, call.provider, call.request_model, call.response_model) == (
        "generate_content", "google", MODEL, SERVED,
    )  # fmt: skip
    assert (call.source, call.certainty, call.outcome) == ("live", "exact", "complete")


def vertex() -> dict[str, Any]:
    """A client of Vertex AI, whose token needs no server."""
    from google.oauth2.credentials import Credentials

    return {"vertexai": True, "project": "roses", "location": "europe-west4", "credentials": Credentials("sim-roses")}  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("way", [create, stream], ids=lambda way: way.__name__)
def test_vertex_is_counted_and_priced_as_the_gemini_api(fake, metered, caller, way):
    body = answer(said=usage(trafficType="ON_DEMAND"))
    fake.will(streamed(body, early={"trafficType": "ON_DEMAND"}) if way is stream else Reply(body=body))

    with metered() as cb:
        assert caller.run(way, by=vertex()) == SAID

    (call,) = cb.calls
    assert "/projects/roses/locations/europe-west4/publishers/google/models/" in fake.asked[0].path
    assert (cb.total_tokens, cb.cost, cb.is_complete) == (150, Decimal("0.0001396"), True)
    assert (call.request_model, call.response_model, call.service_tier) == (MODEL, SERVED, "on_demand")


# What a usage says. All at gemini-2.5-flash: $0.30, cached $0.03, sound $1, cached sound $0.10; $2.50.


def split(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": name, "tokenCount": count} for name, count in tokens.items()]


USAGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "thoughts": (
        usage(thoughtsTokenCount=30),
        {"completion_tokens": 73, "reasoning_tokens": 30, "total_tokens": 180},
        "0.0002146",
    ),
    "tokens of tools": (
        usage(toolUsePromptTokenCount=300),
        {"prompt_tokens": 407, "completion_tokens": 43, "total_tokens": 450},
        "0.0002296",
    ),
    "cached": (
        usage(cachedContentTokenCount=100),
        {"prompt_tokens": 107, "cached_tokens": 100},
        "0.0001126",
    ),
    "sound and images": (
        usage(promptTokensDetails=split(TEXT=7, AUDIO=60, IMAGE=40)),
        {"prompt_tokens": 107, "input_audio_tokens": 60, "input_image_tokens": 40},
        "0.0001816",
    ),
    "cached sound": (
        usage(
            cachedContentTokenCount=60, promptTokensDetails=split(TEXT=47, AUDIO=60), cacheTokensDetails=split(AUDIO=60)
        ),
        {"cached_tokens": 60, "cached_audio_tokens": 60, "input_audio_tokens": 60},
        "0.0001276",
    ),
    "nothing was said": (
        {"promptTokenCount": 107, "totalTokenCount": 107, "promptTokensDetails": split(TEXT=107)},
        {"prompt_tokens": 107, "completion_tokens": 0, "total_tokens": 107},
        "0.0000321",
    ),
    "only thoughts were made": (
        {"promptTokenCount": 107, "thoughtsTokenCount": 50, "totalTokenCount": 157},
        {"completion_tokens": 50, "reasoning_tokens": 50},
        "0.0001571",
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", USAGES)
def test_a_usage_is_read_whole_and_priced(fake, metered, caller, name, is_streamed):
    said, expected, cost = USAGES[name]
    parts = () if "candidatesTokenCount" in said else ({"text": ""},)
    body = answer(*parts, said=said)
    fake.will(streamed(body) if is_streamed else Reply(body=body))

    with metered() as cb:
        caller.run(stream if is_streamed else create)

    found = cb.calls[0].tokens
    assert {field: getattr(found, field) for field in expected} == expected
    assert cb.cost == Decimal(cost)
    assert cb.is_complete


GROWTH: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # What the first events said, what the last says, and what is right.
    "the prompt shrinks": (
        {"promptTokenCount": 169, "candidatesTokenCount": 2, "totalTokenCount": 171},
        usage(79, 43),
        {"prompt_tokens": 79, "completion_tokens": 43, "total_tokens": 122},
    ),
    "tools make the prompt grow": (
        {"promptTokenCount": 46, "totalTokenCount": 46},
        usage(147, 43, toolUsePromptTokenCount=360),
        {"prompt_tokens": 507, "completion_tokens": 43},
    ),
    "the last report is whole": (
        {"promptTokenCount": 87, "candidatesTokenCount": 21, "thoughtsTokenCount": 35, "totalTokenCount": 143},
        {"promptTokenCount": 87, "thoughtsTokenCount": 78, "totalTokenCount": 165},
        {"prompt_tokens": 87, "completion_tokens": 78, "total_tokens": 165},
    ),
    "the kind of traffic is no report": (
        {"trafficType": "ON_DEMAND"},
        usage(trafficType="ON_DEMAND"),
        {"prompt_tokens": 107, "completion_tokens": 43},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWTH)
def test_the_last_report_of_a_stream_is_taken_alone(fake, metered, caller, name):
    early, last, expected = GROWTH[name]
    fake.will(streamed(answer(said=last), early=early))

    with metered() as cb:
        caller.run(stream)

    found = cb.calls[0].tokens
    assert {field: getattr(found, field) for field in expected} == expected
    assert cb.calls[0].certainty == "exact"


TIERS = {
    "flex": ({"serviceTier": "flex"}, "flex"),
    "standard": ({"serviceTier": "STANDARD"}, "standard"),
    "Vertex": ({"trafficType": "ON_DEMAND"}, "on_demand"),
    "Vertex, by number": ({"trafficType": 1}, "on_demand"),
    "Vertex, flex": ({"trafficType": "ON_DEMAND_FLEX"}, "flex"),
    "provisioned": ({"trafficType": "PROVISIONED_THROUGHPUT"}, "provisioned_throughput"),
    "not said": ({"trafficType": "TRAFFIC_TYPE_UNSPECIFIED"}, None),
}


@pytest.mark.parametrize("name", TIERS)
def test_the_tier_is_what_the_answer_says(name, metered):
    more, tier = TIERS[name]

    call = read(answer(said=usage(**more)), metered)

    assert call.service_tier == tier


def read(body: Any, metered: Any, method: str = "generateContent", where: str = "models/gemini-2.5-flash") -> Any:
    """The record of an answer that httpx was given."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    with metered() as cb, httpx.Client(transport=transport) as client:
        client.post(f"https://generativelanguage.googleapis.com/v1beta/{where}:{method}?key=sim-roses", json={})
    (call,) = cb.calls
    return call


def test_enums_may_be_numbers(metered):
    """Vertex gives them so to clients that ask for it."""
    parts = [{"modality": 4, "tokenCount": 60}, {"modality": 2, "tokenCount": 40}, {"modality": 1, "tokenCount": 7}]

    call = read(answer(said=usage(promptTokensDetails=parts)), metered)

    assert (call.tokens.input_audio_tokens, call.tokens.input_image_tokens) == (60, 40)


def test_a_file_by_its_address_leaves_the_prompt_unknown(metered):
    """Two recorded answers name neither a prompt nor a total."""
    call = read(answer(said={"candidatesTokenCount": 43, "thoughtsTokenCount": 9}), metered)

    assert (call.tokens.prompt_tokens, call.tokens.completion_tokens) == (None, 52)


@pytest.mark.parametrize("size", [20_000, 400_000, 3_000_000])
def test_a_large_answer_states_its_usage(metered, size):
    """Images stand inside of the answer."""
    image = {"inlineData": {"mimeType": "image/png", "data": "A" * size}}
    said = usage(candidates=1290, candidatesTokensDetails=split(IMAGE=1290))

    call = read(answer(image, {"text": '{"usageMetadata": "a trap"}'}, said=said), metered)

    assert (call.tokens.total_tokens, call.tokens.output_image_tokens, call.model) == (1397, 1290, SERVED)


# With a client certificate google-auth carries the calls: over requests, or over aiohttp.


@pytest.mark.skipif(not IS_3, reason="this google-genai has no certificates")
@pytest.mark.parametrize("way", [create, stream], ids=lambda way: way.__name__)
@pytest.mark.parametrize("colour", ["sync", "aiohttp"])
def test_a_call_that_google_auth_carries_counts_once(fake, metered, monkeypatch, way, colour):
    from google.auth.aio.transport.sessions import AsyncAuthorizedSession
    from google.auth.transport.requests import AuthorizedSession

    async def no_channel(*_: Any) -> None:
        """There is no certificate here."""

    base = genai._api_client.BaseApiClient
    monkeypatch.setattr(base, "_use_google_auth_sync", lambda _: True)
    monkeypatch.setattr(base, "_use_google_auth_async", lambda _: True)
    monkeypatch.setattr(AuthorizedSession, "configure_mtls_channel", lambda *_: None)
    monkeypatch.setattr(AsyncAuthorizedSession, "configure_mtls_channel", no_channel)
    monkeypatch.setattr(genai._api_client.mtls, "default_client_cert_source", lambda: None)
    carried = []
    for session in (AuthorizedSession, AsyncAuthorizedSession):
        send = session.request
        monkeypatch.setattr(session, "request", lambda *a, send=send, **k: (carried.append(1), send(*a, **k))[1])
    body = answer()
    fake.will(streamed(body) if way is stream else Reply(body=body))

    with metered() as cb:
        assert Caller(colour, fake.url).run(way, by=vertex()) == SAID

    assert (cb.successful_requests, cb.total_tokens, cb.is_complete, carried) == (1, 150, True, [1])


# Streams that do not come to their end.


async def leave_early(client: Any) -> None:
    found = await result(client.models.generate_content_stream(model=MODEL, contents=QUESTION))
    async for _ in each(found):
        break
    await result(found.aclose() if hasattr(found, "aclose") else found.close())


async def read_to_the_error(client: Any) -> None:
    with pytest.raises(Exception, match=r"(?i)peer|incomplete|payload|closed|disconnected"):
        await stream(client)


def until(count: int, *more: dict[str, Any], **options: Any) -> Reply:
    """A stream of so many pieces, and then *more*."""
    return Reply(events=(*server.events(answer(), **options)[:count], *more))


@pytest.mark.parametrize("name", ["left", "broken"])
def test_a_stream_without_its_end_is_a_lower_bound_of_what_it_showed(fake, metered, caller, name):
    program, more = (leave_early, server.HOLD) if name == "left" else (read_to_the_error, server.CUT)
    fake.will(until(1, more))

    with metered() as cb:
        caller.run(program)

    shown = count_text(SAID[: len(SAID) // 2], MODEL).tokens
    (call,) = cb.calls
    assert (cb.prompt_tokens, cb.completion_tokens, call.certainty) == (107, shown, "lower_bound")
    assert not cb.is_complete


def test_a_stream_that_is_left_behind_its_last_report_is_exact(fake, metered, caller):
    """A finish reason says that no more comes."""
    fake.will(Reply(events=(*server.events(answer()), server.HOLD)))

    async def read_all_but_the_end(client: Any) -> None:
        found = await result(client.models.generate_content_stream(model=MODEL, contents=QUESTION))
        async for piece in each(found):
            if piece.candidates[0].finish_reason:
                break
        await result(found.aclose() if hasattr(found, "aclose") else found.close())

    with metered() as cb:
        caller.run(read_all_but_the_end)

    assert (cb.total_tokens, cb.calls[0].certainty) == (150, "exact")


def test_a_stream_without_any_report_is_estimated(fake, metered, caller):
    """By another tokenizer, and marked."""
    events = [{**event, "usageMetadata": {}} for event in server.events(answer())]
    fake.will(Reply(events=tuple(events)))

    with metered() as cb:
        caller.run(stream)

    (call,) = cb.calls
    assert call.certainty == "estimated"
    assert cb.completion_tokens == count_text(SAID, MODEL).tokens
    assert cb.prompt_tokens == count_text(QUESTION, MODEL).tokens + 4


def test_a_blocked_prompt_states_nothing_and_is_not_free(fake, metered, caller):
    """Neither is it estimated as an answer."""
    fake.will(Reply(body={"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": SERVED}))

    async def ask(client: Any) -> None:
        await result(client.models.generate_content(model=MODEL, contents=QUESTION))

    with metered() as cb:
        caller.run(ask)

    assert not cb.is_complete
    assert cb.calls[0].certainty != "exact"


def test_the_array_that_grows_is_a_stream_too(fake, metered):
    """REST without `alt=sse`."""
    fake.will(streamed(answer()))
    url = f"{fake.url}/v1beta/models/{MODEL}:streamGenerateContent"
    with metered() as cb, httpx.Client() as client, client.stream("POST", url, json={}) as found:
        found.read()

    assert (cb.total_tokens, cb.calls[0].certainty, cb.calls[0].model) == (150, "exact", SERVED)


# Attempts, and what is free.


def test_retries_are_attempts_of_one_call(fake, metered, caller):
    if not hasattr(types, "HttpRetryOptions"):
        pytest.skip("this google-genai does not retry")
    fake.will(failure(429), failure(503, "UNAVAILABLE"), Reply(body=answer()))
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.002, jitter=0.001)

    with metered(max_calls=2) as cb:  # one call of three attempts
        caller.run(create, retry_options=retries)
        assert cb.remaining.calls == 1

    assert (cb.successful_requests, cb.failed_requests, cb.total_tokens) == (1, 2, 150)
    assert [(call.status, call.attempt) for call in cb.calls] == [(429, 0), (503, 1), (200, 2)]


def test_a_retry_has_its_number_without_a_limit_too(fake, metered, caller):
    """The SDK does not send it: the gate counts, where single calls are kept."""
    if not hasattr(types, "HttpRetryOptions"):
        pytest.skip("this google-genai does not retry")
    fake.will(failure(429), Reply(body=answer()), Reply(body=answer()))
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.001, max_delay=0.002, jitter=0.001)

    async def twice(client: Any) -> None:
        await create(client)
        await create(client)

    with metered() as cb:
        caller.run(twice, retry_options=retries)

    assert [(call.status, call.attempt) for call in cb.calls] == [(429, 0), (200, 1), (200, 0)]


def test_an_error_is_the_sdks_own(fake, metered, caller):
    fake.will(failure(400, "INVALID_ARGUMENT"))

    with metered() as cb:
        with pytest.raises(genai.errors.ClientError):
            caller.run(create)

    assert (cb.failed_requests, cb.total_tokens, cb.cost, cb.unmeasured_calls) == (1, 0, 0, 0)


FREE: dict[str, Callable[[Any], Any]] = {
    "count_tokens": lambda client: client.models.count_tokens(model=MODEL, contents=QUESTION),
    "a model": lambda client: client.models.get(model=MODEL),
    "a file": lambda client: client.files.get(name="files/1"),
}


@pytest.mark.parametrize("name", FREE)
def test_what_is_free_is_no_call(fake, metered, caller, name):
    fake.will(Reply(body={"totalTokens": 12, "name": "files/1"}))

    async def ask(client: Any) -> None:
        await result(FREE[name](client))

    with metered(max_calls=0) as cb:
        caller.run(ask)

    assert (cb.successful_requests, cb.total_tokens, cb.unmeasured_calls, cb.is_complete) == (0, 0, 0, True)
    assert len(fake.asked) == 1


# Embeddings and images.


async def embed(client: Any) -> None:
    await result(client.models.embed_content(model="gemini-embedding-001", contents=["a rose", "two roses"]))


def test_embeddings_state_their_prompt_alone(fake, metered, caller):
    fake.will(
        Reply(
            body={
                "embeddings": [{"values": [0.1]}] * 2,
                "usageMetadata": {"promptTokenCount": 6, "promptTokenDetails": split(TEXT=6)},
            }
        )
    )

    with metered() as cb:
        caller.run(embed)

    assert (cb.prompt_tokens, cb.completion_tokens, cb.cost) == (6, 0, Decimal("0.0000009"))
    assert cb.is_complete
    assert cb.calls[0].api == "embed_content"


VIDEO = {"promptTokenCount": 1100, "promptTokenDetails": split(TEXT=100, VIDEO=1000)}


def test_video_is_not_priced_as_text(fake, metered, caller):
    """100 tokens at $0.20 and 1,000 at $12."""
    fake.will(Reply(body={"embeddings": [{"values": [0.1]}], "usageMetadata": VIDEO}))

    async def ask(client: Any) -> None:
        await result(client.models.embed_content(model="gemini-embedding-2", contents=["a rose"]))

    with metered() as cb:
        caller.run(ask)

    assert (cb.prompt_tokens, cb.cost, cb.is_complete) == (1100, Decimal("0.01202"), True)


@pytest.mark.parametrize(
    ("lists", "cost", "is_complete"),
    [
        ({"promptTokensDetails": split(VIDEO=100, TEXT=7)}, "0.0001396", True),
        ({"candidatesTokensDetails": split(VIDEO=43)}, "0.0001396", False),
    ],
    ids=["asked", "made"],
)
def test_video_costs_what_text_does_where_the_list_says_so_and_else_leaves_the_cost_open(
    metered, lists, cost, is_complete
):
    """Made by a model that has no rate for it."""
    call = read(answer(said=usage(**lists)), lambda: metered(on_unpriced="ignore"))

    assert call.tokens.total_tokens == 150
    assert (call.cost, call.price.is_whole) == (Decimal(cost), is_complete)


def test_embeddings_that_state_nothing_are_estimated(fake, metered, caller):
    """As all did before 2026."""
    fake.will(Reply(body={"embeddings": [{"values": [0.1]}] * 2}))

    with metered() as cb:
        caller.run(embed)

    assert (cb.prompt_tokens, cb.completion_tokens) == (
        sum(count_text(t, None).tokens for t in ("a rose", "two roses")),
        0,
    )
    assert cb.calls[0].certainty == "estimated"


@pytest.mark.filterwarnings("ignore:The generate_images method")
def test_imagen_is_unmeasured_and_never_free(fake, metered, caller):
    """It is billed by the image, which no count of tokens says."""
    fake.will(Reply(body={"predictions": [{"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}]}))

    async def ask(client: Any) -> None:
        await result(client.models.generate_images(model="imagen-4.0-generate-001", prompt="a rose"))

    with metered() as cb:
        caller.run(ask, by=vertex())

    assert fake.asked[0].path.endswith("/publishers/google/models/imagen-4.0-generate-001:predict")
    assert (cb.successful_requests, cb.unmeasured_calls, cb.is_complete) == (1, 1, False)


def test_predicted_embeddings_add_up(metered):
    """Vertex's older embeddings state a count for each text."""
    found = [{"embeddings": {"values": [0.1], "statistics": {"token_count": n, "truncated": False}}} for n in (4, 5.0)]

    call = read({"predictions": found}, metered, "predict", "projects/p/locations/l/publishers/google/models/te-4")

    assert (call.tokens.prompt_tokens, call.tokens.completion_tokens, call.request_model) == (9, 0, "te-4")


# Interactions.


INTERACTION = {"model": MODEL, "input": QUESTION}
needs_interactions = pytest.mark.skipif(not HAS_INTERACTIONS, reason="this google-genai has no interactions")


async def interact(client: Any) -> None:
    await result(client.interactions.create(**INTERACTION, generation_config=CAPPED))


async def interact_streamed(client: Any) -> None:
    found = await result(client.interactions.create(**INTERACTION, generation_config=CAPPED, stream=True))
    async for _ in each(found):
        pass


@needs_interactions
@pytest.mark.parametrize("way", [interact, interact_streamed], ids=lambda way: way.__name__)
def test_an_interaction_is_counted_and_priced_once(fake, metered, caller, way):
    """A step's own usage is a part of the whole."""
    is_streamed = way is interact_streamed
    fake.will(Reply(events=tuple(server.interaction_events())) if is_streamed else Reply(body=server.interaction()))

    with metered() as cb:
        caller.run(way)

    (call,) = cb.calls
    found = call.tokens
    assert (found.prompt_tokens, found.completion_tokens, found.total_tokens) == (112, 52, 164)
    assert (found.cached_tokens, found.reasoning_tokens) == (50, 9)
    assert (call.api, call.request_model, call.response_model, call.certainty) == (
        "interactions", MODEL, MODEL, "exact",
    )  # fmt: skip
    assert (cb.cost, cb.is_complete) == (Decimal("0.0001501"), True)


@needs_interactions
def test_an_interaction_that_is_left_is_a_lower_bound_of_what_it_showed(fake, metered, caller):
    fake.will(Reply(events=(*server.interaction_events()[:3], server.HOLD)))

    async def leave(client: Any) -> None:
        found = await result(client.interactions.create(**INTERACTION, stream=True))
        seen = 0
        async for _ in each(found):
            seen += 1
            if seen == 3:
                break
        if hasattr(found, "generator"):
            await result(found.generator.aclose() if hasattr(found.generator, "aclose") else found.generator.close())
        else:
            await result(found.close())
        del found, _
        gc.collect()

    with metered() as cb:
        caller.run(leave)

    shown = count_text(SAID[: len(SAID) // 2], MODEL).tokens
    assert (cb.prompt_tokens, cb.completion_tokens, cb.calls[0].certainty) == (112, shown, "lower_bound")


@needs_interactions
def test_an_interaction_in_the_background_counts_at_its_end(fake, metered, caller):
    """Open until then, and once."""
    begun = server.interaction(status="in_progress")
    del begun["usage"]
    fake.will(*(Reply(body=body) for body in (begun, begun, server.interaction(), server.interaction())))
    open_streams = []

    with metered() as cb:

        async def ask(client: Any) -> None:
            made = await result(client.interactions.create(**INTERACTION, background=True))
            open_streams.append((cb.open_streams, cb.total_tokens))
            for _ in range(3):
                await result(client.interactions.get(made.id))

        caller.run(ask)

    assert open_streams == [(1, 0)]
    assert (cb.successful_requests, cb.total_tokens, cb.open_streams, cb.is_complete) == (1, 164, 0, True)


# Limits.


@pytest.mark.parametrize(
    "way", [create, stream, *([interact, interact_streamed] if HAS_INTERACTIONS else [])], ids=lambda way: way.__name__
)
@pytest.mark.parametrize(
    "limit",
    [{"max_calls": 0}, {"max_cost": "0.0004"}, {"max_tokens": 200}],
    ids=lambda limit: next(iter(limit)),
)
def test_f127_a_refusal_reaches_the_caller_as_it_is(fake, metered, caller, way, limit):
    """200 tokens of output at $2.50 are $0.0005: more than the limit, before anything is sent."""
    with metered(**limit) as cb:
        with pytest.raises(BudgetExceededError):
            caller.run(way)

    assert fake.asked == []
    assert cb.successful_requests == cb.failed_requests == 0


def test_the_calls_own_cap_is_reserved_with_its_prompt(fake, metered, caller):
    """A call fits whose cap and prompt fit; with a longer instruction, or for several candidates, it does not."""
    fake.will(Reply(body=answer()))

    async def ask(client: Any, **more: Any) -> None:
        config = {"max_output_tokens": 100, **more}
        await result(client.models.generate_content(model=MODEL, contents=QUESTION, config=config))

    with metered(max_cost="0.0003"):  # the output may take 0.00025
        caller.run(ask)
    for more in ({"system_instruction": "rose " * 500}, {"candidate_count": 2}):
        with metered(max_cost="0.0003"):
            with pytest.raises(BudgetExceededError):
                caller.run(lambda client, more=more: ask(client, **more))

    assert len(fake.asked) == 1


# What handlers hear, and what nothing holds.


class Told:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **keywords: Any) -> None:
        self.heard.append(("start", serialized["id"], messages[0]))

    def on_llm_start(self, serialized: Any, prompts: Any, **keywords: Any) -> None:
        self.heard.append(("prompts", prompts))

    def on_llm_new_token(self, token: str, *, kind: str, **keywords: Any) -> None:
        self.heard.append((kind, token))

    def on_llm_end(self, response: Any, **keywords: Any) -> None:
        self.heard.append(("end", response.tokens.total_tokens))


def test_handlers_hear_each_piece_as_it_passes(fake, metered, caller):
    call = {"functionCall": {"name": "look_up", "args": {"a": 1}}}
    fake.will(streamed(answer({"text": "Hmmm", "thought": True}, {"text": "Rose"}, call)))
    told = Told()

    async def ask(client: Any) -> None:
        config = {"system_instruction": "Be brief"}
        found = client.models.generate_content_stream(model=MODEL, contents=QUESTION, config=config)
        async for _ in each(await result(found)):
            pass

    with metered(handlers=[told]):
        caller.run(ask)

    assert told.heard == [
        ("start", ["google", "generate_content"], [
            {"role": "system", "content": "Be brief"}, {"role": "user", "parts": [{"text": QUESTION}]},
        ]),
        ("reasoning", "Hm"), ("reasoning", "mm"), ("text", "Ro"), ("text", "se"),
        ("tool_name", "look_up"), ("tool_arguments", '{"a": 1}'), ("end", 150),
    ]  # fmt: skip


def test_handlers_of_a_client_hear_its_calls_and_those_of_no_other(fake, metered, caller):
    """`attach` takes the SDK's own client, or its `aio`."""
    fake.will(*(Reply(body=answer()) for _ in range(4)))
    told = Told()

    async def ask(client: Any) -> None:
        attach(client, handlers=[told])
        await create(client)
        detach(client, handlers=[told])
        await create(client)

    caller.run(ask)
    caller.run(create)

    assert [one[0] for one in told.heard] == ["start", "end"]


def test_a_key_in_the_query_is_nowhere(metered):
    """The Gemini API takes `?key=`."""
    call = read(answer(), metered)

    assert "sim-roses" not in repr(call) + str(call) + repr(call.to_dict()) + str(call.base_url)
