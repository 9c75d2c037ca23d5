"""The fault catalogue, F50 to F67: whose call it is, and that budgets hold, with any concurrency."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import token_meter
from tests.contract import shapes
from tests.contract.test_transport import _at
from tests.meter.test_attribution import TOKENS, aask, ask
from token_meter import BudgetExceededError, Meter, meter

__all__ = ["aask", "ask"]


@pytest.mark.parametrize("late", ["thread", "pool"])
def test_f52_what_starts_after_the_block_is_late(ask, late):
    """A thread and a pool job, begun inside: totals unchanged, one late call."""
    go = threading.Event()

    def wait_and_ask() -> None:
        go.wait(30)
        ask()

    with ThreadPoolExecutor(1) as pool:
        with meter() as cb:
            if late == "pool":
                pool.submit(wait_and_ask)
            else:
                thread = threading.Thread(target=wait_and_ask)
                thread.start()
        go.set()
        if late == "thread":
            thread.join()

    assert (cb.total_tokens, cb.late_calls, cb.is_complete) == (0, 1, False)


async def test_f53_a_stream_read_after_the_block_belongs_to_it(make, simulator):
    """Open at the exit, and not late."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        events = await shapes.result(
            client.chat.completions.create(**shapes.CHAT, stream=True, stream_options=shapes.WITH_USAGE)
        )
    assert cb.open_streams == 1
    async for _ in shapes.each(events):
        pass

    assert (cb.open_streams, cb.late_calls) == (0, 0)
    assert cb.total_tokens == simulator.bill("sim-test").total_tokens


def test_f54_a_decorated_generator_leaks_its_meter_to_nobody(ask):
    """Between the steps the consumer's calls are its own."""

    @meter()
    def steps() -> Iterator[Meter | None]:
        ask()
        yield token_meter.current()
        ask()

    walk = steps()
    inside = next(walk)
    assert inside is not None
    ask()
    assert token_meter.current() is None
    list(walk)

    assert inside.total_tokens == 2 * TOKENS


async def test_f56_a_block_left_in_another_context_than_it_was_entered_in_is_silent(aask):
    """As an async fixture's two halves are, with some plugins: no error, no warning, the right number."""
    cb = meter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        contextvars.copy_context().run(cb.__enter__)
        await asyncio.create_task(asyncio.sleep(0), context=contextvars.Context())
        contextvars.Context().run(cb.__exit__, None, None, None)
    await aask()

    assert (cb.is_open, cb.total_tokens) == (False, 0)


def test_f57_a_meter_that_leaked_into_a_context_counts_nothing_once_closed(ask):
    """A fixture's value that stays visible in later tests is a closed meter: its calls are late."""
    cb = meter()
    cb.__enter__()
    here = contextvars.copy_context()
    cb.__exit__(None, None, None)
    here.run(ask)

    assert (cb.total_tokens, cb.late_calls) == (0, 1)


async def test_f58_a_meter_round_an_asgi_app_holds_the_body_that_is_streamed(aask):
    """A pure ASGI middleware stays open until the body has ended; what a background task does later is late."""
    closed, done = asyncio.Event(), asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    async def background() -> None:
        await closed.wait()
        await aask()
        done.set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await aask()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(3):
            await aask()
            await send({"type": "http.response.body", "body": b"x", "more_body": number < 2})
        tasks.add(asyncio.create_task(background()))

    async def middleware(scope: Any, receive: Any, send: Any) -> Meter:
        with meter() as cb:
            await app(scope, receive, send)
        return cb

    async def send(_: Any) -> None:
        await asyncio.sleep(0)

    cb = await asyncio.create_task(middleware({"type": "http"}, None, send))
    closed.set()
    await done.wait()

    assert (cb.total_tokens, cb.late_calls) == (4 * TOKENS, 1)


def test_f59_sixteen_threads_lose_no_addition():
    """Adding is one append, reading folds under one lock."""
    cb = meter(on_unpriced="ignore")
    call = token_meter.Call("x", 0.0, 0.0, "h", "chat", usage=token_meter.Usage(1, 2, 3), status=200)
    adders = [threading.Thread(target=lambda: [cb.add(call) for _ in range(2_000)]) for _ in range(16)]
    for thread in adders:
        thread.start()
    while any(thread.is_alive() for thread in adders):
        _ = cb.total_tokens
    for thread in adders:
        thread.join()

    assert (cb.total_tokens, cb.successful_requests) == (96_000, 32_000)


def test_f60_a_finalizer_that_counts_while_the_lock_is_held_does_not_hang():
    """The collector may run in the middle of a fold."""
    cb = meter(on_unpriced="ignore")
    call = token_meter.Call("x", 0.0, 0.0, "h", "chat", usage=token_meter.Usage(1, 2, 3), status=200)

    class Counting:
        def __del__(self) -> None:
            cb.add(call)
            _ = cb.total_tokens

    with cb._own_lock():
        thing: Any = Counting()
        thing.itself = thing
        del thing
        gc.collect()

    assert cb.total_tokens == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_f61_a_fork_while_a_lock_is_held_does_not_hang_the_child():
    """The child's locks are new."""
    cb = meter()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with cb._own_lock():
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    is_well = False
    child = os.fork()
    if child == 0:
        try:
            is_well = cb.total_tokens == 0
        finally:
            os._exit(0 if is_well else 1)
    done.set()
    holder.join()

    assert os.waitpid(child, 0)[1] == 0


def test_f62_calls_of_a_child_process_are_its_own(tmp_path):
    """They reach the parent through the ledger's run directory, by an environment variable."""
    from token_meter.ledger import RUN_DIR_VARIABLE, Ledger, read_run

    run = Ledger.create(tmp_path)
    code = (
        "from token_meter import Call, Usage\nfrom token_meter.ledger import Ledger\n"
        "Ledger.from_environment().call(Call('c', 1.0, 0.1, 'h', 'chat', usage=Usage(1, 2, 3), status=200))"
    )
    with meter() as cb:
        subprocess.run([sys.executable, "-c", code], env={**os.environ, RUN_DIR_VARIABLE: str(run.run_dir)}, check=True)

    assert cb.total_tokens == 0
    assert [row.call.tokens.total_tokens for row in read_run(run.run_dir)] == [3]


async def test_f65_a_gather_of_fifty_cannot_overshoot(make, simulator):
    """Each call reserves before it leaves; what was refused is on no bill."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test", max_retries=0)
    with meter(max_calls=5, warn_at=None) as cb:
        if make.is_async:
            outcomes = await asyncio.gather(*[shapes.chat(client) for _ in range(50)], return_exceptions=True)
        else:
            with ThreadPoolExecutor(16) as pool:
                futures = [pool.submit(client.chat.completions.create, **shapes.CHAT) for _ in range(50)]
            outcomes = [future.exception() for future in futures]

    assert simulator.bill("sim-test").calls == cb.successful_requests == 5
    assert sum(isinstance(outcome, BudgetExceededError) for outcome in outcomes) == 45


async def test_f67_a_paid_answer_is_never_withheld(make, simulator):
    """The call that breaks the limit is delivered; the next one is refused."""
    client = make.openai(base_url=_at(simulator, "words=200"), api_key="sim-test", max_retries=0)
    with meter(max_tokens=40) as cb:
        small = {**shapes.CHAT, "max_tokens": 1}
        answer = await shapes.result(client.chat.completions.create(**small))
        assert answer.choices
        with pytest.raises(BudgetExceededError):
            for _ in range(50):
                await shapes.result(client.chat.completions.create(**small))

    assert cb.total_tokens == simulator.bill("sim-test").total_tokens
