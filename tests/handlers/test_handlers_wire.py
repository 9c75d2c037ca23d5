"""Handlers over real sockets: pieces as they pass, totals that are the simulator's bill, the lesson's own classes."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.handlers.conftest import MESSAGES, Colour, Told, needs_responses
from token_meter import AsyncCallbackHandler, CallbackHandler, attach, callbacks, meter

USAGE = {"include_usage": True}


@pytest.fixture
async def open_client(colour: Colour, simulator: Any) -> Any:
    cls = AsyncOpenAI if colour.is_async else OpenAI
    made: list[Any] = []

    def opened(**headers: str) -> Any:
        made.append(cls(base_url=simulator.base_url, api_key="sim-test", default_headers=headers, max_retries=2))
        return made[-1]

    yield opened
    for client in made:
        closed = client.close()
        if colour.is_async:
            await closed


@pytest.mark.parametrize("sim", ["", "chunk=1,words=4", "chunk=7,line=crlf", "compress=gzip", "comments,multiline,bom"])
async def test_the_pieces_are_what_the_caller_reads(colour, open_client, told, sim):
    """However the bytes are cut, packed and ended: the handler's text is the caller's text."""
    read: list[str] = []
    client = open_client(**({"x-sim": sim} if sim else {}))

    with meter(handlers=[told]) as cb:
        stream = await colour.ask(client, stream=True, stream_options=USAGE)
        await colour.read(stream, lambda c: read.append(c.choices[0].delta.content or "") if c.choices else None)

    pieces = [text for event, text in zip(told.events, told.args, strict=True) if event == "token"]
    assert told.events[0] == "start"
    assert told.events[-1] == "end"
    # openai drops the event that follows a byte order mark; it carries no text here.
    assert "".join(pieces) == "".join(read) != ""
    assert told.args[-1].usage.total_tokens == cb.total_tokens


async def test_no_piece_is_told_later_than_it_is_read(colour, open_client, told):
    """At every chunk that the caller gets, all text up to it has been told."""
    behind: list[bool] = []
    read = [""]

    def each(chunk: Any) -> None:
        if chunk.choices:
            read[0] += chunk.choices[0].delta.content or ""
            told_text = "".join(a for e, a in zip(told.events, told.args, strict=True) if e == "token")
            behind.append(not told_text.startswith(read[0]))

    with callbacks(told):
        await colour.read(await colour.ask(open_client(), stream=True), each)

    assert len(behind) > 3
    assert not any(behind)


@needs_responses
async def test_the_pieces_of_a_responses_stream(colour, open_client, told):
    """The Responses API streams to handlers as chat does."""
    text: list[str] = []

    def each(event: Any) -> None:
        if event.type == "response.output_text.delta":
            text.append(event.delta)

    with meter(handlers=[told]):
        stream = open_client().responses.create(model="gpt-5-mini", input="Which flower?", stream=True)
        await colour.read(await stream if colour.is_async else stream, each)

    found = zip(told.events, told.args, told.keywords, strict=True)
    pieces = [arg for event, arg, keywords in found if event == "token" and keywords["kind"] == "text"]
    assert "".join(pieces) == "".join(text) != ""
    assert told.args[0] == ["user: Which flower?"]


async def test_what_handlers_hear_adds_up_to_the_bill(colour, open_client, simulator):
    """Retries, failures, streams, embeddings: the sum of the records is what the server billed."""
    calls: list[Any] = []
    client = attach(open_client(), handlers=[calls.append])

    await colour.ask(client)
    await colour.ask(client, extra_headers={"x-sim": "fail=500x1"})
    await colour.read(await colour.ask(client, stream=True, stream_options=USAGE))
    result = client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    if colour.is_async:
        await result

    assert len(calls) == 4
    assert sum(call.usage.total_tokens for call in calls) == simulator.bill().total_tokens


async def test_a_server_that_dies_in_the_stream_is_told_as_an_error(colour, open_client, told):
    """The exception of the transport is the error; what was seen before it was told."""
    with meter(handlers=[told]), pytest.raises(Exception, match=r"."):
        await colour.read(await colour.ask(open_client(**{"x-sim": "cut=3"}), stream=True))

    assert told.events[0] == "start"
    assert told.events[-1] == "error"
    assert told.keywords[-1]["response"].outcome == "error"


async def test_an_ending_by_break_is_told_when_the_stream_is_let_go(colour, open_client):
    """The end of a stream that was left by `break` and dropped is dispatched as soon as handlers may run."""
    told = Told()

    with meter(handlers=[told]):
        stream = await colour.ask(open_client(), stream=True)
        if colour.is_async:
            async for _ in stream:
                break
            await stream.close()
        else:
            for _ in stream:
                break
        del stream
        gc.collect()

    assert told.events[-1] == "end"
    assert told.args[-1].outcome in ("closed", "abandoned")


async def test_raise_error_over_a_socket_leaves_the_client_usable(colour, open_client, simulator):
    """A handler's exception in a stream does not cost the connection pool, nor the next call."""

    class Stops(CallbackHandler):
        raise_error = True

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            raise ValueError(token)

    client = open_client()
    with meter(handlers=[Stops()]) as cb:
        with pytest.raises(ValueError, match=r"."):
            await colour.read(await colour.ask(client, stream=True))
        await colour.ask(client)

    assert (cb.successful_requests, cb.open_streams) == (2, 0)


