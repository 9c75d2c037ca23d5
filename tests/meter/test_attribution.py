"""Which meter a call belongs to: the ones open where it started, on any thread, task or greenlet."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import pickle
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
import openai
import pytest
import trio
from openai import AsyncOpenAI, OpenAI

import token_meter
from tests.conftest import CHAT_BODY, sdk_http
from token_meter import Call, Meter, UnpricedWarning, Usage, current, meter
from token_meter.context import scope as _scope
from token_meter.context.scope import CallScope
from token_meter.runtime import hub as _hub

TOKENS = 15  # of one call


def _answer(_: Any) -> Any:
    return sdk_http.Response(200, json=CHAT_BODY)


@pytest.fixture
def ask() -> Iterator[Callable[[], Any]]:
    with OpenAI(api_key="sk-x", http_client=sdk_http.Client(transport=sdk_http.MockTransport(_answer))) as client:
        yield lambda: client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}])


@pytest.fixture
def aask() -> Callable[[], Any]:
    client = AsyncOpenAI(api_key="sk-x", http_client=sdk_http.AsyncClient(transport=sdk_http.MockTransport(_answer)))

    async def ask() -> Any:
        return await client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "?"}])

    return ask


def test_every_open_meter_of_the_chain_gets_the_call_live(ask):
    """Inner and outer meters read the call as soon as it returned."""
    with meter() as outer:
        ask()
        with meter() as inner:
            ask()

            assert (inner.total_tokens, outer.total_tokens) == (TOKENS, 2 * TOKENS)


async def test_gathered_tasks_with_own_meters_do_not_see_each_other(aask):
    """Each task's meter holds its own calls; the outer one holds them all."""

    async def task(calls: int) -> int:
        with meter() as mine:
            for _ in range(calls):
                await aask()
        return mine.total_tokens

    with meter() as outer:
        each = await asyncio.gather(task(1), task(2), task(3))

    assert each == [TOKENS, 2 * TOKENS, 3 * TOKENS]
    assert outer.total_tokens == 6 * TOKENS


async def test_overlapping_meters_of_two_tasks_are_independent(aask):
    """A meter that closes while another task's is open takes nothing from it."""
    first_open, first_closed = asyncio.Event(), asyncio.Event()

    async def first() -> int:
        with meter() as mine:
            first_open.set()
            await aask()
        first_closed.set()
        return mine.total_tokens

    async def second() -> int:
        await first_open.wait()
        with meter() as mine:
            await first_closed.wait()
            await aask()
        return mine.total_tokens

    assert await asyncio.gather(first(), second()) == [TOKENS, TOKENS]


def test_a_block_that_raises_closes_its_meter_and_keeps_its_numbers(ask):
    """The exception passes; a call after the block is not counted."""
    cb = meter()

    def block() -> None:
        with cb:
            ask()
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        block()
    ask()

    assert cb.total_tokens == TOKENS
    assert not cb.is_open


def test_a_meter_entered_twice_counts_a_call_once(ask):
    """Re-entering an open meter adds nothing and closes with the last exit."""
    cb = meter()
    with cb, cb:
        ask()

        assert cb.total_tokens == TOKENS
    assert not cb.is_open


def test_an_inner_block_of_a_meter_takes_out_only_itself(ask):
    """Even if another entry, of a waiting generator, is behind both."""

    def generator() -> Iterator[Meter]:
        with meter() as left_open:
            yield left_open

    steps, cb = generator(), meter()
    with cb:
        with cb:
            next(steps)
        ask()
    steps.close()

    assert cb.total_tokens == TOKENS


def test_f55_a_generator_closed_in_another_context(ask):
    """Leaving in another context removes the meter there and marks it closed."""

    def generator() -> Iterator[Meter]:
        with meter() as cb:
            yield cb

    steps = generator()
    cb = contextvars.copy_context().run(next, steps)
    contextvars.copy_context().run(steps.close)
    ask()

    assert not cb.is_open
    assert cb.total_tokens == 0


def test_f55_generators_closed_crosswise(ask):
    """Closing out of order never restores a stale chain."""

    def generator() -> Iterator[Meter]:
        with meter() as cb:
            yield cb

    first, second = generator(), generator()
    cb1, cb2 = next(first), next(second)
    first.close()
    second.close()
    ask()

    assert current() is None
    assert (cb1.total_tokens, cb2.total_tokens) == (0, 0)


def test_f55_a_collected_generator():
    """The garbage collector may be the one to leave the block."""

    def generator() -> Iterator[Meter]:
        with meter() as cb:
            yield cb

    steps = generator()
    cb = next(steps)
    del steps
    gc.collect()

    assert not cb.is_open


async def test_f52_a_task_that_outlives_the_block_is_late(aask):
    """A call that starts after its meter closed shows as late."""
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        await aask()

    with meter() as cb:
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    go.set()
    await task

    assert (cb.total_tokens, cb.late_calls, cb.is_complete) == (0, 1, False)


