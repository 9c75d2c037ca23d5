"""Which meter gets a call that LangChain makes: nests, tasks, threads, late readers, errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import pytest

from tests.langchain.conftest import QUESTION, Models, drain
from token_meter import Meter, meter

pytest.importorskip("langchain_openai", reason="the dependency group `langchain`")
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda, RunnableParallel

QUESTIONS = [QUESTION, "What does a pink rose mean?", "How long do cut roses live?"]


def reads(cb: Meter) -> tuple[int, Any, int]:
    return cb.total_tokens, cb.cost, cb.successful_requests


def billed(models: Models) -> tuple[int, Any, int]:
    bill = models.bill()
    return bill.total_tokens, bill.cost, bill.calls


# Everything that runs in a block, wherever it runs.


def in_pool(models: Models) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(models.chat().invoke, QUESTIONS))


def in_warm_pool(models: Models) -> None:
    """Its threads are older than the work."""
    pool = ThreadPoolExecutor(1)
    pool.submit(int).result()
    with pool:
        list(pool.map(models.chat().invoke, QUESTIONS))


def in_threads(models: Models) -> None:
    threads = [threading.Thread(target=models.chat().invoke, args=(question,)) for question in QUESTIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


async def in_executor(models: Models) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.gather(*[loop.run_in_executor(None, models.chat().invoke, question) for question in QUESTIONS])


async def in_to_thread(models: Models) -> None:
    await asyncio.gather(*[asyncio.to_thread(models.chat().invoke, question) for question in QUESTIONS])


async def gathered(models: Models) -> None:
    await asyncio.gather(*[models.chat().ainvoke(question) for question in QUESTIONS])


async def in_task_group(models: Models) -> None:
    async with asyncio.TaskGroup() as group:
        for question in QUESTIONS:
            group.create_task(models.chat().ainvoke(question))


def parallel(models: Models) -> Any:
    """Three branches; LangChain runs them in threads, or gathered."""
    chat = models.chat()
    return RunnableParallel({str(n): RunnableLambda(lambda _, q=q: q) | chat for n, q in enumerate(QUESTIONS)})


def mapped(models: Models) -> Any:
    """`batch` with at most two at once."""
    return models.chat().batch(QUESTIONS, config={"max_concurrency": 2})


RUNS: dict[str, Callable[[Models], Any]] = {
    "ThreadPoolExecutor": in_pool,
    "warm ThreadPoolExecutor": in_warm_pool,
    "Thread": in_threads,
    "run_in_executor": in_executor,
    "to_thread": in_to_thread,
    "gather": gathered,
    "TaskGroup": in_task_group,
    "RunnableParallel": lambda m: parallel(m).invoke({}),
    "RunnableParallel, async": lambda m: parallel(m).ainvoke({}),
    "batch": mapped,
    "RunnableLambda.map": lambda m: RunnableLambda(lambda q: m.chat().invoke(q)).map().invoke(QUESTIONS),
}


@pytest.mark.parametrize("name", RUNS)
def test_calls_of_every_thread_and_task_belong_to_the_block(models, name):
    """LangChain's own counters see none of what an own thread asks."""
    with meter(prices=models.prices) as cb:
        models.run(lambda: RUNS[name](models))

    assert reads(cb) == billed(models)
    assert cb.successful_requests == 3


# Nested and parallel meters.


def test_an_outer_meter_holds_what_its_inner_meters_hold(models):
    """LangChain's callback gives the inner block the outer one's place."""
    chat = models.chat()
    with meter(prices=models.prices) as outer:
        chat.invoke(QUESTIONS[0])
        with meter(prices=models.prices) as inner:
            chat.invoke(QUESTIONS[1])
        chat.invoke(QUESTIONS[2])

    assert reads(outer) == billed(models)
    assert inner.successful_requests == 1
    assert 0 < inner.total_tokens < outer.total_tokens


def test_gathered_tasks_with_meters_of_their_own_do_not_see_each_other(models):
    """One meter a task and one over all: the tasks' sums are the whole, and each task has its own question's tokens."""

    async def ask(question: str) -> Meter:
        with meter(prices=models.prices) as mine:
            await models.chat().ainvoke(question)
        return mine

    async def all_of_them() -> list[Meter]:
        return await asyncio.gather(*map(ask, QUESTIONS))

    alone = []
    for question in QUESTIONS:
        with meter() as cb:
            models.chat().invoke(question)
        alone.append(cb.total_tokens)
    models.simulator.reset()
    with meter(prices=models.prices) as cb:
        each = models.run(all_of_them)

    assert [mine.total_tokens for mine in each] == alone
    assert reads(cb) == billed(models)
    assert sum(alone) == cb.total_tokens


