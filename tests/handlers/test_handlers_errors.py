"""Handlers that raise, block, are cancelled, or call a model themselves: the caller's call stays the caller's."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import logging
import threading
from typing import Any

import pytest

import token_meter
from tests.conftest import sdk_http
from tests.handlers.conftest import MESSAGES, USAGE, Colour, Told, answered, needs_responses, piece, sse, streamed
from token_meter import attach, callbacks, meter
from token_meter.context.subscriber import FAILURES_LIMIT


class Boom(Exception):
    pass


class Raises:
    """Raises *error* at *event*, in the colour that is asked for."""

    def __init__(self, event: str, error: BaseException, *, is_async: bool = False, raise_error: bool = False) -> None:
        self.raise_error = raise_error
        self.times = 0

        def method(*args: Any, **kwargs: Any) -> None:
            self.times += 1
            raise error

        async def amethod(*args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            method()

        setattr(self, event, amethod if is_async else method)


EVENTS = ["on_chat_model_start", "on_llm_start", "on_llm_new_token", "on_llm_end"]


@pytest.fixture(params=[False, True], ids=["handler", "async-handler"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("event", EVENTS)
async def test_f100_what_a_handler_raises_never_reaches_the_caller(colour, is_async, event, caplog):
    """The answer is whole, the others are told, the meter counts, and the log names handler and event without text."""
    told, body = Told(), (sse(piece("Ro"), done=False), sse(piece("se"), USAGE))
    seen: list[Any] = []

    with meter(handlers=[Raises(event, Boom("a secret"), is_async=is_async), told]) as cb:
        await colour.read(await colour.ask(colour.client(streamed(*body)), stream=True), seen.append)

    assert told.events == ["start", "token", "token", "end"]
    assert (len(seen), cb.total_tokens) == (3, 15)
    (record,) = [r for r in caplog.records if r.name == "token_meter"]
    assert f"{event} of the handler Raises raised Boom" in record.getMessage()
    assert "secret" not in caplog.text


async def test_an_error_handler_that_raises_leaves_the_error_as_it_is(colour, is_async, caplog):
    """The caller gets the SDK's error and nothing of the handler's."""
    client = colour.client(lambda _: sdk_http.Response(400, json={"error": {"message": "bad"}}))

    with meter(handlers=[Raises("on_llm_error", Boom(), is_async=is_async)]), pytest.raises(Exception, match="bad"):
        await colour.ask(client)

    assert "on_llm_error of the handler Raises raised Boom" in caplog.text


async def test_a_handlers_failures_are_logged_once_wherever_it_is_attached(colour, caplog):
    """Ten calls through three places: one line in the log for each handler."""
    bad = Raises("on_llm_end", Boom())
    client = attach(colour.client(), handlers=[bad])

    for _ in range(5):
        with meter(handlers=[bad]), callbacks(bad, Raises("on_llm_end", Boom())):
            await colour.ask(client)

    assert sum("on_llm_end of the handler" in r.getMessage() for r in caplog.records) == 1 + 5


async def test_f100_a_handler_that_fails_many_times_is_told_no_more(colour):
    """After the limit it is off, also at another place."""
    bad = Raises("on_llm_end", Boom())
    client = colour.client()

    for _ in range(FAILURES_LIMIT + 3):
        with callbacks(bad):
            await colour.ask(client)

    assert bad.times == FAILURES_LIMIT == 10


async def test_a_success_starts_the_count_of_failures_anew(colour):
    """Only failures in a row turn a handler off."""
    calls: list[int] = []

    def flaky(call: Any) -> None:
        calls.append(1)
        if len(calls) % FAILURES_LIMIT:
            raise Boom

    client = colour.client()
    with meter(handlers=[flaky]):
        for _ in range(2 * FAILURES_LIMIT + 5):
            await colour.ask(client)

    assert len(calls) == 2 * FAILURES_LIMIT + 5


@pytest.mark.parametrize("error", [KeyboardInterrupt, asyncio.CancelledError, SystemExit])
@pytest.mark.parametrize("event", ["on_llm_start", "on_llm_end"])
def test_f100_interrupts_and_cancellations_pass(error, event, caplog):
    """What is no Exception is not ours to hold: it reaches the caller, also from a coroutine."""
    for is_async in (False, True):
        told = Told()
        with meter(handlers=[Raises(event, error(), is_async=is_async), told]) as cb, pytest.raises(error):
            Colour("sync").client().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

        assert cb.successful_requests == (event == "on_llm_end")
        assert cb.open_streams == 0
    assert "raised" not in caplog.text


async def test_a_task_cancelled_in_its_handler_is_cancelled():
    """A handler that waits does not swallow the cancellation of its task; the call that it ended is counted."""
    colour, waits = Colour("async"), asyncio.Event()

    async def wait(call: Any) -> None:
        waits.set()
        await asyncio.Event().wait()

    with meter(handlers=[wait]) as cb:
        task = asyncio.create_task(colour.ask(colour.client()))
        await waits.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert task.cancelled()
    assert cb.total_tokens == 15


async def test_raise_error_at_the_start_stops_the_call_before_it_leaves(colour, is_async):
    """A start that raises is a veto: nothing is sent, the exception comes as it is, and other handlers hear of it."""
    sent: list[Any] = []
    told, boom = Told(), Boom()
    client = colour.client(lambda request: sent.append(request) or answered(request), max_retries=2)

    with meter(handlers=[Raises("on_llm_start", boom, is_async=is_async, raise_error=True), told]) as cb:
        with pytest.raises(Boom) as caught:
            await colour.ask(client)

    assert caught.value is boom
    assert sent == []
    assert (told.events, told.args[-1]) == (["start", "error"], boom)
    assert (cb.successful_requests, cb.failed_requests, cb.total_tokens) == (0, 1, 0)


async def test_raise_error_at_the_end_surfaces_once_and_is_not_retried(colour, is_async):
    """The paid request goes out once; the exception comes as it is; the meter has counted."""
    sent: list[Any] = []
    told, boom = Told(), Boom()
    client = colour.client(lambda request: sent.append(request) or answered(request), max_retries=2)

    with meter(handlers=[Raises("on_llm_end", boom, is_async=is_async, raise_error=True), told]) as cb:
        with pytest.raises(Boom) as caught:
            await colour.ask(client)

    assert caught.value is boom
    assert len(sent) == 1
    assert told.events == ["start", "end"]
    assert (cb.total_tokens, cb.successful_requests) == (15, 1)


async def test_an_exception_at_the_end_never_passes_through_the_sdks_retry_loop(colour, monkeypatch):
    """Old SDKs send a paid request three times when something raises inside `send`: it is raised at the gate."""
    client, inside = colour.client(), []
    owner = next(cls for cls in type(client._client).__mro__ if "send" in cls.__dict__)

    with meter(handlers=[Raises("on_llm_end", Boom(), raise_error=True)]):
        patched = owner.__dict__["send"]

        def send(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return patched(self, *args, **kwargs)
            except Exception as error:
                inside.append(error)
                raise

        async def asend(self: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return await patched(self, *args, **kwargs)
            except Exception as error:
                inside.append(error)
                raise

        monkeypatch.setattr(owner, "send", asend if colour.is_async else send)
        with pytest.raises(Boom):
            await colour.ask(client)
        monkeypatch.undo()

    assert inside == []


async def test_an_exception_about_a_failed_attempt_ends_the_retries(colour):
    """Once the caller is to get a handler's exception, no further attempt is sent, let alone paid and thrown away."""
    sent: list[Any] = []
    told = Told()

    def answer(request: Any) -> Any:
        sent.append(request)
        return sdk_http.Response(500, headers={"retry-after-ms": "1"})

    with meter(handlers=[Raises("on_llm_error", Boom(), raise_error=True), told]) as cb, pytest.raises(Boom):
        await colour.ask(colour.client(answer, max_retries=2))

    assert len(sent) == 1
    assert told.events == ["start", "error"]
    assert (cb.failed_requests, cb.open_streams) == (1, 0)


