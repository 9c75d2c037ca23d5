"""What handlers are told, with which arguments, and in which order."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

import token_meter
from tests.conftest import CHAT_BODY, sdk_http
from tests.handlers.conftest import MESSAGES, USAGE, Colour, Told, needs_responses, piece, sse, streamed
from token_meter import AsyncCallbackHandler, Call, CallbackHandler, ConfigError, LLMCallError, callbacks, meter


async def test_a_call_is_told_from_start_to_end(colour, told):
    """A call that is not streamed has a start and an end."""
    with meter(handlers=[told]):
        await colour.ask(colour.client())

    assert told.events == ["start", "end"]


async def test_a_stream_is_told_piece_by_piece(colour, told):
    """Every visible piece of a stream is told between start and end, in order."""
    client = colour.client(streamed(sse(piece("Ro"), piece("se"), done=False), sse(piece("!"), USAGE)))

    with meter(handlers=[told]):
        await colour.read(await colour.ask(client, stream=True))

    assert told.events == ["start", "token", "token", "token", "end"]
    assert told.args[1:4] == ["Ro", "se", "!"]


async def test_every_event_has_the_keywords_that_identify_its_call(colour, told):
    """run_id is the record's id, in all events; the other keywords are model, tags and meter."""
    client = colour.client(streamed(sse(piece("Rose"), USAGE)))

    with meter(handlers=[told], tags=["shop"], keep_calls=True) as cb:
        await colour.read(await colour.ask(client, stream=True))

    (call,) = cb.calls
    assert {keywords["run_id"] for keywords in told.keywords} == {call.id}
    assert {keywords["tags"] for keywords in told.keywords} == {("shop",)}
    assert all(keywords["meter"] is cb for keywords in told.keywords)
    assert [keywords["model"] for keywords in told.keywords] == ["gpt-4o-mini"] * 2 + ["gpt-4o-mini-2024-07-18"]
    assert told.args[-1].tags == ("shop",)


async def test_the_end_has_the_priced_record(colour, told):
    """`response` is the frozen record of the call, priced."""
    with meter(handlers=[told]) as cb:
        await colour.ask(colour.client())

    response = told.args[-1]
    assert isinstance(response, Call)
    assert response.usage.total_tokens == 15
    assert response.cost == cb.cost > 0
    with pytest.raises(AttributeError):
        response.status = 500


async def test_the_record_is_priced_by_the_meters_own_book(colour):
    """A private price shows in what a handler is told."""
    from token_meter.prices import PriceBook, Rates

    book = PriceBook(overrides=[Rates(provider="openai", model="gpt-4o-mini-2024-07-18", input=1000, output=0)])
    costs: list[Any] = []

    with meter(prices=book, handlers=[lambda call: costs.append(call.cost)]):
        await colour.ask(colour.client())

    assert costs == [Decimal("0.01")]


async def test_the_end_is_told_before_the_caller_goes_on(colour, told):
    """A handler has heard of the end when `create` returns."""
    with meter(handlers=[told]):
        await colour.ask(colour.client())
        assert told.events[-1] == "end"