async def test_an_end_that_raises_comes_out_of_the_loop_over_a_socket(colour, open_client):
    """All chunks first, then the exception, in both colours of the real SDK."""

    class Stops(CallbackHandler):
        raise_error = True

        def on_llm_end(self, response: Any, **kwargs: Any) -> None:
            raise ValueError(response.outcome)

    for _ in range(3):
        seen: list[Any] = []
        with meter(handlers=[Stops()]):
            stream = await colour.ask(open_client(), stream=True, stream_options=USAGE)
            with pytest.raises(ValueError, match="complete"):
                await colour.read(stream, seen.append)
        assert seen[-1].usage is not None


class FlowerShopSync(CallbackHandler):
    """The lesson's first class, as it is written there."""

    def on_llm_new_token(self, token: str, **kwargs) -> None:
        print(f"获取花卉数据: token: {token}")


class FlowerShopAsync(AsyncCallbackHandler):
    """The lesson's second class."""

    async def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None:
        print("正在获取花卉数据...")
        await asyncio.sleep(0)
        print("花卉数据获取完毕。提供建议...")

    async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        print("整理花卉建议...")
        await asyncio.sleep(0)
        print("祝你今天愉快！")


async def test_the_lessons_handlers_print_in_the_lessons_order(colour, open_client, capsys):
    """Start, tokens one by one, end: sync and async handler side by side on one stream."""
    with callbacks(FlowerShopSync(), FlowerShopAsync()):
        await colour.read(await colour.ask(open_client(), stream=True, max_tokens=100, messages=MESSAGES))

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["正在获取花卉数据...", "花卉数据获取完毕。提供建议..."]
    assert lines[-2:] == ["整理花卉建议...", "祝你今天愉快！"]
    assert len(lines[2:-2]) > 3
    assert all(line.startswith("获取花卉数据: token: ") for line in lines[2:-2])


async def test_three_customers_hear_their_own_stream(simulator):
    """Three requests at once, each streamed to its own queue; every customer's tokens are known, and sum up."""
    client = AsyncOpenAI(base_url=simulator.base_url, api_key="sim-test")

    class ToSocket(AsyncCallbackHandler):
        def __init__(self) -> None:
            self.sent: list[str] = []

        async def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            self.sent.append(token)

    async def serve(question: str) -> tuple[str, str, int]:
        socket, text = ToSocket(), ""
        with meter(handlers=[socket]) as cb:
            stream = await client.chat.completions.create(
                model="gpt-4o-mini", messages=[{"role": "user", "content": question}], stream=True, stream_options=USAGE
            )
            async for chunk in stream:
                text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        return "".join(socket.sent), text, cb.total_tokens

    with meter() as shop:
        served = await asyncio.gather(*(serve(q) for q in ("Roses?", "Lilies for a sister?", "A pink bouquet?")))
    await client.close()

    assert all(sent == text != "" for sent, text, _ in served)
    assert sum(tokens for *_, tokens in served) == shop.total_tokens == simulator.bill().total_tokens