async def test_raise_error_on_a_plain_http_client_comes_out_of_its_request(colour):
    """Without an SDK there is no gate; there is no retry loop either."""
    boom = Boom()
    with meter(handlers=[Raises("on_llm_end", boom, raise_error=True)]) as cb, pytest.raises(Boom) as caught:
        await colour.post(colour.http())

    assert caught.value is boom
    assert cb.total_tokens == 15


@pytest.mark.parametrize("event", ["on_llm_new_token", "on_llm_end"])
async def test_raise_error_in_a_stream_comes_out_of_the_iteration(colour, is_async, event):
    """The reader gets every piece that arrived before the exception, and then the exception."""
    boom = Boom()
    told = Told()
    client = colour.client(streamed(sse(piece("Ro"), done=False), sse(piece("se"), done=False), sse(USAGE)))
    seen: list[str] = []

    with meter(handlers=[Raises(event, boom, is_async=is_async, raise_error=True), told]) as cb:
        stream = await colour.ask(client, stream=True)
        with pytest.raises(Boom) as caught:
            await colour.read(stream, lambda c: seen.append(c.choices[0].delta.content if c.choices else "usage"))

    assert caught.value is boom
    assert seen == (["Ro"] if event == "on_llm_new_token" else ["Ro", "se", "usage"])
    assert told.events[-1] == ("error" if event == "on_llm_new_token" else "end")
    assert cb.open_streams == 0