@pytest.mark.parametrize(
    ("delta", "kind", "token"),
    [
        ({"content": "Rose"}, "text", "Rose"),
        ({"refusal": "No"}, "refusal", "No"),
        ({"reasoning_content": "Hm"}, "reasoning", "Hm"),
        ({"tool_calls": [{"index": 0, "function": {"name": "buy"}}]}, "tool_name", "buy"),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"n"'}}]}, "tool_arguments", '{"n"'),
    ],
)
async def test_pieces_say_of_what_kind_they_are(colour, told, delta, kind, token):
    """Text, refusals, reasoning and tool calls pass; `kind` tells them apart."""
    client = colour.client(streamed(sse(piece(**delta), USAGE)))

    with meter(handlers=[told]):
        await colour.read(await colour.ask(client, stream=True))

    assert (told.args[1], told.keywords[1]["kind"]) == (token, kind)


@needs_responses
async def test_pieces_of_a_responses_stream_are_told(colour, told):
    """The Responses API speaks of its deltas in other words; handlers hear the same."""
    events = (
        {"type": "response.created", "response": {"id": "resp_1", "object": "response", "status": "in_progress"}},
        {"type": "response.output_text.delta", "delta": "Rose", "item_id": "i", "output_index": 0, "content_index": 0},
    )
    body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
    client = colour.client(streamed(body))

    with meter(handlers=[told]):
        stream = client.responses.create(model="gpt-5", input="Which flower?", stream=True)
        await colour.read(await stream if colour.is_async else stream)

    assert told.args[:2] == [["user: Which flower?"], "Rose"]


async def test_a_piece_is_told_before_its_reader_sees_it(colour, told):
    """When the caller has a chunk, its token has been told; the ones behind it have not."""
    client = colour.client(streamed(*(sse(piece(word), done=False) for word in "abc"), sse(USAGE)))
    seen: list[tuple[str, int]] = []

    def each(chunk: Any) -> None:
        if chunk.choices:
            seen.append((chunk.choices[0].delta.content, told.events.count("token")))

    with meter(handlers=[told]):
        await colour.read(await colour.ask(client, stream=True), each)

    assert seen == [("a", 1), ("b", 2), ("c", 3)]


async def test_the_caller_gets_the_same_stream_with_handlers(colour, told):
    """Chunks pass unchanged, cut as they came."""
    body = (sse(piece("Ro"), done=False)[:31], sse(piece("Ro"), done=False)[31:], sse(piece("se"), USAGE))
    bare: list[Any] = []
    subscribers: list[Any] = []
    await colour.read(await colour.ask(colour.client(streamed(*body)), stream=True), bare.append)

    with meter(handlers=[told]):
        await colour.read(await colour.ask(colour.client(streamed(*body)), stream=True), subscribers.append)

    assert subscribers == bare


class ChatStart:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
        self.messages.append((serialized, messages))


async def test_a_chat_start_has_the_messages_of_the_request(colour):
    """`messages` is a list of one conversation, each message as the request has it."""
    handler = ChatStart()

    with meter(handlers=[handler]):
        await colour.ask(colour.client())

    ((serialized, messages),) = handler.messages
    assert messages == [MESSAGES]
    assert serialized == {"name": "chat", "id": ["openai", "chat"], "kwargs": {"model": "gpt-4o-mini"}}


@pytest.mark.parametrize(
    ("api", "body", "prompts"),
    [
        ("chat/completions", {"messages": MESSAGES}, ["user: Which flower?"]),
        (
            "chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "A"}, {"type": "image_url"}]}]},
            ["user: A<image_url>"],
        ),
        ("responses", {"input": "A", "instructions": "Be brief"}, ["system: Be brief\nuser: A"]),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_text", "text": "A"}]}]}, ["user: A"]),
        ("completions", {"prompt": "A"}, ["A"]),
        ("completions", {"prompt": ["A", "B"]}, ["A", "B"]),
        ("completions", {"prompt": [1, 2, 3]}, ["<3 tokens>"]),
        ("embeddings", {"input": ["A", "B"]}, ["A", "B"]),
        ("embeddings", {}, []),
    ],
)
async def test_prompts_are_the_requests_texts(api, body, prompts):
    """`on_llm_start` is told text, one of a chat and as many as there are prompts or inputs."""
    told = Told()
    client = sdk_http.Client(transport=sdk_http.MockTransport(lambda _: sdk_http.Response(200, json=CHAT_BODY)))

    with meter(handlers=[told]):
        client.post(f"https://api.openai.com/v1/{api}", json=body)

    assert told.args[0] == prompts


async def test_a_handler_that_changes_the_messages_changes_them_for_itself(colour):
    """Neither the request nor the next handler sees what a handler does to its arguments."""

    class Vandal:
        def on_chat_model_start(self, serialized: Any, messages: Any, **kwargs: Any) -> None:
            messages[0][0]["content"] = "!"
            serialized.clear()
            kwargs.clear()

    sent: list[Any] = []

    def answer(request: Any) -> Any:
        sent.append(json.loads(request.content)["messages"])
        return sdk_http.Response(200, json=CHAT_BODY)

    second = ChatStart()
    with meter(handlers=[Vandal(), second]):
        await colour.ask(colour.client(answer))

    assert sent == [MESSAGES]
    assert second.messages[0][1] == [MESSAGES]


async def test_a_request_is_not_parsed_for_handlers_of_the_end(colour, monkeypatch):
    """Prompts are looked for only when a handler has a start event."""
    monkeypatch.setattr("token_meter.events.dispatcher.messages_of", pytest.fail)
    monkeypatch.setattr("token_meter.events.dispatcher.prompts_of", pytest.fail)
    ended: list[Call] = []

    with meter(handlers=[ended.append]):
        await colour.ask(colour.client())

    assert len(ended) == 1


async def test_a_stream_is_not_parsed_for_handlers_of_the_end(colour, monkeypatch):
    """Events are read for tokens only when a handler wants them."""
    monkeypatch.setattr("token_meter.events.dispatcher.DeltaReader", pytest.fail)
    ended: list[Call] = []

    with meter(handlers=[ended.append]):
        await colour.read(await colour.ask(colour.client(streamed(sse(piece("a"), USAGE))), stream=True))

    assert [call.usage.total_tokens for call in ended] == [15]


async def test_an_attempt_without_subscribers_makes_no_events(colour, monkeypatch):
    """No handler, no cost: nothing is prepared for telling."""
    monkeypatch.setattr("token_meter.events.dispatcher.EventDispatcher.__init__", pytest.fail)

    with meter() as cb:
        await colour.read(await colour.ask(colour.client(streamed(sse(piece("a"), USAGE))), stream=True))

    assert cb.total_tokens == 15


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "HTTP 400"), (429, "HTTP 429"), (500, "HTTP 500")], ids=["400", "429", "500"]
)
async def test_a_status_is_told_as_an_error_without_its_body(colour, told, status, kind):
    """A failed status gives an error object that says the status and never quotes the answer."""
    client = colour.client(lambda _: sdk_http.Response(status, json={"error": {"message": "secret"}}))

    with meter(handlers=[told]), pytest.raises(Exception, match="secret"):
        await colour.ask(client)

    assert told.events == ["start", "error"]
    error = told.args[-1]
    assert isinstance(error, LLMCallError)
    assert (error.status, str(error)) == (status, kind)
    assert told.keywords[-1]["response"].status == status


