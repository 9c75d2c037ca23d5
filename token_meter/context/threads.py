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
    """An empty value for a worker, which outlives the task; *value* is the submitter's, for the initializer only."""

    value: tuple[Any, ...] = ()


class ThreadSeam:
    """Patches `Thread.start`, `ThreadPoolExecutor.submit` and what its workers run.

    This covers `Timer`, `map`, `run_in_executor`, subclasses with their own `run()`, and pools made earlier.
    """

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]]) -> None:
        self._stack = stack
        self._patches = [
            Patch(threading.Thread, "start", self._start),
            Patch(ThreadPoolExecutor, "submit", self._submit),
        ]
        if hasattr(executors, "_worker"):  # private; without it, calls in initializers are not counted
            self._patches.append(Patch(executors, "_worker", self._work))

    def install(self) -> None:
        """Apply the patches; idempotent. Called whenever a first meter opens, so it must be cheap."""
        for patch in self._patches:
            patch.on()

    def uninstall(self) -> None:
        """Remove our patches. One that another patch covers stays; it carries nothing outside of blocks."""
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
                del thread.run  # set on the object below
                stack.set(value)
                run()

            thread.run = carried_run  # type: ignore[method-assign]  # on the object: a subclass may define run() itself
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
            # submit() starts workers. They must not inherit the submitter's value, because they outlive its task.
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
    """The arguments of `_worker` with the initializer wrapped: the third one, since Python 3.14 part of the second."""
    if len(args) < 3:
        return args
    if callable(getattr(args[1], "initializer", None)):
        args[1].initializer = wrap(args[1].initializer)  # made for this one worker
    elif callable(args[2]):
        return (*args[:2], wrap(args[2]), *args[3:])
    return args


def _pickles(pool: Any) -> bool:
    """Whether *pool* runs its tasks in other interpreters (since Python 3.14), where our meters do not exist."""
    module = sys.modules.get("concurrent.futures.interpreter")
    return module is not None and isinstance(pool, module.InterpreterPoolExecutor)
