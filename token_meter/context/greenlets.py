"""Carries one context variable, and only that, into greenlets of gevent and eventlet.

greenlet 3 starts a greenlet in an empty context. No block is open there: no meter would count the greenlet's calls, and
no limit would stop them.
"""

from __future__ import annotations

import contextvars
import warnings
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter.context.carry import carried
from token_meter.exceptions import BlindSpotWarning
from token_meter.transports.module_seam import ModuleSeam


class GreenletSeam(ModuleSeam):
    """Intercepts each greenlet before it runs: by gevent's spawn callback, and by patching eventlet's constructor.

    This covers `spawn_later`, pools, and the threads of a monkey-patched program. It does not cover
    `gevent.spawn_raw` and plain greenlets.
    """

    modules = ("gevent", "gevent.threadpool", "eventlet.greenthread")

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._hooked: list[Any] = []

    def uninstall(self) -> None:
        """Remove gevent's spawn callback as well."""
        super().uninstall()
        while self._hooked:
            self._hooked.pop().remove_spawn_callback(self._begin)

    def _patch_module(self, module: ModuleType) -> None:
        try:
            if module.__name__ == "gevent":
                module.Greenlet.add_spawn_callback(self._begin)  # its classes are compiled and cannot be patched
                self._hooked.append(module.Greenlet)
            elif module.__name__ == "gevent.threadpool":
                self._patches.put(module.ThreadPool, "spawn", self._pooled)
            else:
                self._patches.put(module.GreenThread, "__init__", self._made)
                self._patches.put(module, "_spawn_n", self._made_raw)
        except Exception as error:
            self._runtime.internal_error("install greenlets")
            msg = (
                f"token_meter cannot follow calls into greenlets of {module.__name__} "
                f"({type(error).__name__}: {error}). What they spend is in no total and under no limit; "
                "a newer token_meter may know this version."
            )
            warnings.warn(msg, BlindSpotWarning, stacklevel=2)

    def _begin(self, greenlet: Any) -> None:
        """Give *greenlet* the value of its starter, unless the program gave it a context of its own."""
        value = self._stack.get()
        if not value or not self._live:
            return
        try:
            if greenlet.gr_context is None:
                context = contextvars.Context()
                context.run(self._stack.set, value)
                greenlet.gr_context = context
        except Exception:
            self._runtime.internal_error("greenlet")

    def _made(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin = self._begin

        @wraps(original)
        def init(greenlet: Any, /, *args: Any, **kwargs: Any) -> None:
            original(greenlet, *args, **kwargs)
            begin(greenlet)

        return init

    def _made_raw(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin = self._begin

        @wraps(original)
        def spawn_n(*args: Any, **kwargs: Any) -> Any:
            made = original(*args, **kwargs)
            begin(made[1])  # with its timer
            return made

        return spawn_n

    def _pooled(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def spawn(pool: Any, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            return original(pool, carried(stack, func), *args, **kwargs)

        return spawn