async def test_an_exception_of_the_transport_is_told_as_it_is(colour, told):
    """`on_llm_error` gets the very exception that ended the attempt."""
    gone = sdk_http.ReadTimeout("too slow")

    def answer(_: Any) -> Any:
        raise gone

    with meter(handlers=[told]), pytest.raises(Exception, match="timed out"):
        await colour.ask(colour.client(answer))

    assert (told.events, told.args[-1]) == (["start", "error"], gone)


async def test_each_attempt_of_the_sdk_is_told(colour, told):
    """A retry is an attempt of its own: the first fails, the second ends."""
    answers = iter([sdk_http.Response(500, headers={"retry-after-ms": "1"}), sdk_http.Response(200, json=CHAT_BODY)])

    with meter(handlers=[told]):
        await colour.ask(colour.client(lambda _: next(answers), max_retries=1))

    assert told.events == ["start", "error", "start", "end"]
    assert told.args[-1].attempt == 1
    assert len({keywords["run_id"] for keywords in told.keywords}) == 2


async def test_an_error_event_in_a_stream_is_told_as_an_error(colour, told):
    """A stream that says that it failed has failed."""
    client = colour.client(streamed(sse(piece("a"), {"error": {"message": "secret", "type": "server_error"}})))

    with meter(handlers=[told]), pytest.raises(Exception, match="secret"):
        await colour.read(await colour.ask(client, stream=True))

    assert told.events == ["start", "token", "error"]
    assert "secret" not in str(told.args[-1])


