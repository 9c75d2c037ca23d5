"""F134: a task of a thread pool belongs to its submitter, however old the pool is."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as executors
from multiprocessing.pool import Pool, ThreadPool
from types import SimpleNamespace
from typing import Any

import pytest

from tests.meter.test_attribution import TOKENS, ask
from token_meter import BudgetExceededError, Meter, meter
from token_meter.context.carry import started
from token_meter.context.stack import CONTEXT_STACK
from token_meter.context.threads import _Starting, _with_initializer

__all__ = ["ask"]

WAYS: dict[str, Callable[[Any, Callable[..., Any]], Any]] = {
    "apply": lambda pool, ask: [pool.apply(ask) for _ in range(4)],
    "apply_async": lambda pool, ask: [it.get() for it in [pool.apply_async(func=ask) for _ in range(4)]],
    "map": lambda pool, ask: pool.map(lambda _: ask(), range(4)),
    "map in chunks": lambda pool, ask: pool.map(lambda _: ask(), range(4), 2),
    "map_async": lambda pool, ask: pool.map_async(lambda _: ask(), range(4)).get(),
    "starmap": lambda pool, ask: pool.starmap(lambda *_: ask(), [(1, 2)] * 4),
    "starmap_async": lambda pool, ask: pool.starmap_async(lambda *_: ask(), [(1, 2)] * 4).get(),
    "imap": lambda pool, ask: list(pool.imap(lambda _: ask(), range(4))),
    "imap in chunks": lambda pool, ask: list(pool.imap(lambda _: ask(), range(4), 2)),
    "imap_unordered": lambda pool, ask: list(pool.imap_unordered(lambda _: ask(), range(4))),
}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())


def _seen(*meters: Meter) -> list[tuple[int, int]]:
    return [(cb.total_tokens, cb.late_calls) for cb in meters]


@each_way
@pytest.mark.parametrize("is_warm", [True, False], ids=["older than both", "made in the first"])
def test_f134_tasks_of_a_thread_pool_belong_to_their_submitter(ask, way, is_warm):
    """In each of two blocks; a task submitted outside of blocks is not counted, and not late."""
    pool = ThreadPool(2) if is_warm else None
    with meter() as first:
        pool = pool or ThreadPool(2)
        way(pool, ask)
    with meter() as second:
        way(pool, ask)
    way(pool, ask)
    pool.terminate()

    assert _seen(first, second) == [(4 * TOKENS, 0)] * 2


@pytest.mark.filterwarnings("ignore::token_meter.BudgetWarning")
def test_f134_a_limit_holds_in_a_warm_thread_pool(ask):
    """Two of four are let in."""
    said: list[str] = []

    def try_it() -> None:
        try:
            ask()
            said.append("ok")
        except BudgetExceededError:
            said.append("refused")

    with ThreadPool(2) as pool, meter(max_calls=2):
        pool.map(lambda _: try_it(), range(4))

    assert sorted(said) == ["ok", "ok", "refused", "refused"]


@pytest.mark.parametrize("by_name", [True, False])
def test_f134_callbacks_of_a_task_belong_to_its_submitter(ask, by_name):
    """They run in a thread of the pool's own, which is as old as the pool."""
    done = threading.Semaphore(0)

    def heard(_: Any) -> None:
        ask()
        done.release()

    def fail() -> None:
        raise ValueError

    with ThreadPool(1) as pool, meter() as cb:
        if by_name:
            pool.apply_async(int, callback=heard)
            pool.apply_async(fail, error_callback=heard)
            pool.map_async(int, "12", callback=heard)
        else:
            pool.apply_async(int, (), {}, heard)
            pool.apply_async(fail, (), {}, None, heard)
            pool.map_async(int, "12", 1, heard)
        for _ in range(3):
            assert done.acquire(timeout=30)

    assert _seen(cb) == [(3 * TOKENS, 0)]


def _with_pool(initializer: Any, *initargs: Any) -> None:
    with ThreadPool(2, initializer, initargs) as pool:
        pool.map(int, "1234")
        pool.close()
        pool.join()  # `terminate`, at the end of the block, waits for no initializer


def _with_pool_by_name(initializer: Any, *initargs: Any) -> None:
    with ThreadPool(processes=2, initargs=initargs, initializer=initializer) as pool:
        pool.map(int, "1234")
        pool.close()
        pool.join()  # `terminate`, at the end of the block, waits for no initializer


def _with_executor(initializer: Any, *initargs: Any) -> None:
    with ThreadPoolExecutor(2, initializer=initializer, initargs=initargs) as pool:
        list(pool.map(int, "1234"))


@pytest.mark.parametrize("run", [_with_pool, _with_pool_by_name, _with_executor])
def test_f134_an_initializer_is_counted(ask, run):
    """Once for each worker."""
    ran: list[int] = []

    def begin(number: int) -> None:
        ask()
        ran.append(number)

    with meter() as cb:
        run(begin, 7)

    assert set(ran) == {7}
    assert _seen(cb) == [(len(ran) * TOKENS, 0)]


def test_f134_an_older_executors_worker_is_counted_where_it_starts(ask):
    """And serves later blocks, and none, as a worker without a meter."""
    seen: list[Any] = []
    with ThreadPoolExecutor(1, initializer=ask) as pool:
        with meter() as first:
            pool.submit(int).result()
        with meter() as second:
            pool.submit(ask).result()
        pool.submit(lambda: seen.append(CONTEXT_STACK.get())).result()
        pool.submit(ask).result()

    assert _seen(first, second) == [(TOKENS, 0), (TOKENS, 0)]
    assert seen == [()]


def test_f134_what_an_initializer_opens_is_the_workers():
    """It stays for the worker's life, and the submitter's block does not."""
    stack: contextvars.ContextVar[tuple[Any, ...]] = contextvars.ContextVar("stack", default=())
    seen: list[Any] = []

    def begin() -> None:
        seen.append(stack.get())
        stack.set((*stack.get(), "own"))

    def worker() -> tuple[Any, ...]:
        started(stack, ("block",), begin)()
        return stack.get()

    assert contextvars.Context().run(worker) == ("own",)
    assert seen == [("block",)]


def test_f134_pools_of_processes_get_their_tasks_as_they_are():
    """They pickle them, which no closure of ours survives."""
    sent: list[Any] = []
    pool = object.__new__(Pool)
    pool._state = "CLOSE"  # or its end complains
    with meter():
        with pytest.raises(ValueError, match="not running"):
            pool.apply_async(int)
        pool._check_running = lambda: sent.append("asked")  # type: ignore[method-assign]
        pool._cache = {}
        pool._taskqueue = SimpleNamespace(put=sent.append)  # type: ignore[assignment]
        pool.apply_async(int)

    assert sent[1][0][0][2] is int


def test_f134_workers_of_every_python_are_known():
    """The third argument of a worker, and since Python 3.14 an attribute of the second; of others nothing is touched."""
    seen: list[str] = []

    def wrap(initializer: Any) -> Any:
        seen.append(initializer)
        return "wrapped"

    context = SimpleNamespace(initializer=int)

    assert _with_initializer(("ref", "queue", int, ()), wrap) == ("ref", "queue", "wrapped", ())
    assert _with_initializer(("ref", context, "queue"), wrap) == ("ref", context, "queue")
    assert context.initializer == "wrapped"
    assert seen == [int, int]
    for args in (("ref", "queue", None, ()), ("ref", SimpleNamespace(initializer=None), "queue"), ("ref",)):
        assert _with_initializer(args, wrap) == args
    assert _Starting() == ()
    assert hasattr(executors, "_worker")
