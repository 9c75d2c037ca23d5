"""Work that would hold up an event loop, done in a thread of ours while the loop goes on.

The threads are daemons: none delays the end of a program. They import modules, and a child that is forked meanwhile
would wait for ever for the import lock of a thread that it does not have: so a fork waits until they are done.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any, NamedTuple, Protocol, TypeVar

T = TypeVar("T")

_FORK_WAIT_S = 5.0
_LOOPS = ("asyncio/base_events.py", "asyncio/runners.py", "trio/_core/_run.py")
_busy: set[threading.Thread] = set()


class _Event(Protocol):
    def set(self) -> object:
        """Wake the task that waits."""

    async def wait(self) -> object:
        """Wait until it is set."""


class _Waiting(NamedTuple):
    """What the task that runs now can wait for, and how another thread wakes it."""

    event: _Event
    post: Callable[[Callable[[], object]], object]


def is_on_loop() -> bool:
    """Whether the code that runs now holds up an event loop of asyncio or trio."""
    return _waiting() is not None


def is_a_loop_running() -> bool:
    """Whether an event loop runs in any thread of this process. Reads each thread's stack: ask it rarely."""
    for frame in sys._current_frames().values():
        inner: Any = frame
        while inner is not None:
            if inner.f_code.co_filename.replace("\\", "/").endswith(_LOOPS):
                return True
            inner = inner.f_back
    return False


async def aside(work: Callable[[], T]) -> T:
    """Return what *work* returns, or raise what it raises. The task waits, the loop does not."""
    waiting = _waiting()
    if waiting is None:
        return work()
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - it is raised in the task that waits
            failed.append(error)
        try:
            waiting.post(waiting.event.set)
        except RuntimeError:  # the loop is closed, and nothing waits any more
            failed.clear()

    if not _started(run):
        return work()
    await waiting.event.wait()
    if failed:
        try:
            raise failed[0]
        finally:
            failed.clear()  # no cycle through the traceback
    return done[0]


def begin(work: Callable[[], object]) -> None:
    """Let *work*, which never raises, be done some time soon; not at all while other work is under way."""
    if not _busy and not _started(work):
        work()


def _started(work: Callable[[], object]) -> bool:
    """Start a thread for *work*, outside of all meters; return whether there is one."""

    def run() -> None:
        try:
            work()
        finally:
            _busy.discard(thread)

    thread = threading.Thread(target=run, name="token_meter", daemon=True)
    _busy.add(thread)
    try:
        Context().run(thread.start)
    except RuntimeError:  # no more threads, or the interpreter ends
        _busy.discard(thread)
        return False
    return True


def _waiting() -> _Waiting | None:
    trio = sys.modules.get("trio")
    if trio is not None:
        try:
            return _Waiting(trio.Event(), trio.lowlevel.current_trio_token().run_sync_soon)
        except (AttributeError, RuntimeError):  # not in a task of trio
            pass
    asyncio = sys.modules.get("asyncio")
    loop = asyncio._get_running_loop() if asyncio is not None else None
    return None if loop is None or asyncio is None else _Waiting(asyncio.Event(), loop.call_soon_threadsafe)


def _finish() -> None:
    """Wait for our threads; not for ever, because one may wait for something that the forking thread holds."""
    for thread in tuple(_busy):
        if thread is not threading.current_thread():
            thread.join(_FORK_WAIT_S)


if sys.platform != "win32":
    os.register_at_fork(before=_finish, after_in_child=_busy.clear)