async def test_raise_error_does_not_cost_a_stream_that_came_in_one_piece(colour):
    """A short answer may arrive in one chunk: it is paid, so it is handed over before the exception is."""
    client = colour.client(streamed(sse(piece("Ro"), piece("se"), USAGE)))
    seen: list[Any] = []

    with meter(handlers=[Raises("on_llm_end", Boom(), raise_error=True)]), pytest.raises(Boom):
        await colour.read(await colour.ask(client, stream=True), seen.append)

    assert len(seen) == 3


async def test_one_handler_may_raise_while_the_others_are_told(colour):
    """Every handler hears of the event before any exception is raised."""
    told = Told()

    with meter(handlers=[Raises("on_llm_end", Boom(), raise_error=True), told]), pytest.raises(Boom):
        await colour.ask(colour.client())

    assert told.events == ["start", "end"]


class AsksBack:
    """Calls a model itself when it is told of the end."""

    def __init__(self, ask: Any) -> None:
        self.ask = ask
        self.told = 0

    def on_llm_end(self, response: Any, **kwargs: Any) -> Any:
        self.told += 1
        return self.ask()


async def test_f102_a_handler_that_calls_a_model_is_not_told_of_it(colour):
    """The depth stays 1: no handler hears of a handler's calls; the meter counts them."""
    client, told = colour.client(), Told()
    handler = AsksBack(lambda: client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES))
    attach(client, handlers=[handler])

    with meter(handlers=[handler, told]) as cb, callbacks(handler):
        await colour.ask(client)

    assert (handler.told, told.events) == (1, ["start", "end"])
    assert cb.successful_requests == 2


async def test_an_async_handler_that_calls_a_model_on_a_sync_call_is_metered():
    """The coroutine runs in another thread's loop; its own calls are counted there too, and not told."""
    sync, asyn = Colour("sync").client(), Colour("async")
    told: list[Any] = []

    async def ask_back(call: Any) -> None:
        told.append(call)
        await asyn.ask(asyn.client())

    with meter(handlers=[ask_back]) as cb:
        sync.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert (len(told), cb.successful_requests) == (1, 2)


def test_a_sync_call_inside_an_async_handler_does_not_wait_for_itself():
    """A coroutine of a handler may block its loop with a call that tells coroutines; nothing locks up."""
    client = Colour("sync").client()
    told: list[Any] = []

    async def note(call: Any) -> None:
        told.append(call)

    async def ask_back(call: Any) -> None:
        def free() -> None:
            # A context of its own is not muted: the call in it is told again, from inside the handler's loop.
            with callbacks(note):
                client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

        contextvars.Context().run(free)

    with callbacks(ask_back):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert len(told) == 1


async def test_threads_that_a_handler_starts_are_not_told_either():
    """The guard goes where the handler's work goes."""
    client = Colour("sync").client()

    def ask_back() -> None:
        thread = threading.Thread(target=lambda: client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES))
        thread.start()
        thread.join()

    handler = AsksBack(ask_back)
    with meter(handlers=[handler]) as cb:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert (handler.told, cb.successful_requests) == (1, 2)


async def test_after_its_handlers_a_caller_is_told_again(colour):
    """The guard is taken off when the handlers are done, also after one that raised."""
    client, told = colour.client(), Told()

    with meter(handlers=[Raises("on_llm_start", Boom()), told]):
        await colour.ask(client)
        await colour.ask(client)

    assert told.events == ["start", "end"] * 2