def test_a_slow_question_does_not_hold_the_others(models):
    """Concurrent, and in whichever order they end; the meters lie as their tasks do."""
    done: list[str] = []

    async def ask(question: str, latency: str) -> None:
        with meter() as mine:
            await models.chat({"latency": latency}).ainvoke(question)
        assert mine.successful_requests == 1
        done.append(latency)

    async def all_of_them() -> None:
        await asyncio.gather(ask(QUESTIONS[0], "1"), ask(QUESTIONS[1], "0"), ask(QUESTIONS[2], "0"))

    with meter(prices=models.prices) as cb:
        models.run(all_of_them)

    assert done == ["0", "0", "1"]
    assert reads(cb) == billed(models)


def test_meters_of_threads_do_not_mix(models):
    """A meter for each of three threads that ask at the same time, and one over all."""
    chat = models.chat()
    together = threading.Barrier(3)

    def ask(question: str) -> tuple[str, int]:
        with meter() as mine:
            together.wait()
            said = chat.invoke(question).usage_metadata
        assert mine.successful_requests == 1
        return said["total_tokens"], mine.total_tokens

    with meter(prices=models.prices) as cb, ThreadPoolExecutor(3) as pool:
        rows = list(pool.map(ask, QUESTIONS))

    assert [told for told, _ in rows] == [metered for _, metered in rows]
    assert reads(cb) == billed(models)


def test_meters_that_overlap_each_hold_their_own_time(models):
    """Opened a, b; closed a, b: not nested, and none takes the other's place."""
    chat = models.chat()
    a, b = meter(prices=models.prices), meter(prices=models.prices)
    a.__enter__()
    chat.invoke(QUESTIONS[0])
    b.__enter__()
    chat.invoke(QUESTIONS[1])
    a.__exit__(None, None, None)
    chat.invoke(QUESTIONS[2])
    b.__exit__(None, None, None)

    assert (a.successful_requests, b.successful_requests) == (2, 2)


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_a_chain_metered_from_within_and_from_without(models, colour):
    """A step of a chain opens a meter of its own, which LangChain runs in a context of its own."""
    chat, inner = models.chat(), []

    def step(question: str) -> str:
        with meter(prices=models.prices) as mine:
            found = chat.invoke(question).content
        inner.append(mine)
        return str(found)

    stack = RunnableLambda(step) | chat
    with meter(prices=models.prices) as cb:
        models.run(lambda: stack.ainvoke(QUESTION) if colour == "async" else stack.invoke(QUESTION))

    assert reads(cb) == billed(models)
    assert (cb.successful_requests, inner[0].successful_requests) == (2, 1)


# What a block does not hold.


def test_nothing_is_counted_after_a_block_that_raised(models):
    """LangChain's callback stays installed when its block is left by an exception."""
    chat = models.chat()
    with pytest.raises(LookupError), meter(prices=models.prices) as cb:
        chat.invoke(QUESTION)
        raise LookupError
    before = reads(cb)
    chat.invoke(QUESTION)

    assert reads(cb) == before
    assert before[0] * 2 == models.bill().total_tokens


def test_a_refused_argument_leaves_the_meter_right(models):
    """A text where a list of messages belongs: LangChain raises before it asks, and the total is the right calls'."""
    chat = models.chat()

    async def ask() -> None:
        with pytest.raises((AttributeError, ValueError)):
            await chat.agenerate([QUESTION])
        await asyncio.gather(*[chat.agenerate([[HumanMessage(QUESTION)]]) for _ in range(3)])

    with meter(prices=models.prices) as cb:
        models.run(ask)

    assert reads(cb) == billed(models)
    assert (cb.successful_requests, cb.failed_requests) == (3, 0)


def test_a_prompt_that_the_server_refuses_is_a_failed_request(models):
    """The error is LangChain's and the SDK's, the tokens are the right calls'."""
    from openai import BadRequestError

    with meter(prices=models.prices) as cb:
        with pytest.raises(BadRequestError):
            models.chat().invoke([])
        with pytest.raises(BadRequestError):
            models.chat({"status": "400"}).invoke(QUESTION)
        models.chat().invoke(QUESTION)

    assert reads(cb) == billed(models)
    assert (cb.successful_requests, cb.failed_requests) == (1, 2)


# Readers that come late.


