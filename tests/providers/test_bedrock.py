"""Bedrock under a meter, through boto3 and aiobotocore: what is counted, priced, told and refused."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from tests.providers import anthropic_fake as claude
from tests.providers import bedrock_fake as server
from tests.providers.bedrock_fake import (
    MODEL,
    SAID,
    FakeBedrock,
    Reply,
    conversation,
    counted,
    failure,
    metrics,
    streamed,
    thought,
    tool_use,
    usage,
)
from token_meter import BudgetExceededError, attach, detach, meter
from token_meter.estimate import count_text
from token_meter.prices import PriceBook

boto3 = pytest.importorskip("boto3")
from botocore.config import Config  # noqa: E402  # behind the question whether it is there

QUESTION: list[Any] = [{"role": "user", "content": [{"text": "Which rose is the pinkest?"}]}]
CAPPED = {"inferenceConfig": {"maxTokens": 200}}
PRICE = Decimal("0.0000805")  # 107 at $0.25 and 43 at $1.25 per million
CREDENTIALS = {"aws_access_key_id": "sim", "aws_secret_access_key": "sim"}

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


async def closed(body: Any) -> None:
    await result(body.close())


@cache
def _session() -> Any:
    """One for all: it keeps the models of services, which take most of the time."""
    return boto3.Session()


@cache
def _aio_session() -> Any:
    from aiobotocore.session import get_session

    return get_session()


class Caller:
    """Runs a program with a client of one SDK."""

    def __init__(self, sdk: str, url: str) -> None:
        self.sdk = sdk
        self.url = url

    def run(self, program: Program, *, service: str = "bedrock-runtime", **options: Any) -> Any:
        about = {"region_name": "us-east-1", "endpoint_url": self.url, "verify": False, **CREDENTIALS}

        async def whole() -> Any:
            if self.sdk == "boto3":
                client = _session().client(service, **about, config=Config(**options))
                try:
                    return await program(client)
                finally:
                    client.close()
            from aiobotocore.config import AioConfig

            async with _aio_session().create_client(service, **about, config=AioConfig(**options)) as client:
                return await program(client)

        return asyncio.run(whole())


@pytest.fixture(autouse=True, scope="module")
def loaded() -> None:
    """The models of services are large; the collector looks at them no more."""
    for sdk in ("boto3", "aiobotocore"):
        Caller(sdk, "http://127.0.0.1:9").run(_nothing)
    gc.collect()
    gc.freeze()


async def _nothing(client: Any) -> None:
    pass


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The server; the SDK waits for nothing before it asks again."""
    import botocore.retries.standard

    monkeypatch.setattr(botocore.retries.standard.ExponentialBackoff, "delay_amount", lambda *_: 0)
    found = FakeBedrock()
    yield found
    found.close()


@pytest.fixture
def metered(fake: FakeBedrock) -> Callable[..., Any]:
    """A meter that knows who is paid on this machine's port."""
    return lambda **options: meter(prices=PriceBook(hosts={fake.url: "aws"}), keep_calls=True, **options)


@pytest.fixture(params=["boto3", "aiobotocore"])
def caller(request: pytest.FixtureRequest, fake: FakeBedrock) -> Caller:
    pytest.importorskip(request.param)
    return Caller(request.param, fake.url)


# The ways to ask.


async def converse(client: Any, model: str = MODEL, **more: Any) -> Any:
    answer = await result(client.converse(modelId=model, messages=QUESTION, **{**CAPPED, **more}))
    return "".join(block.get("text", "") for block in answer["output"]["message"]["content"])


async def converse_stream(client: Any, model: str = MODEL, **more: Any) -> Any:
    answer = await result(client.converse_stream(modelId=model, messages=QUESTION, **{**CAPPED, **more}))
    deltas = [
        event["contentBlockDelta"]["delta"] async for event in each(answer["stream"]) if "contentBlockDelta" in event
    ]
    return "".join(delta.get("text", "") for delta in deltas)


CLAUDE = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 200, "messages": QUESTION}


async def invoke(client: Any, asked: Any = CLAUDE, model: str = MODEL) -> Any:
    answer = await result(client.invoke_model(modelId=model, body=json.dumps(asked)))
    return json.loads(await result(answer["body"].read()))


async def invoke_stream(client: Any, asked: Any = CLAUDE, model: str = MODEL) -> Any:
    answer = await result(client.invoke_model_with_response_stream(modelId=model, body=json.dumps(asked)))
    return [json.loads(event["chunk"]["bytes"]) async for event in each(answer["body"])]


