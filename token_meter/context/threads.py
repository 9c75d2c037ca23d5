"""Carries one context variable, and only that, into threads and thread pools. It knows nothing of its value."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

from token_meter.context.carry import carried
from token_meter.patching.patch import Patch


class ThreadSeam:
    """Patches `Thread.start` and `ThreadPoolExecutor.submit`.

    Reached through them: `Timer`, `map`, `run_in_executor`, subclasses with a `run()` of their own, pools made earlier.
    """

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]]) -> None:
        self._stack = stack
        self._start_patch = Patch(threading.Thread, "start", self._start)
        self._submit_patch = Patch(ThreadPoolExecutor, "submit", self._submit)

    def install(self) -> None:
        """Patch both; idempotent. Called for every first meter, so it is cheap."""
        self._start_patch.on()
        self._submit_patch.on()

    def uninstall(self) -> None:
        """Put back what is still ours. A shim that stays carries the variable of a block that is open, or nothing."""
        self._start_patch.off()
        self._submit_patch.off()

    def _start(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def start(thread: threading.Thread, /, *args: Any, **kwargs: Any) -> Any:
            value = stack.get()
            if not value:
                return original(thread, *args, **kwargs)
            run = thread.run

            def carried_run() -> None:
                del thread.run  # ours, put on the object below
                stack.set(value)
                run()

            thread.run = carried_run  # type: ignore[method-assign]  # the one place that a subclass's own run() passes
            try:
                return original(thread, *args, **kwargs)
            except BaseException:
                thread.__dict__.pop("run", None)
                raise

        return start

    def _submit(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def submit(pool: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            value = stack.get()
            task = fn if _pickles(pool) else carried(stack, fn)
            # submit() starts workers itself. They must not inherit what this submitter has: a worker lives on.
            stack.set(())
            try:
                return original(pool, task, *args, **kwargs)
            finally:
                stack.set(value)

        return submit


def _pickles(pool: Any) -> bool:
    """Whether *pool* takes its tasks to other interpreters (since Python 3.14), where no meter of ours is."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(pool, module.InterpreterPoolExecutor)