def test_a_stream_opened_in_the_block_and_read_after_it_belongs_to_the_block(models):
    """As soon as LangChain has sent the request; the rest of the answer may come whenever it is read."""
    with meter(prices=models.prices) as cb:
        pieces = models.chat(stream_usage=True).stream(QUESTION)
        next(pieces)
    list(pieces)

    assert reads(cb) == billed(models)


def test_a_lazy_stream_that_is_first_read_after_the_block_does_not(models):
    """LangChain sends its request at the first `next`, and by then the block has closed."""
    with meter(prices=models.prices) as cb:
        pieces = models.chat(stream_usage=True).stream(QUESTION)
    list(pieces)

    assert cb.successful_requests == 0
    assert models.bill().calls == 1


def test_a_generator_left_in_another_context_ends_in_silence(models):
    """LangChain's usage callback raises ValueError when its block is left in another context than it was entered in."""
    chat = models.chat(stream_usage=True)

    def pieces() -> Any:
        with meter(prices=models.prices) as cb:
            meters.append(cb)
            yield from chat.stream(QUESTION)

    meters: list[Meter] = []
    stream = pieces()
    copy_context().run(next, stream)
    copy_context().run(stream.close)

    assert meters[0].successful_requests == 1
    assert not meters[0].open_streams


def test_an_async_generator_of_a_web_server_is_metered_across_its_tasks(models):
    """Each step in a task of its own, as a server that streams an answer does."""
    chat = models.chat(stream_usage=True)
    meters: list[Meter] = []

    async def pieces() -> Any:
        with meter(prices=models.prices) as cb:
            meters.append(cb)
            async for piece in chat.astream(QUESTION):
                yield piece

    async def serve() -> None:
        stream = pieces()
        while await asyncio.create_task(anext(stream, None)) is not None:
            pass

    models.run(serve)

    assert reads(meters[0]) == billed(models)


def test_a_task_of_the_block_that_ends_after_it_counts_and_an_older_one_does_not(models):
    """Who started the task decides."""

    async def ask() -> tuple[Meter, int]:
        chat, other = models.chat({"latency": "0.1"}), models.chat({"latency": "0.1"})
        asked = asyncio.Event()

        async def wait_and_ask() -> None:
            await asked.wait()
            await other.ainvoke(QUESTIONS[1])

        older = asyncio.create_task(wait_and_ask())
        await asyncio.sleep(0)
        with meter(prices=models.prices) as cb:
            asked.set()
            younger = asyncio.create_task(chat.ainvoke(QUESTION))
            while models.simulator.bill(settle_s=0).calls < 2:  # both requests shall be on their way
                await asyncio.sleep(0.001)
        await asyncio.gather(older, younger)
        return cb, (await younger).usage_metadata["total_tokens"]

    cb, tokens = models.run(ask)

    assert (cb.successful_requests, cb.total_tokens) == (1, tokens)
    assert models.bill().calls == 2


@pytest.mark.usefixtures("no_sockets_left")
def test_a_request_that_a_second_event_loop_loses_is_a_failed_one(simulator):
    """LangChain's async HTTP client outlives its loop. The next loop sends on its old connection and cannot read the
    answer: that was billed perhaps, no program can know, and the meter says that a request failed."""
    chat = Models(simulator).chat(max_retries=0)
    answers, errors = [], []

    with meter() as cb:
        for _ in range(3):
            try:
                answers.append(asyncio.run(chat.ainvoke(QUESTION)).usage_metadata["total_tokens"])
            except Exception as exc:
                errors.append(exc)

    assert (cb.successful_requests, cb.failed_requests) == (len(answers), len(errors))
    assert cb.total_tokens == sum(answers) > 0


# Many of them.


def test_many_meters_leave_nothing_in_langchain(models):
    """LangChain's usage callback leaves a hook for each block, and each call looks at all of them."""
    from langchain_core.tracers import context

    hooks = len(context._configure_hooks)
    for _ in range(1000):
        with meter():
            pass
    with meter(prices=models.prices) as cb:
        models.chat().invoke(QUESTION)

    assert len(context._configure_hooks) == hooks
    assert reads(cb) == billed(models)


def test_streams_of_several_customers_end_in_their_own_meters(models):
    """Streams that are read turn by turn."""

    async def ask(question: str) -> Meter:
        with meter(prices=models.prices) as mine:
            await drain(models.chat({"delay": "0.002"}).astream(question))
        return mine

    async def all_of_them() -> list[Meter]:
        return await asyncio.gather(*map(ask, QUESTIONS))

    each = models.run(all_of_them)
    bill = models.bill()

    assert sorted(mine.total_tokens for mine in each) == sorted(entry.usage.total_tokens or 0 for entry in bill.entries)