async def test_a_late_call_of_a_meter_that_was_entered_twice_is_one(aask):
    """It stands in the context twice, and counts once."""
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        await aask()

    cb = meter()
    with cb, cb:
        task = asyncio.create_task(later())
        await asyncio.sleep(0)
    go.set()
    await task

    assert (cb.total_tokens, cb.late_calls) == (0, 1)


async def test_a_late_call_belongs_to_a_meter_that_is_still_open_around_it(aask):
    """The closed meter counts it late, the open one counts it."""
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        await aask()

    with meter() as outer:
        with meter() as inner:
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
        go.set()
        await task

    assert (inner.total_tokens, inner.late_calls) == (0, 1)
    assert (outer.total_tokens, outer.late_calls) == (TOKENS, 0)


def test_a_call_in_no_meter_is_counted_by_the_process(ask):
    """While some meter is open, calls of other contexts show in `unattributed`."""
    before = token_meter.unattributed()
    with meter() as cb:
        contextvars.Context().run(ask)

    assert token_meter.unattributed() == before + 1
    assert cb.total_tokens == 0


def test_a_process_meter_counts_calls_of_every_context_once(ask):
    """`scope="process"` sees contexts that never heard of it, and its own calls once."""
    with meter(scope="process") as everything:
        contextvars.Context().run(ask)
        ask()
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

    assert everything.total_tokens == 3 * TOKENS


def test_a_process_meter_that_opens_while_a_call_departs_counts_the_next(ask, monkeypatch):
    """What was worked out for the first call before the meter opened is not kept for the second."""
    everything = meter(scope="process")

    def call_scope(*args: Any) -> CallScope:
        monkeypatch.setattr(_scope, "CallScope", CallScope)
        made = CallScope(*args)
        contextvars.Context().run(everything.__enter__)  # as another thread would, just now
        return made

    monkeypatch.setattr(_scope, "CallScope", call_scope)
    with meter():
        ask()
        before = everything.total_tokens
        ask()
    everything.__exit__(None, None, None)

    assert everything.total_tokens == before + TOKENS


def test_a_meter_that_two_threads_enter_at_once_opens_once(ask, monkeypatch):
    """It counts each call once, and the last one to leave closes it."""

    class Overtaken:
        """A lock where another thread comes first, once."""

        def __init__(self, lock: Any, first: Callable[[], Any]) -> None:
            self.lock, self.first = lock, first

        def __enter__(self) -> None:
            first, self.first = self.first, lambda: None
            _in_thread(first)
            self.lock.__enter__()

        def __exit__(self, *args: Any) -> None:
            self.lock.__exit__(*args)

    everything = meter(scope="process")
    with monkeypatch.context() as patched:
        patched.setattr(_hub.HUB, "_lock", Overtaken(_hub.HUB._lock, everything.__enter__))
        everything.__enter__()
    ask()
    everything.__exit__(None, None, None)
    ask()
    everything.__exit__(None, None, None)

    assert everything.total_tokens == 2 * TOKENS
    assert (everything.is_open, _hub.HUB.is_listening) == (False, False)


# Threads: each row is a way to run a function elsewhere.


def _in_thread(f: Callable[[], Any]) -> None:
    thread = threading.Thread(target=f)
    thread.start()
    thread.join()


def _in_subclass(f: Callable[[], Any]) -> None:
    class Own(threading.Thread):
        def run(self) -> None:
            f()

    thread = Own()
    thread.start()
    thread.join()
    assert "run" not in vars(thread)


def _in_timer(f: Callable[[], Any]) -> None:
    timer = threading.Timer(0, f)
    timer.start()
    timer.join()