@pytest.mark.parametrize("make", [list, tuple, iter], ids=["list", "tuple", "iterator"])
async def test_a_plain_function_is_told_of_the_end(colour, make):
    """A function is `on_llm_end`; it needs no keywords."""
    calls: list[Call] = []

    with meter(handlers=make([calls.append])):
        await colour.ask(colour.client())

    assert [call.usage.total_tokens for call in calls] == [15]


async def test_an_async_function_is_told_of_the_end(colour):
    """A coroutine function is awaited, or run to its end."""
    calls: list[Any] = []

    async def log(call: Call, *, model: str) -> None:
        await asyncio.sleep(0)
        calls.append((call.status, model))

    with meter(handlers=[log]):
        await colour.ask(colour.client())

    assert calls == [(200, "gpt-4o-mini-2024-07-18")]


def test_a_coroutine_runs_to_its_end_where_no_loop_runs():
    """A sync program may have async handlers, and keeps its thread as it was."""
    handler_threads: list[threading.Thread] = []

    async def log(call: Call) -> None:
        await asyncio.sleep(0)
        handler_threads.append(threading.current_thread())

    client = Colour("sync").client()
    with meter(handlers=[log]):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert len(set(handler_threads)) == 1
    assert threading.current_thread() not in handler_threads


def test_a_coroutine_of_a_sync_call_sees_the_callers_context():
    """Context variables of the caller can be read in the handler."""
    who = contextvars.ContextVar("who", default="nobody")
    who.set("Ada")
    seen: list[str] = []

    async def log(call: Call) -> None:
        seen.append(who.get())

    with meter(handlers=[log]):
        Colour("sync").client().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert seen == ["Ada"]


async def test_ordinary_handlers_are_told_in_the_callers_own_thread_and_task(colour):
    """No queue and no worker stands between a call and its handlers."""
    where: list[Any] = []

    with meter(handlers=[lambda call: where.append((threading.current_thread(), asyncio.current_task()))]):
        await colour.ask(colour.client())

    assert where == [(threading.current_thread(), asyncio.current_task())]


async def test_threads_tell_in_their_own_thread():
    """A call in a thread of the block is told in that thread."""
    where: list[str] = []

    def ask() -> None:
        Colour("sync").client().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    with meter(handlers=[lambda call: where.append(threading.current_thread().name)]):
        thread = threading.Thread(target=ask, name="asker")
        thread.start()
        thread.join()

    assert where == ["asker"]


async def test_gathered_calls_tell_each_its_own_story():
    """The events of one call belong together by run_id, however many run at once."""
    colour = Colour("async")
    told = Told()
    client = colour.client()

    with meter(handlers=[told]):
        await asyncio.gather(*(colour.ask(client) for _ in range(5)))

    by_run: dict[str, list[str]] = {}
    for event, keywords in zip(told.events, told.keywords, strict=True):
        by_run.setdefault(keywords["run_id"], []).append(event)
    assert list(by_run.values()) == [["start", "end"]] * 5


async def test_bases_do_nothing_and_cost_nothing(colour, monkeypatch):
    """What a subclass does not override is not read from the wire."""
    monkeypatch.setattr("token_meter.events.dispatcher.DeltaReader", pytest.fail)
    monkeypatch.setattr("token_meter.events.dispatcher.messages_of", pytest.fail)
    ended: list[Call] = []

    class Sync(CallbackHandler):
        def on_llm_end(self, response: Call, **kwargs: Any) -> None:
            ended.append(response)

    class Async(AsyncCallbackHandler):
        async def on_llm_end(self, response: Call, **kwargs: Any) -> None:
            ended.append(response)

    with meter(handlers=[Sync(), Async()]):
        await colour.read(await colour.ask(colour.client(streamed(sse(piece("a"), USAGE))), stream=True))

    assert len(ended) == 2