MESSAGE = claude.message(claude.text(SAID))
ANSWERS: dict[Any, Callable[[], Reply]] = {
    converse: lambda: Reply(body=conversation()),
    converse_stream: lambda: streamed(conversation()),
    invoke: lambda: Reply(body=MESSAGE),
    invoke_stream: lambda: Reply(events=_with_metrics(claude.events(MESSAGE))),
}


def _with_metrics(events: list[dict[str, Any]], **counts: int) -> tuple[dict[str, Any], ...]:
    return (*events[:-1], {**events[-1], **metrics(**counts)})


@pytest.mark.parametrize("way", ANSWERS, ids=lambda way: way.__name__)
def test_each_way_to_ask_is_counted_and_priced_once(fake, metered, caller, way):
    fake.will(ANSWERS[way]())

    with metered() as cb:
        said = caller.run(way)

    assert said == SAID or SAID[:10] in json.dumps(said)
    assert (cb.prompt_tokens, cb.completion_tokens, cb.successful_requests) == (107, 43, 1)
    assert (cb.cost, cb.is_complete) == (PRICE, True)
    assert len(fake.asked) == 1
    (call,) = cb.calls
    api = "converse" if "converse" in way.__name__ else "invoke_model"
    assert (call.api, call.provider, call.request_model) == (api, "aws", MODEL)
    assert (call.source, call.certainty, call.outcome) == ("live", "exact", "complete")