def _in_pool(f: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(f).result()


def _in_pool_map(f: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        list(pool.map(lambda _: f(), [0]))


def _in_thread_pool(f: Callable[[], Any]) -> None:
    with ThreadPool(1) as pool:
        pool.apply(f)
        pool.close()
        pool.join()


def _in_executor(f: Callable[[], Any]) -> None:
    async def main() -> None:
        await asyncio.get_running_loop().run_in_executor(None, f)

    asyncio.run(main())


def _in_to_thread(f: Callable[[], Any]) -> None:
    async def main() -> None:
        await asyncio.to_thread(f)

    asyncio.run(main())


def _in_anyio_thread(f: Callable[[], Any]) -> None:
    async def main() -> None:
        await anyio.to_thread.run_sync(f)

    anyio.run(main)


def _in_portal(f: Callable[[], Any]) -> None:
    with anyio.from_thread.start_blocking_portal() as portal:
        portal.call(f)


@pytest.mark.parametrize(
    "elsewhere",
    [_in_thread, _in_subclass, _in_timer, _in_pool, _in_pool_map, _in_thread_pool, _in_executor, _in_to_thread,
     _in_anyio_thread, _in_portal],
)  # fmt: skip
def test_f50_threads_belong_to_the_block(ask, elsewhere):
    """Threads and pools carry the meter, in every way to start them."""
    with meter() as cb:
        elsewhere(ask)

    assert (cb.total_tokens, cb.late_calls) == (TOKENS, 0)


@pytest.mark.parametrize("elsewhere", [_in_thread, _in_pool, _in_executor])
def test_f50_only_our_own_variable_travels(elsewhere):
    """A user's context variable stays where Python leaves it."""
    theirs: contextvars.ContextVar[str] = contextvars.ContextVar("theirs", default="unset")
    theirs.set("set")
    seen: list[str] = []
    with meter():
        elsewhere(lambda: seen.append(theirs.get()))

    assert seen == ["unset"]


def test_f51_a_warm_pool_serves_each_submitter(ask):
    """A worker never keeps the meter of its first submitter."""
    with ThreadPoolExecutor(1) as pool:
        with meter() as first:
            pool.submit(ask).result()
        with meter() as second:
            pool.submit(ask).result()
        pool.submit(ask).result()

    assert (first.total_tokens, first.late_calls) == (TOKENS, 0)
    assert (second.total_tokens, second.late_calls) == (TOKENS, 0)


def test_f51_the_empty_value_is_carried_too(ask):
    """The empty value is carried too."""
    with ThreadPoolExecutor(1) as pool, meter() as cb:
        pool.submit(ask).result()
        contextvars.Context().run(lambda: pool.submit(ask).result())

    assert (cb.total_tokens, cb.late_calls) == (TOKENS, 0)


def test_a_pool_of_interpreters_gets_its_tasks_as_they_are(monkeypatch):
    """Python 3.14's pickles them, which no closure of ours survives; a stand-in for it, under our patch."""

    class InterpreterPoolExecutor(ThreadPoolExecutor):
        pass

    def submit(pool: Any, fn: Callable[..., Any], /, *args: Any) -> Any:
        return below(pool, *pickle.loads(pickle.dumps((fn, *args))))

    below = ThreadPoolExecutor.submit
    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    module = SimpleNamespace(InterpreterPoolExecutor=InterpreterPoolExecutor)
    monkeypatch.setitem(sys.modules, "concurrent.futures.interpreter", module)
    with meter(), InterpreterPoolExecutor(1) as pool:
        assert pool.submit(abs, -3).result() == 3
    token_meter.uninstall()


def test_f50_threads_are_as_before():
    """`Thread.start` and `submit` are the originals again, without `uninstall()`."""
    start, submit = threading.Thread.__dict__["start"], ThreadPoolExecutor.__dict__["submit"]
    with meter():
        with meter():
            assert threading.Thread.__dict__["start"] is not start

    assert threading.Thread.__dict__["start"] is start
    assert ThreadPoolExecutor.__dict__["submit"] is submit


def test_threads_belong_to_a_block_that_opens_after_an_uninstall(ask):
    """Also while an older block is still open, which the uninstall left blind."""
    with meter():
        token_meter.uninstall()
        with meter() as cb:
            _in_thread(ask)

    assert cb.total_tokens == TOKENS


async def test_tasks_of_a_task_group_belong_to_the_block(aask):
    """`asyncio.TaskGroup` copies the context as `gather` does."""
    with meter() as cb:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(aask())

    assert cb.total_tokens == 3 * TOKENS


on_trio = pytest.mark.skipif(
    tuple(map(int, openai.__version__.split(".")[:2])) < (1, 109), reason="this openai itself runs on asyncio only"
)


@pytest.mark.parametrize("backend", ["asyncio", pytest.param("trio", marks=on_trio)])
def test_f64_anyio_on_asyncio_and_trio(aask, backend):
    """On both backends, with a meter of its own in each task."""
    each: list[int] = []

    async def task() -> None:
        async with meter() as mine:
            await aask()
        each.append(mine.total_tokens)

    async def main() -> Meter:
        async with meter() as cb, anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(task)
        return cb

    assert anyio.run(main, backend=backend).total_tokens == 3 * TOKENS
    assert each == [TOKENS] * 3


@on_trio
def test_f64_trio_nurseries(aask):
    """A cancelled sibling is counted as an attempt that failed."""

    async def main() -> Meter:
        with meter() as cb:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(aask)
                nursery.start_soon(aask)
        return cb

    assert trio.run(main).total_tokens == 2 * TOKENS


@pytest.mark.filterwarnings("error")
def test_a_warning_made_an_error_costs_no_call_of_any_meter():
    """Prices are looked up in passing after a thousand calls; missing ones are reported when a cost is read."""
    call = Call("x", 0.0, 0.0, "h", "chat", response_model="acme-7b", usage=Usage(1, 2, 3), status=200)
    with meter() as cb:
        for _ in range(2_000):
            cb.add(call)

        assert (cb.total_tokens, cb.successful_requests) == (6_000, 2_000)
        with pytest.raises(UnpricedWarning, match="acme-7b"):
            _ = cb.cost


@pytest.mark.filterwarnings("error")
def test_a_look_at_a_meter_warns_of_nothing():
    """`repr` itself names models without a price; asyncio.run takes the repr of its coroutine's result."""
    call = Call("x", 0.0, 0.0, "h", "chat", response_model="acme-7b", usage=Usage(1, 2, 3), status=200)
    with meter() as cb:
        cb.add(call)

    assert repr(cb) == "<meter closed: 3 tokens, unknown (1 call unpriced: acme-7b)>"
    with pytest.raises(UnpricedWarning, match="acme-7b"):
        _ = cb.cost
