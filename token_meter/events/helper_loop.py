"""Runs a coroutine to its end for a thread that cannot await.

All run in one loop of one thread of our own. Not in the caller's thread: a loop may be running there already, and
`asyncio.run` would leave the main thread without its event loop. Not in a new loop each time: what a handler opened
in one call, a session or a lock, it can use in the next.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable
from typing import Any

from token_meter._fork import in_child


class HelperLoop:
    """A thread with an event loop, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, awaitable: Awaitable[Any]) -> None:
        """Wait until *awaitable* is done, in the caller's context; raise what it raised, whatever that is."""
        if threading.current_thread() is self._thread:
            # A handler in our own loop makes a sync call of its own: waiting here would never end.
            HelperLoop().run(awaitable)
            return
        loop = self._running()
        context = contextvars.copy_context()
        done = threading.Event()
        raised: list[BaseException] = []
        tasks: list[asyncio.Task[None]] = []

        async def finish() -> None:
            try:
                await awaitable
            except BaseException as error:  # an exit or interrupt must not end the loop, which is not the caller's
                raised.append(error)
            finally:
                done.set()

        def start() -> None:
            tasks.append(loop.create_task(finish(), context=context))

        loop.call_soon_threadsafe(start)
        try:
            done.wait()
        except BaseException:
            loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks])
            raise
        if raised:
            try:
                raise raised[0]
            finally:
                raised.clear()  # no cycle through the traceback

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="token_meter", daemon=True)
                # Started outside every block: the thread lives on and must not carry this caller's meters.
                contextvars.Context().run(self._thread.start)
            return self._loop

    def forget(self) -> None:
        """Forget the thread after a fork: it stayed with the parent."""
        self.__init__()  # type: ignore[misc]  # the lock may be held by a thread that is gone


LOOP = HelperLoop()
in_child(LOOP.forget)
