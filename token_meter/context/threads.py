"""Carries one context variable, and only that, into threads and thread pools."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as executors
from functools import wraps
from typing import Any

from token_meter.context.carry import carried, started
from token_meter.patching.patch import Patch


class _Starting(tuple):  # type: ignore[type-arg]  # an empty one
    """The worker's initial value: none, because it outlives the task. Its initializer may run with the submitter's."""

    value: tuple[Any, ...] = ()


class ThreadSeam:
    """Patches `Thread.start`, `ThreadPoolExecutor.submit` and what its workers run.

    Reached through them: `Timer`, `map`, `run_in_executor`, subclasses with a `run()` of their own, pools made earlier.
    """

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]]) -> None:
        self._stack = stack
        self._patches = [
            Patch(threading.Thread, "start", self._start),
            Patch(ThreadPoolExecutor, "submit", self._submit),
        ]
        if hasattr(executors, "_worker"):  # private: without it initializers are not reached
            self._patches.append(Patch(executors, "_worker", self._work))

    def install(self) -> None:
        """Patch all; idempotent. Called for every first meter, so it is cheap."""
        for patch in self._patches:
            patch.on()

    def uninstall(self) -> None:
        """Remove the patches that are still ours. A shim that stays carries an open block's variable, or nothing."""
        for patch in self._patches:
            patch.off()

    def _start(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def start(thread: threading.Thread, /, *args: Any, **kwargs: Any) -> Any:
            value = stack.get()
            if not value and type(value) is not _Starting:
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
            # submit() starts workers itself. They must not inherit the submitter's value: they outlive its task.
            start: tuple[Any, ...] = ()
            if value:
                start = _Starting()
                start.value = value
            stack.set(start)
            try:
                return original(pool, task, *args, **kwargs)
            finally:
                stack.set(value)

        return submit

    def _work(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def worker(*args: Any) -> None:
            start = stack.get()
            if type(start) is _Starting:
                stack.set(())
                args = _with_initializer(args, lambda initializer: started(stack, start.value, initializer))
            original(*args)

        return worker


def _with_initializer(args: tuple[Any, ...], wrap: Callable[[Any], Any]) -> tuple[Any, ...]:
    """What a worker is given, with its initializer wrapped: the third, and since Python 3.14 in the second."""
    if len(args) < 3:
        return args
    if callable(getattr(args[1], "initializer", None)):
        args[1].initializer = wrap(args[1].initializer)  # made for this one worker
    elif callable(args[2]):
        return (*args[:2], wrap(args[2]), *args[3:])
    return args


def _pickles(pool: Any) -> bool:
    """Whether *pool* takes its tasks to other interpreters (since Python 3.14), where no meter of ours is."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(pool, module.InterpreterPoolExecutor)
