"""Anthropic's SDK under a meter, newest and 0.49, in both colours: what is counted, priced, told and refused."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from tests.providers import anthropic_fake as server
from tests.providers.anthropic_fake import MODEL, Reply, events, failure, message, streamed, text, thinking, tool_use
from token_meter import BudgetExceededError
from token_meter.estimate import count_text

anthropic = pytest.importorskip("anthropic")

QUESTION: list[Any] = [{"role": "user", "content": "Which rose is the pinkest?"}]
ASK: dict[str, Any] = {"model": MODEL, "max_tokens": 200, "messages": QUESTION}
SAID = "The rose Pink Peace is the pinkest of all that were ever grown."

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


@asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


class Caller:
    """Runs a program with a client of one colour."""

    def __init__(self, colour: str, url: str) -> None:
        self._class = anthropic.Anthropic if colour == "sync" else anthropic.AsyncAnthropic
        self._http = anthropic.DefaultHttpxClient if colour == "sync" else anthropic.DefaultAsyncHttpxClient
        self._url = url

    def run(self, program: Program, **options: Any) -> Any:
        async def whole() -> Any:
            # Certificates take longer to load than the rest of a test.
            http = self._http(verify=False)
            client = self._class(api_key="sim-roses", base_url=self._url, http_client=http, **options)
            try:
                return await program(client)
            finally:
                await result(client.close())

        return asyncio.run(whole())


@pytest.fixture(params=["sync", "async"])
def caller(request: pytest.FixtureRequest, fake: Any) -> Caller:
    return Caller(request.param, fake.url)


# The ways to ask.


async def create(client: Any) -> str:
    answer = await result(client.messages.create(**ASK))
    return answer.content[0].text


async def create_beta(client: Any) -> str:
    answer = await result(client.beta.messages.create(**ASK, betas=["context-1m-2025-08-07"]))
    return answer.content[0].text


async def raw(client: Any) -> str:
    answer = await result(client.messages.with_raw_response.create(**ASK))
    parsed = await result(answer.parse())
    return parsed.content[0].text


async def streaming_response(client: Any) -> str:
    async with entered(client.messages.with_streaming_response.create(**ASK)) as answer:
        parsed = await result(answer.parse())
        return parsed.content[0].text


WHOLE = [create, create_beta, raw, streaming_response]


async def stream(client: Any) -> str:
    found = await result(client.messages.create(**ASK, stream=True))
    return "".join([e.delta.text async for e in each(found) if e.type == "content_block_delta"])


async def stream_helper(client: Any) -> str:
    async with entered(client.messages.stream(**ASK)) as found:
        return "".join([piece async for piece in each(found.text_stream)])


async def final_message(client: Any) -> str:
    async with entered(client.messages.stream(**ASK)) as found:
        return (await result(found.get_final_message())).content[0].text


async def raw_stream(client: Any) -> str:
    answer = await result(client.messages.with_raw_response.create(**ASK, stream=True))
    found = await result(answer.parse())
    return "".join([e.delta.text async for e in each(found) if e.type == "content_block_delta"])


STREAMED = [stream, stream_helper, final_message, raw_stream]


@pytest.mark.parametrize("way", [*WHOLE, *STREAMED], ids=lambda way: way.__name__)
def test_each_way_to_ask_is_counted_and_priced_once(fake, metered, caller, way):
    fake.will(streamed(message(text(SAID))) if way in STREAMED else Reply(body=message(text(SAID))))

    with metered() as cb:
        said = caller.run(way)

    assert said == SAID
    assert (cb.prompt_tokens, cb.completion_tokens, cb.successful_requests) == (107, 43, 1)
    assert cb.cost == Decimal("0.000966")  # 107 at $3 and 43 at $15 per million
    assert cb.is_complete
    assert len(fake.asked) == 1
    (call,) = cb.calls
    assert (call.api, call.provider, call.model, call.service_tier) == ("messages", "anthropic", MODEL, "standard")


# What a usage says. Names: what is reported, how it reads, what it costs. All at claude-sonnet-4-6: $3, $15, cached
# $0.30, written $3.75 for 5 minutes and $6 for an hour.

COMPACTION = {"type": "compaction", "input_tokens": 5000, "output_tokens": 300, "cache_read_input_tokens": 100,
              "cache_creation_input_tokens": 50, "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 50}}  # fmt: skip
TURN = {"type": "message", "input_tokens": 107, "output_tokens": 43, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}  # fmt: skip
ADVICE = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 800, "output_tokens": 90,
          "cache_read_input_tokens": 10, "cache_creation_input_tokens": 0}  # fmt: skip


def written(short: int, long: int) -> dict[str, Any]:
    return {
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
    }


USAGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cached": (
        {"cache_read_input_tokens": 2000},
        {"prompt_tokens": 2107, "cached_tokens": 2000},
        "0.001566",
    ),
    "written for 5 minutes": (
        written(1000, 0),
        {"prompt_tokens": 1107, "cache_write_tokens": 1000, "cache_write_long_tokens": 0},
        "0.004716",
    ),
    "written for an hour": (
        written(0, 1000),
        {"prompt_tokens": 1107, "cache_write_tokens": 1000, "cache_write_long_tokens": 1000},
        "0.006966",
    ),
    "written for both": (
        written(400, 600),
        {"prompt_tokens": 1107, "cache_write_tokens": 1000, "cache_write_long_tokens": 600},
        "0.006066",
    ),
    "thinking": (
        {"output_tokens_details": {"thinking_tokens": 30}},
        {"completion_tokens": 43, "reasoning_tokens": 30},
        "0.000966",
    ),
    "web searches": (
        {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}},
        {"web_searches": 2, "total_tokens": 150},
        "0.020966",  # $10 for a thousand searches
    ),
    "compaction": (
        {"iterations": [COMPACTION, TURN]},
        {"prompt_tokens": 5257, "completion_tokens": 343, "cached_tokens": 100, "cache_write_tokens": 50,
         "cache_write_long_tokens": 50, "total_tokens": 5600},
        "0.020796",
    ),
    "a fallback": (
        {"iterations": [{**TURN, "type": "fallback_message", "model": MODEL}]},
        {"prompt_tokens": 107, "completion_tokens": 43},
        "0.000966",
    ),
}  # fmt: skip


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", USAGES)
def test_a_usage_is_read_whole_and_priced(fake, metered, caller, name, is_streamed):
    more, expected, cost = USAGES[name]
    body = message(usage=server.usage(**more))
    # The end of a stream repeats the counts, but never what was written by time to live, nor the tier.
    late = {key: value for key, value in body["usage"].items() if key not in ("cache_creation", "service_tier")}
    start = {key: None for key in ("iterations", "output_tokens_details") if key in more}
    fake.will(streamed(body, start=start, delta=late) if is_streamed else Reply(body=body))

    with metered() as cb:
        caller.run(stream if is_streamed else create)

    usage = cb.calls[0].tokens
    assert {field: getattr(usage, field) for field in expected} == expected
    assert cb.cost == Decimal(cost)
    assert cb.is_complete


@pytest.mark.parametrize(
    ("model", "cost", "missing"),
    [("claude-opus-4-8", "0.007221", ()), ("claude-9", "0.000966", ("input tokens", "cached input", "output tokens"))],
)
def test_an_advisor_is_billed_at_the_price_of_the_model_that_its_entry_names(
    fake, metered, caller, model, cost, missing
):
    fake.will(Reply(body=message(usage=server.usage(iterations=[TURN, {**ADVICE, "model": model}]))))

    with metered(on_unpriced="ignore") as cb:
        caller.run(create)

    assert (cb.cost, cb.is_complete) == (Decimal(cost), not missing)
    assert sorted(cb.calls[0].price.missing) == sorted(f"{what} of {model}" for what in missing)
    assert (cb.total_tokens, cb.calls[0].tokens.tool_usage_tokens) == (150, 900)


GROWTH: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    # What the first event said, what the last says, and what is right.
    "the output is cumulative": (
        {"output_tokens": 4},
        {"output_tokens": 43},
        {"prompt_tokens": 107, "completion_tokens": 43},
    ),
    "a search makes the input grow": (
        {"input_tokens": 107},
        {"input_tokens": 9000, "output_tokens": 43, "cache_read_input_tokens": 46134},
        {"prompt_tokens": 55134, "cached_tokens": 46134},
    ),
    "a search writes, for a time that is not said": (
        written(0, 0),
        {"output_tokens": 43, "cache_creation_input_tokens": 14789},
        {"prompt_tokens": 14896, "cache_write_tokens": 14789, "cache_write_long_tokens": None},
    ),
    "0 takes the place of what a compaction had read": (
        {"input_tokens": 100, "cache_read_input_tokens": 55096, **written(0, 70)},
        {"input_tokens": 181, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 43,
         "iterations": [{**COMPACTION, "input_tokens": 100, "cache_read_input_tokens": 55096}, TURN]},
        {"prompt_tokens": 181 + 100 + 55096 + 50, "completion_tokens": 343, "cached_tokens": 55096,
         "cache_write_tokens": 50, "cache_write_long_tokens": 50},
    ),
    "null leaves what was said": (
        {"cache_read_input_tokens": 500},
        {"input_tokens": None, "cache_read_input_tokens": None, "output_tokens": 43},
        {"prompt_tokens": 607, "cached_tokens": 500, "completion_tokens": 43},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWTH)
def test_the_last_word_of_a_stream_wins(fake, metered, caller, name):
    start, delta, expected = GROWTH[name]
    fake.will(streamed(message(text(SAID)), start=start, delta=delta))

    with metered() as cb:
        caller.run(stream)

    usage = cb.calls[0].tokens
    assert {field: getattr(usage, field) for field in expected} == expected
    assert cb.calls[0].certainty == "exact"


def test_several_deltas_are_no_sum(fake, metered, caller):
    found = events(message(text(SAID)))
    found.insert(-2, {**found[-2], "delta": {"stop_reason": None}, "usage": {"output_tokens": 20}})
    fake.will(Reply(events=tuple(found)))

    with metered() as cb:
        caller.run(stream)

    assert cb.completion_tokens == 43


# Streams that do not come to their end.


async def leave_early(client: Any) -> None:
    found = await result(client.messages.create(**ASK, stream=True))
    async for event in each(found):
        if event.type == "content_block_delta":
            break
    await result(found.close())


async def leave_helper_early(client: Any) -> None:
    async with entered(client.messages.stream(**ASK)) as found:
        async for _ in each(found.text_stream):
            break


async def read_to_the_error(client: Any) -> None:
    with pytest.raises(Exception, match=r"overloaded|peer|incomplete|closed"):
        await stream(client)


def until(count: int, *more: dict[str, Any], whole: dict[str, Any] | None = None, **usages: Any) -> Reply:
    """A stream of so many pieces of content, and then *more*."""
    found = events(whole or message(text(SAID)), **usages)
    pieces = [index for index, event in enumerate(found) if event["type"] == "content_block_delta"]
    return Reply(events=(*found[: pieces[count - 1] + 1], *more))


ERROR = {"type": "error", "error": {"type": "overloaded_error", "message": "no"}}
BROKEN: dict[str, tuple[Program, tuple[dict[str, Any], ...], str | None]] = {
    "left": (leave_early, (server.HOLD,), None),
    "left by the helper": (leave_helper_early, (server.HOLD,), None),
    "an error after 200": (read_to_the_error, (ERROR,), "overloaded_error"),
    "a connection that breaks": (read_to_the_error, (server.CUT,), "RemoteProtocolError"),
    "an end without its event": (stream, (), None),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_without_its_end_has_an_exact_prompt_and_a_lower_bound(fake, metered, caller, name):
    program, more, error = BROKEN[name]
    fake.will(until(1, *more, start={"cache_read_input_tokens": 50}))

    with metered() as cb:
        caller.run(program)

    (call,) = cb.calls
    shown = count_text(SAID[: len(SAID) // 2], MODEL).tokens
    assert (cb.prompt_tokens, cb.cached_tokens, cb.completion_tokens) == (157, 50, shown)
    assert (call.certainty, call.tokens.total_tokens, call.error) == ("lower_bound", 157 + shown, error)
    assert call.cost == (107 * 3 + 50 * Decimal("0.3") + shown * 15) / 1_000_000
    assert not cb.is_complete


def test_what_a_left_stream_thought_and_called_counts_too(fake, metered, caller):
    whole = message(
        thinking("The pinkest one of them all."), tool_use("look_up_rose", {"name": "Pink Peace"}), text("x")
    )
    fake.will(until(5, server.HOLD, whole=whole))

    async def leave(client: Any) -> None:
        found = await result(client.messages.create(**ASK, stream=True))
        async for event in each(found):
            if (
                event.type == "content_block_delta"
                and event.delta.type == "input_json_delta"
                and "Peace" in event.delta.partial_json
            ):
                break
        await result(found.close())

    with metered() as cb:
        caller.run(leave)

    parts = ("The pinkest one of them all.", "look_up_rose", '{"name": "Pink Peace"}')
    assert cb.completion_tokens == sum(count_text(part, MODEL).tokens for part in parts)


def test_an_output_that_was_reported_is_not_estimated(fake, metered, caller):
    """The stream breaks behind the report, and what it had shown counts more by another tokenizer."""
    found = events(message(text(SAID), usage=server.usage(completion=3)))
    fake.will(Reply(events=(*found[:-1], server.CUT)))

    with metered() as cb:
        caller.run(read_to_the_error)

    assert (cb.completion_tokens, cb.calls[0].certainty) == (3, "lower_bound")


# Attempts, and what is free.


def test_retries_are_attempts_of_one_call(fake, metered, caller):
    fake.will(failure(529, "overloaded_error"), failure(429, "rate_limit_error"), Reply(body=message(text(SAID))))

    with metered(max_calls=2) as cb:  # one call of three attempts
        caller.run(create, max_retries=2)
        assert cb.remaining.calls == 1

    assert (cb.successful_requests, cb.failed_requests, cb.total_tokens) == (1, 2, 150)
    assert sorted((call.attempt, call.status) for call in cb.calls) == [(0, 529), (1, 429), (2, 200)]


def test_an_error_is_the_sdks_own(fake, metered, caller):
    fake.will(failure(400, "invalid_request_error"))

    with metered() as cb:
        with pytest.raises(anthropic.BadRequestError):
            caller.run(create)

    assert (cb.failed_requests, cb.total_tokens, cb.cost) == (1, 0, 0)


FREE: dict[str, Callable[[Any], Any]] = {
    "count_tokens": lambda client: client.messages.count_tokens(model=MODEL, messages=QUESTION),
    "beta count_tokens": lambda client: client.beta.messages.count_tokens(model=MODEL, messages=QUESTION),
    "models": lambda client: client.models.list(),
    "a model": lambda client: client.models.retrieve(MODEL),
    "batches": lambda client: client.messages.batches.list(),
    "a batch": lambda client: client.messages.batches.retrieve("msgbatch_1"),
    "a batch taken back": lambda client: client.messages.batches.cancel("msgbatch_1"),
}


@pytest.mark.parametrize("name", FREE)
def test_what_is_free_is_no_call(fake, metered, caller, name):
    fake.will(Reply(body={"input_tokens": 12, "data": [], "has_more": False, "id": "msgbatch_1", "type": "model"}))

    async def ask(client: Any) -> None:
        await result(FREE[name](client))

    with metered(max_calls=0) as cb:
        caller.run(ask)

    assert (cb.successful_requests, cb.total_tokens, cb.unmeasured_calls, cb.is_complete) == (0, 0, 0, True)
    assert len(fake.asked) == 1


def test_an_old_completion_is_estimated(fake, metered, caller):
    """`/v1/complete` states no usage."""
    fake.will(
        Reply(
            body={
                "type": "completion",
                "id": "c",
                "completion": SAID,
                "stop_reason": "stop_sequence",
                "model": "claude-2.1",
            }
        )
    )
    prompt = "\n\nHuman: Which rose?\n\nAssistant:"

    async def ask(client: Any) -> None:
        body = {"model": "claude-2.1", "max_tokens_to_sample": 50, "prompt": prompt}
        await result(client.post("/v1/complete", body=body, cast_to=object))

    with metered() as cb:
        caller.run(ask)

    assert cb.calls[0].certainty == "estimated"
    assert (cb.prompt_tokens, cb.completion_tokens) == (count_text(prompt, None).tokens, count_text(SAID, None).tokens)


# Limits.


@pytest.mark.parametrize("way", [create, stream, stream_helper, raw], ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    "limit",
    [{"max_calls": 0}, {"max_cost": "0.0029"}, {"max_tokens": 200}],
    ids=lambda limit: next(iter(limit)),
)
def test_f127_a_refusal_reaches_the_caller_as_it_is(fake, metered, caller, way, limit):
    """200 tokens of output at $15 are $0.003: more than the limit, before anything is sent."""
    with metered(**limit) as cb:
        with pytest.raises(BudgetExceededError):
            caller.run(way)

    assert fake.asked == []
    assert cb.successful_requests == cb.failed_requests == 0


def test_the_calls_own_cap_is_reserved_with_its_prompt(fake, metered, caller):
    """A call fits whose cap and prompt fit; with a longer system text it does not."""
    fake.will(Reply(body=message(text(SAID))))

    async def ask(client: Any, **more: Any) -> None:
        await result(client.messages.create(**{**ASK, "max_tokens": 100, **more}))

    with metered(max_cost="0.002"):  # the output may take 0.0015
        caller.run(ask)
    for more in ({"system": "rose " * 200}, {"tools": [{"name": "look", "description": "rose", "input_schema": {}}]}):
        with metered(max_cost="0.002"):
            with pytest.raises(BudgetExceededError):
                caller.run(lambda client, more=more: ask(client, **more))

    assert len(fake.asked) == 1


# What handlers hear.


class Told:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **keywords: Any) -> None:
        self.heard.append(("start", serialized["id"], messages[0]))

    def on_llm_new_token(self, token: str, *, kind: str, **keywords: Any) -> None:
        self.heard.append((kind, token))

    def on_llm_end(self, response: Any, **keywords: Any) -> None:
        self.heard.append(("end", response.tokens.total_tokens))

    def on_llm_error(self, error: BaseException, **keywords: Any) -> None:
        self.heard.append(("error", type(error).__name__, keywords["response"].error))


@pytest.mark.parametrize("way", ["create", "helper"])
def test_handlers_hear_each_piece_as_it_passes(fake, metered, caller, way):
    whole = message(thinking("Hmmm"), text("Rose"), tool_use("look_up", {"a": 1}), stop="tool_use")
    fake.will(streamed(whole))
    told = Told()

    async def ask(client: Any) -> None:
        if way == "create":
            async for _ in each(await result(client.messages.create(**ASK, system="Be brief", stream=True))):
                pass
        else:
            async with entered(client.messages.stream(**ASK, system="Be brief")) as found:
                await result(found.until_done())

    with metered(handlers=[told]):
        caller.run(ask)

    assert told.heard == [
        ("start", ["anthropic", "messages"], [{"role": "system", "content": "Be brief"}, *QUESTION]),
        ("reasoning", "Hm"), ("reasoning", "mm"), ("text", "Ro"), ("text", "se"),
        ("tool_name", "look_up"), ("tool_arguments", '{"a"'), ("tool_arguments", ": 1}"), ("end", 150),
    ]  # fmt: skip


def test_a_handler_that_asks_for_it_is_shown_the_answer(fake, metered, caller):
    whole = message(thinking("Hmmm"), text("Rose"), tool_use("look_up", {"a": 1}), stop="refusal")
    shown: list[Any] = []

    class Shown:
        include_output = True

        def on_llm_end(self, response: Any, *, answer: Any, **keywords: Any) -> None:
            shown.append((answer.texts, answer.tool_calls, answer.reasoned, answer.finish))

    fake.will(Reply(body=whole), streamed(whole))
    with metered(handlers=[Shown()]):
        caller.run(create_whole)
        caller.run(stream_to_end)

    assert shown == [(("Rose",), (("look_up", '{"a": 1}'),), True, "refusal")] * 2


async def create_whole(client: Any) -> None:
    await result(client.messages.create(**ASK))


async def stream_to_end(client: Any) -> None:
    async for _ in each(await result(client.messages.create(**ASK, stream=True))):
        pass


def test_handlers_hear_of_an_error_after_200(fake, metered, caller):
    fake.will(until(1, ERROR))
    told = Told()

    with metered(handlers=[told]):
        caller.run(read_to_the_error)

    assert told.heard[-1][0] == "error"
    assert told.heard[-1][2] == "overloaded_error"