async def test_a_handler_that_does_not_do_chats_hears_of_them_as_text(colour, told):
    """NotImplementedError in `on_chat_model_start` falls back to `on_llm_start`, as in LangChain."""

    def not_here(serialized: Any, messages: Any, **kwargs: Any) -> None:
        raise NotImplementedError

    told.on_chat_model_start = not_here
    with meter(handlers=[told]):
        await colour.ask(colour.client())

    assert told.events == ["start", "end"]
    assert told.args[0] == ["user: Which flower?"]


def _taking(told: list[Any]) -> dict[str, Callable[..., Any]]:
    """Functions of every signature, all of which note the call and the model that they are told."""

    def one(call: Call) -> None:
        told.append((call, None))

    def of_another_name(model: Call) -> None:
        told.append((model, None))

    def named(call: Call, model: str) -> None:
        told.append((call, model))

    def by_keyword(call: Call, /, *, model: str) -> None:
        told.append((call, model))

    def everything(call: Call, **keywords: Any) -> None:
        told.append((call, keywords["model"]))

    @functools.wraps(everything)
    def narrow(call: Call) -> None:
        told.append((call, None))

    def first(note: Any, call: Call, model: str) -> None:
        note((call, model))

    class Callable_:
        def __call__(self, call: Call, model: str) -> None:
            told.append((call, model))

    return {
        "one": one, "of another name": of_another_name, "named": named, "by keyword": by_keyword, "everything": everything,
        "narrower than what it wraps": narrow, "partial": functools.partial(first, told.append), "object": Callable_(),
    }  # fmt: skip


@pytest.mark.parametrize("name", _taking([]))
async def test_a_function_is_told_what_it_takes(colour, name):
    """And nothing that it would stumble over."""
    told: list[tuple[Call, str | None]] = []

    with meter(handlers=[_taking(told)[name]]):
        await colour.ask(colour.client())

    ((call, model),) = told
    assert call.tokens.total_tokens
    assert model in (None, call.model)


@pytest.mark.parametrize(
    ("ignored", "events"),
    [("ignore_llm", []), ("ignore_chat_model", ["end"])],
)
async def test_what_a_handler_ignores_it_is_not_told(colour, told, ignored, events):
    """LangChain's attributes for not being told are honoured."""
    setattr(told, ignored, True)

    with meter(handlers=[told]):
        await colour.ask(colour.client())

    assert told.events == events


@pytest.mark.parametrize(
    ("handlers", "text"),
    [
        ([object()], "a handler is an object with some of the methods on_chat_model_start, on_llm_start"),
        ([Told], r"Told is a class; a handler is an instance of it: Told\(\)"),
        (Told(), r"handlers must be several handlers, such as \[Told\(...\)\], not one"),
        ("stdout", "handlers must be several handlers"),
    ],
    ids=["no-method", "class", "not-a-list", "string"],
)
def test_what_is_no_handler_is_refused_with_what_was_expected(handlers, text):
    """The slip is named where it is made and not at the first call."""
    with pytest.raises(ConfigError, match=text):
        meter(handlers=handlers)


async def test_a_decorated_function_tells_its_handlers(colour, told):
    """Each call of a metered function has a meter of its own, with the same handlers."""
    client = colour.client()

    @token_meter.meter(handlers=iter([told]))
    async def ask() -> None:
        await colour.ask(client)

    await ask()
    await ask()

    assert told.events == ["start", "end"] * 2


async def test_an_embedding_is_told(colour, told):
    """Every metered call has its events, not only chats."""
    body = {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 3, "total_tokens": 3}}
    client = colour.client(lambda _: sdk_http.Response(200, json=body))

    with meter(handlers=[told]):
        result = client.embeddings.create(model="text-embedding-3-small", input=["A", "B"], encoding_format="float")
        if colour.is_async:
            await result

    assert told.events == ["start", "end"]
    assert told.args[0] == ["A", "B"]


async def test_callbacks_after_their_block_are_not_told(colour, told):
    """Handlers of a block hear of calls that depart in the block."""
    client = colour.client()
    with callbacks(told):
        pass

    await colour.ask(client)

    assert told.events == []