async def test_a_handler_may_close_the_stream_of_which_it_is_told():
    """If a handler closes the stream, every handler gets the end once, after the token."""
    told, streams = Told(), []

    class Closer:
        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            streams[0].response.close()

    client = Colour("sync").client(streamed(sse(piece("a"), done=False), sse(piece("b"), USAGE)))
    with meter(handlers=[Closer(), told]):
        streams.append(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
        with contextlib.suppress(sdk_http.StreamError):
            list(streams[0])

    assert told.events == ["start", "token", "end"]
    assert told.args[-1].outcome == "closed"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that only moves when a handler says so."""

    class Clock:
        now = 0.0

    monkeypatch.setattr("token_meter.events.dispatcher.perf_counter", lambda: Clock.now)
    return Clock


async def test_f101_a_handler_that_holds_the_loop_is_named_once(colour, clock, caplog):
    """A slow ordinary handler stops every task of a loop: a warning says which one, how long, and what to do."""

    def slow(call: Any) -> None:
        clock.now += 0.2

    with meter(handlers=[slow]):
        await colour.ask(colour.client())
        await colour.ask(colour.client())

    (record,) = [r for r in caplog.records if r.name == "token_meter" and r.levelno == logging.WARNING]
    assert "slow held the event loop for 200 ms; make it `async def`" in record.getMessage()


async def test_a_coroutine_that_waits_is_not_slow(clock, caplog):
    """An async handler on an async call lets the loop run."""
    colour = Colour("async")

    async def patient(call: Any) -> None:
        await asyncio.sleep(0)
        clock.now += 5

    with meter(handlers=[patient]):
        await colour.ask(colour.client())

    assert "held the event loop" not in caplog.text


def test_a_slow_handler_outside_every_loop_is_its_callers_affair(clock, caplog):
    """A sync program waits for its handlers and is not warned."""

    def slow(call: Any) -> None:
        clock.now += 5

    with meter(handlers=[slow]):
        Colour("sync").client().chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert caplog.text == ""


async def test_a_stream_that_is_left_early_ends(colour, told):
    """Closing a stream is an end and no error: the record says `closed`."""
    client = colour.client(streamed(sse(piece("a"), done=False), sse(piece("b"), done=False), sse(USAGE)))

    with meter(handlers=[told]):
        stream = await colour.ask(client, stream=True)
        if colour.is_async:
            await stream.__anext__()
            await stream.close()
        else:
            next(stream)
            stream.close()

    assert told.events == ["start", "token", "end"]
    assert told.args[-1].outcome == "closed"


async def test_a_stream_that_is_dropped_is_told_at_the_next_occasion(colour):
    """Handlers never run inside the garbage collector: they hear of a dropped stream when the block ends."""
    told, client = Told(), colour.client(streamed(sse(piece("a"), USAGE)))

    with meter(handlers=[told]):
        stream = await colour.ask(client, stream=True)
        del stream
        gc.collect()
        assert told.events == ["start"]

    assert told.events == ["start", "end"]
    assert told.args[-1].outcome == "abandoned"


async def test_a_dropped_stream_is_told_before_the_next_call(colour, told):
    """A program that never leaves its block hears of dropped streams with its next call."""
    client = colour.client(streamed(sse(piece("a"), USAGE)))

    with meter(handlers=[told]):
        stream = await colour.ask(client, stream=True)
        del stream
        gc.collect()
        stream = await colour.ask(client, stream=True)
        await colour.read(stream)

    ends = [args.outcome for event, args in zip(told.events, told.args, strict=True) if event == "end"]
    assert ends == ["abandoned", "complete"]


async def test_a_cancelled_stream_is_told_as_an_error():
    """The task's CancelledError is what `on_llm_error` gets; the record says `cancelled`."""
    colour, told, reads = Colour("async"), Told(), asyncio.Event()

    class Hangs(sdk_http.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield sse(piece("a"), done=False)
            reads.set()
            await asyncio.Event().wait()

    client = colour.client(
        lambda _: sdk_http.Response(200, headers={"content-type": "text/event-stream"}, stream=Hangs())
    )

    async def read() -> None:
        await colour.read(await colour.ask(client, stream=True))

    with meter(handlers=[told]):
        task = asyncio.create_task(read())
        await reads.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert told.events == ["start", "token", "error"]
    assert isinstance(told.args[-1], asyncio.CancelledError)
    assert told.keywords[-1]["response"].outcome == "cancelled"


@needs_responses
def test_a_background_response_ends_when_its_end_is_seen():
    """A response that runs in the background is told as ended by the request that finds it done."""
    told = Told()
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    base = {"id": "resp_1", "object": "response", "model": "gpt-5", "output": [], "created_at": 1}
    answers = iter(
        [
            {**base, "status": "queued", "usage": None},
            {**base, "status": "in_progress", "usage": None},
            {**base, "status": "completed", "usage": usage},
        ]
    )
    client = Colour("sync").client(lambda _: sdk_http.Response(200, json=next(answers)))

    with meter(handlers=[told]) as cb:
        client.responses.create(model="gpt-5", input="A", background=True)
        client.responses.retrieve("resp_1")
        assert told.events == ["start"]
        client.responses.retrieve("resp_1")

    assert told.events == ["start", "end"]
    assert told.args[-1].usage.total_tokens == cb.total_tokens == 15


def test_a_budgets_refusal_is_no_event():
    """A call that a budget refuses never departs: no handler hears of it."""
    told = Told()

    with meter(max_calls=1, warn_at=None, handlers=[told]):
        client = Colour("sync").client()
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        with pytest.raises(token_meter.BudgetExceededError):
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)

    assert told.events == ["start", "end"]


def test_a_veto_gives_the_budget_back():
    """What a call had reserved is free again when a handler stops it."""
    client = Colour("sync").client()

    with meter(max_calls=1, warn_at=None) as cb:
        with callbacks(Raises("on_llm_start", Boom(), raise_error=True)), pytest.raises(Boom):
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        reserved = cb.reserved.calls

    assert reserved == 0
