"""Runs a coroutine to its end for a thread that cannot await.

All coroutines run in one event loop in a thread of our own. The caller's thread may have a running loop already, and
`asyncio.run` would leave the main thread without its event loop. A new loop for each call would break handlers that
keep a session or a lock from one call to the next.
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
        """Run *awaitable* in the caller's context and wait for it; raise any exception that it raises."""
        if threading.current_thread() is self._thread:
            # A handler that runs in our loop makes a sync call. To wait here would block the loop for ever.
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
            except BaseException as error:  # SystemExit or KeyboardInterrupt must not end our loop
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
                # In an empty context: the thread outlives the call and must not count for the caller's meters.
                contextvars.Context().run(self._thread.start)
            return self._loop

    def forget(self) -> None:
        """Forget the thread after a fork, because it runs in the parent only."""
        self.__init__()  # type: ignore[misc]  # a thread that the child does not have may hold the lock


LOOP = HelperLoop()
in_child(LOOP.forget)