REGIONAL = "us.anthropic.claude-sonnet-4-6-v1:0"
MODELS: dict[str, Any] = {
    "of one region": (MODEL, PRICE),
    "across regions": (REGIONAL, Decimal("0.0010626")),  # 10 % above the global one's
    "global": ("global.anthropic.claude-sonnet-4-6-v1:0", Decimal("0.000966")),
    "a profile": (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{REGIONAL}", Decimal("0.0010626")),
    "a model's arn": (f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}", PRICE),
    "a profile of one's own": ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1b2", None),
}


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize("name", MODELS)
def test_the_price_is_that_of_the_id_in_the_path(fake, metered, caller, name):
    """A profile of one's own does not tell which model it stands for."""
    model, cost = MODELS[name]
    fake.will(Reply(body=conversation()))

    with metered() as cb:
        caller.run(lambda client: converse(client, model))

    assert (cb.calls[0].request_model, cb.total_tokens) == (model, 150)
    assert (cb.cost, cb.is_complete) == ((cost, True) if cost is not None else (0, False))


# What a usage says. All at Claude Sonnet 4.6 in one region of several: $3.30, $16.50; read $0.33; write $4.125, 1 h $6.60.

USAGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cached": (
        usage(cacheReadInputTokens=1000, cacheReadInputTokenCount=1000),
        {"prompt_tokens": 1107, "cached_tokens": 1000, "total_tokens": 1150},
        "0.0013926",
    ),
    "written": (
        usage(cacheWriteInputTokens=300, cacheDetails=[{"ttl": "5m", "inputTokens": 200}, {"ttl": "1h", "inputTokens": 100}]),
        {"prompt_tokens": 407, "cache_write_tokens": 300, "cache_write_long_tokens": 100},
        "0.0025476",
    ),
    "the input holds the cache": (  # of OpenAI's models at Bedrock, as was reported; the total tells
        {"inputTokens": 1107, "outputTokens": 43, "totalTokens": 1150, "cacheReadInputTokens": 1000},
        {"prompt_tokens": 1107, "cached_tokens": 1000, "total_tokens": 1150},
        "0.0013926",
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", [converse, converse_stream], ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", USAGES)
def test_a_usage_is_read_whole_and_priced(fake, metered, caller, name, way):
    said, expected, cost = USAGES[name]
    body = conversation(usage=said)
    fake.will(streamed(body) if way is converse_stream else Reply(body=body))

    with metered() as cb:
        caller.run(lambda client: way(client, REGIONAL))

    found = cb.calls[0].tokens
    assert {field: getattr(found, field) for field in expected} == expected
    assert (cb.cost, cb.is_complete) == (Decimal(cost), True)


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize(
    ("more", "tier"),
    [
        ({"serviceTier": {"type": "default"}}, "default"),
        ({"serviceTier": {"type": "flex"}}, "flex"),
        ({"performanceConfig": {"latency": "standard"}}, None),
        ({"performanceConfig": {"latency": "optimized"}}, "optimized"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("way", [converse, converse_stream], ids=lambda way: way.__name__)
def test_a_tier_without_a_price_is_not_priced_as_the_standard(fake, metered, caller, more, tier, way):
    """What was made faster has a price of its own."""
    body = conversation(**more)
    fake.will(streamed(body) if way is converse_stream else Reply(body=body))

    with metered() as cb:
        caller.run(way)

    assert cb.calls[0].service_tier == tier
    assert cb.is_complete == (tier in (None, "default"))


# Bodies in the formats of vendors. What they say, and where.

LLAMA = {"generation": SAID, "prompt_token_count": 107, "generation_token_count": 43, "stop_reason": "stop"}
NOVA = {**conversation(), "usage": {"inputTokens": 107, "outputTokens": 43, "totalTokens": 150}}
OPENAI = {
    "choices": [{"message": {"role": "assistant", "content": SAID}, "finish_reason": "stop", "index": 0}],
    "usage": {"prompt_tokens": 107, "completion_tokens": 43, "total_tokens": 150},
}
TITAN = {"inputTextTokenCount": 107, "results": [{"tokenCount": 43, "outputText": SAID, "completionReason": "FINISH"}]}
BODIES: dict[str, Reply] = {
    "Claude": Reply(body=MESSAGE),
    "Llama": Reply(body=LLAMA),
    "Nova": Reply(body=NOVA),
    "OpenAI, Qwen, AI21": Reply(body=OPENAI),
    "Titan": Reply(body=TITAN),
    "Cohere's first": counted({"generations": [{"text": SAID}]}),
    "Cohere": counted({"text": SAID, "finish_reason": "COMPLETE"}),
    "Mistral": counted({"outputs": [{"text": SAID, "stop_reason": "stop"}]}),
    "a large answer": counted({"outputs": [{"text": SAID * 1000}]}),
}


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize("name", BODIES)
def test_a_body_of_each_vendor_is_read_or_its_headers_are(fake, metered, caller, name):
    fake.will(BODIES[name])

    with metered() as cb:
        caller.run(lambda client: invoke(client, {"prompt": "Which rose?"}, "some.model-v1"))

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (107, 43, 150)
    assert [call.certainty for call in cb.calls] == ["exact"]


def test_the_cache_stands_beside_the_input_in_headers_too(fake, metered, caller):
    fake.will(counted({"outputs": [{"text": SAID}]}, 7, 43, cache_read_input=60, cache_write_input=40))

    with metered() as cb:
        caller.run(invoke)

    found = cb.calls[0].tokens
    assert (found.prompt_tokens, found.cached_tokens, found.cache_write_tokens, found.total_tokens) == (
        107,
        60,
        40,
        150,
    )


EMBEDDED: dict[str, tuple[Any, Reply]] = {
    "Titan": ({"inputText": "a rose"}, Reply(body={"embedding": [0.1], "inputTextTokenCount": 107})),
    "a large one": ({"inputText": "a rose"}, counted({"embedding": [0.123] * 4000, "inputTextTokenCount": 107}, 107, None)),
    "Cohere": ({"texts": ["a rose"], "input_type": "search_query"}, counted({"embeddings": [[0.1]]}, 107, None)),
    "Nova": ({"schemaVersion": "v1"}, counted({"embeddings": [{"embedding": [0.1]}]}, 107, None)),
}  # fmt: skip


@pytest.mark.parametrize("name", EMBEDDED)
def test_embeddings_state_their_input_alone(fake, metered, caller, name):
    asked, reply = EMBEDDED[name]
    fake.will(reply)

    with metered() as cb:
        caller.run(lambda client: invoke(client, asked, "amazon.titan-embed-text-v2:0"))

    assert (cb.prompt_tokens, cb.completion_tokens, cb.calls[0].certainty) == (107, 0, "exact")
    assert (cb.cost, cb.is_complete) == (Decimal("0.00000214"), True)


def _llama(*texts: str) -> list[dict[str, Any]]:
    return [
        {"generation": text, "prompt_token_count": None if n else 107, "generation_token_count": 43 * (n + 1) // len(texts)}
        for n, text in enumerate(texts)
    ]  # fmt: skip


STREAMS: dict[str, tuple[dict[str, Any], ...]] = {
    "Claude": _with_metrics(claude.events(MESSAGE)),
    # Of Claude 3, when it calls a tool, the metrics are lower.
    "the body wins": _with_metrics(claude.events(MESSAGE), completion=30),
    "Llama": _with_metrics(_llama("The ", "rose")),
    "Nova": _with_metrics([{kind: body} for event in server.events(NOVA) for kind, body in event.items()]),
    "Titan": _with_metrics([{"outputText": SAID, "inputTextTokenCount": 107.0, "totalOutputTextTokenCount": 43.0}]),
    "Cohere": _with_metrics([{"text": SAID, "is_finished": False}, {"is_finished": True}]),
    "Mistral": _with_metrics([{"outputs": [{"text": SAID, "stop_reason": None}]}]),
}


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_of_each_vendor_is_read_or_its_metrics_are(fake, metered, caller, name):
    fake.will(Reply(events=STREAMS[name]))

    with metered() as cb:
        caller.run(lambda client: invoke_stream(client, {"prompt": "Which rose?"}, "some.model-v1"))

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (107, 43, 150)
    assert [(call.certainty, call.outcome) for call in cb.calls] == [("exact", "complete")]


def test_thinking_in_a_body_of_claudes_is_reasoning(fake, metered, caller):
    said = claude.usage(output_tokens_details={"thinking_tokens": 30})
    fake.will(Reply(body={**MESSAGE, "usage": said}))

    with metered() as cb:
        caller.run(invoke)

    assert cb.calls[0].tokens.reasoning_tokens == 30


# Streams that do not come to their end.


async def leave(client: Any) -> None:
    answer = await result(client.converse_stream(modelId=MODEL, messages=QUESTION))
    async for event in each(answer["stream"]):
        if "contentBlockDelta" in event:
            break
    await closed(answer["stream"])


async def drop(client: Any) -> None:
    answer = await result(client.converse_stream(modelId=MODEL, messages=QUESTION))
    events = answer["stream"].__aiter__() if hasattr(answer["stream"], "__aiter__") else iter(answer["stream"])
    for _ in range(2):
        await result(events.__anext__() if hasattr(events, "__anext__") else next(events))
    del answer, events
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("program", [leave, drop], ids=lambda program: program.__name__)
def test_a_conversation_that_is_left_is_estimated_by_what_it_showed(fake, metered, caller, program):
    """Nothing is said before the end."""
    fake.will(Reply(events=(*server.events(conversation())[:2], server.HOLD)))

    with metered() as cb:
        caller.run(program)

    gc.collect()
    (call,) = cb.calls
    assert cb.completion_tokens == count_text(SAID[: len(SAID) // 2], MODEL).tokens
    assert call.certainty == "estimated"
    assert call.outcome in ("closed", "abandoned")
    assert cb.prompt_tokens > 0


def test_a_stream_of_claudes_that_is_left_has_its_exact_prompt(fake, metered, caller):
    fake.will(Reply(events=(*claude.events(MESSAGE)[:4], server.HOLD)))

    async def leave(client: Any) -> None:
        answer = await result(client.invoke_model_with_response_stream(modelId=MODEL, body=json.dumps(CLAUDE)))
        async for event in each(answer["body"]):
            if b"content_block_delta" in event["chunk"]["bytes"]:
                break
        await closed(answer["body"])

    with metered() as cb:
        caller.run(leave)

    shown = count_text(SAID[: len(SAID) // 2], MODEL).tokens
    assert (cb.prompt_tokens, cb.completion_tokens, cb.calls[0].certainty) == (107, shown, "lower_bound")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_in_a_stream_is_the_sdks_own_and_an_error(fake, metered, caller):
    from botocore.exceptions import EventStreamError

    events = (*server.events(conversation())[:3], {"modelStreamErrorException": {"message": "no"}})
    fake.will(Reply(events=events))

    with metered() as cb:
        with pytest.raises(EventStreamError):
            caller.run(converse_stream)

    (call,) = cb.calls
    assert (call.outcome, call.error) == ("error", "modelStreamErrorException")
    assert call.certainty != "exact"


def test_the_number_is_ready_when_the_last_event_is_seen(fake, metered, caller):
    """And not only when the stream is over."""
    fake.will(streamed(conversation()))
    seen: list[int] = []

    with metered() as cb:

        async def ask(client: Any) -> None:
            answer = await result(client.converse_stream(modelId=MODEL, messages=QUESTION))
            async for event in each(answer["stream"]):
                if "metadata" in event:
                    seen.append(cb.total_tokens)

        caller.run(ask)

    assert seen == [150]


# Retries, errors, what is free.


def test_retries_are_attempts_of_one_call(fake, metered, caller):
    fake.will(failure(429), failure(503, "ServiceUnavailableException"), Reply(body=conversation()))

    with metered(max_calls=2) as cb:
        caller.run(converse, retries={"max_attempts": 4, "mode": "standard"})
        assert cb.remaining.calls == 1

    assert (cb.successful_requests, cb.failed_requests, cb.total_tokens) == (1, 2, 150)
    assert [(call.status, call.attempt) for call in cb.calls] == [(429, 0), (503, 1), (200, 2)]


def test_an_error_is_the_sdks_own(fake, metered, caller):
    fake.will(failure(400, "ValidationException"))

    async def ask(client: Any) -> None:
        with pytest.raises(client.exceptions.ValidationException):
            await converse(client)

    with metered() as cb:
        caller.run(ask)

    assert (cb.failed_requests, cb.total_tokens, cb.cost, cb.unmeasured_calls) == (1, 0, 0, 0)


def test_a_connection_that_was_never_made_was_billed_by_nobody(metered, caller):
    from botocore.exceptions import EndpointConnectionError

    caller.url = "http://127.0.0.1:9"

    with metered() as cb:
        with pytest.raises(EndpointConnectionError):
            caller.run(converse, retries={"total_max_attempts": 1})

    assert (cb.failed_requests, cb.unmeasured_calls, cb.is_complete) == (1, 0, True)


def test_a_count_of_tokens_is_no_call(fake, metered, caller):
    """Nor is what other services of AWS do."""
    fake.will(Reply(body={"inputTokens": 12}), Reply(body={"TableNames": []}))

    async def count(client: Any) -> None:
        await result(client.count_tokens(modelId=MODEL, input={"converse": {"messages": QUESTION}}))

    async def tables(client: Any) -> None:
        await result(client.list_tables())

    with metered(max_calls=0) as cb:
        caller.run(count)
        caller.run(tables, service="dynamodb")

    assert (cb.calls, cb.unmeasured_calls, cb.is_complete) == ((), 0, True)
    assert len(fake.asked) == 2


# Limits.


@pytest.mark.parametrize("way", ANSWERS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    "limit",
    [{"max_calls": 0}, {"max_cost": "0.0002"}, {"max_tokens": 200}],
    ids=lambda limit: next(iter(limit)),
)
def test_f127_a_refusal_reaches_the_caller_as_it_is(fake, metered, caller, way, limit):
    """200 tokens of output at $1.25 are $0.00025: more than the limit, before anything is signed or sent."""
    signed: list[Any] = []

    async def ask(client: Any) -> None:
        client.meta.events.register("before-sign.*.*", lambda **about: signed.append(about))
        await way(client)

    with metered(**limit) as cb:
        with pytest.raises(BudgetExceededError):
            caller.run(ask)

    assert (fake.asked, signed) == ([], [])
    assert cb.successful_requests == cb.failed_requests == 0


CAPS: dict[str, Any] = {
    "Claude": {"anthropic_version": "x", "max_tokens": 5000, "messages": QUESTION},
    "Llama": {"prompt": "Which rose?", "max_gen_len": 5000},
    "Titan": {"inputText": "Which rose?", "textGenerationConfig": {"maxTokenCount": 5000}},
    "Nova": {"messages": QUESTION, "inferenceConfig": {"maxTokens": 5000}},
    "Cohere": {"message": "Which rose?", "max_tokens": 2500, "num_generations": 2},
    "OpenAI": {"messages": [{"role": "user", "content": "Which rose?"}], "max_completion_tokens": 5000},
}


@pytest.mark.parametrize("name", CAPS)
def test_the_cap_in_a_vendors_body_is_reserved(fake, metered, caller, name):
    fake.will(Reply(body=LLAMA))

    with metered(max_tokens=5000), pytest.raises(BudgetExceededError):
        caller.run(lambda client: invoke(client, CAPS[name]))
    with metered(max_tokens=5200):
        caller.run(lambda client: invoke(client, CAPS[name]))

    assert len(fake.asked) == 1


@pytest.mark.filterwarnings("ignore::token_meter.BudgetWarning")
def test_a_second_call_is_refused_while_the_first_passes(fake, metered, caller):
    fake.will(Reply(body=conversation()))

    async def twice(client: Any) -> None:
        await converse(client)
        with pytest.raises(BudgetExceededError):
            await converse(client)

    with metered(max_calls=1) as cb:
        caller.run(twice)

    assert (cb.successful_requests, len(fake.asked)) == (1, 1)


def test_a_stub_that_answers_was_billed_by_nobody(metered, caller):
    """And under a limit it is no call that was missed."""
    if caller.sdk != "boto3":
        pytest.skip("a stub of botocore's")
    from botocore.stub import Stubber

    async def ask(client: Any) -> None:
        with Stubber(client) as stub:
            stub.add_response("converse", conversation())
            await converse(client)

    with metered(max_calls=1) as cb:
        caller.run(ask)

    assert (cb.calls, cb.is_complete) == ((), True)


# What handlers hear, and how else a body is read.


class Told:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **keywords: Any) -> None:
        self.heard.append(("start", serialized["id"], messages[0]))

    def on_llm_new_token(self, token: str, *, kind: str, **keywords: Any) -> None:
        self.heard.append((kind, token))

    def on_llm_end(self, response: Any, **keywords: Any) -> None:
        self.heard.append(("end", response.tokens.total_tokens))


def test_handlers_hear_each_piece_as_it_passes(fake, metered, caller):
    fake.will(streamed(conversation(thought("Hmmm"), {"text": "Rose"}, tool_use("look_up", {"a": 1}))))
    told = Told()

    with metered(handlers=[told]):
        caller.run(converse_stream)

    assert told.heard == [
        ("start", ["aws", "converse"], QUESTION),
        ("reasoning", "Hm"), ("reasoning", "mm"), ("text", "Ro"), ("text", "se"),
        ("tool_name", "look_up"), ("tool_arguments", '{"a"'), ("tool_arguments", ": 1}"), ("end", 150),
    ]  # fmt: skip


def test_handlers_of_a_client_hear_its_calls(fake, metered, caller):
    """`attach` takes a client of boto3 or aiobotocore."""
    fake.will(Reply(body=conversation()), Reply(body=conversation()))
    told = Told()

    async def ask(client: Any) -> None:
        attach(client, handlers=[told])
        await converse(client)
        detach(client)
        await converse(client)

    caller.run(ask)

    assert [one[0] for one in told.heard] == ["start", "end"]


READINGS: dict[str, Callable[[Any], Any]] = {
    "read": lambda body: body.read(),
    "pieces": lambda body: b"".join(body.iter_chunks(7)),
    "lines": lambda body: b"".join(body.iter_lines()),
    "itself": lambda body: b"".join(body),
    "twice": lambda body: body.read(10) + body.read(),
    "into": lambda body: _read_into(body),
    "raw": lambda body: _read_raw(body),
}


def _read_into(body: Any) -> bytes:
    buffer, found = bytearray(16), b""
    while size := body.readinto(buffer):
        found += bytes(buffer[:size])
    return found


def _read_raw(body: Any) -> bytes:
    with body as raw:
        return bytes(raw.read())


@pytest.mark.parametrize("name", READINGS)
def test_a_body_may_be_read_in_any_way(fake, metered, name):
    fake.will(Reply(body=MESSAGE))

    async def ask(client: Any) -> Any:
        return READINGS[name](client.invoke_model(modelId=MODEL, body=json.dumps(CLAUDE))["body"])

    with metered() as cb:
        said = Caller("boto3", fake.url).run(ask)

    assert json.loads(said) == MESSAGE
    assert (cb.total_tokens, [call.outcome for call in cb.calls]) == (150, ["complete"])


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_body_that_nobody_reads_is_no_silent_zero(fake, metered):
    """Its counts may stand in its headers."""
    fake.will(counted({"text": SAID}), Reply(body=MESSAGE))

    async def ask(client: Any) -> None:
        for _ in range(2):
            client.invoke_model(modelId=MODEL, body=json.dumps(CLAUDE))
        gc.collect()

    with metered() as cb:
        Caller("boto3", fake.url).run(ask)

    assert [call.tokens and call.tokens.total_tokens for call in cb.calls][:1] == [150]
    assert cb.calls[1].certainty != "exact"
    assert not cb.is_complete


def test_secrets_are_nowhere(fake, metered, caller):
    fake.will(Reply(body=conversation()))

    with metered() as cb:
        caller.run(converse)

    shown = repr(cb.calls) + repr(cb.to_dict()) + str(cb)
    assert "Credential" not in shown
    assert "AWS4" not in shown
