"""Carries one context variable, and only that, into thread pools of multiprocessing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any

from token_meter.context.carry import carried, started
from token_meter.transports.module_seam import ModuleSeam

# Positions of the functions among the arguments; every other way to submit calls one of these methods.
_SUBMITTERS = {
    "apply_async": (0, 3, 4),
    "_map_async": (0, 4, 5),
    "imap": (0,),
    "imap_unordered": (0,),
}
_NAMES = frozenset({"func", "callback", "error_callback"})


class ThreadPoolSeam(ModuleSeam):
    """Patches the constructor and the submitting methods of multiprocessing's thread pool, not of process pools.

    A task and its callbacks run with the submitter's value, an initializer with the value where the pool is made.
    """

    modules = ("multiprocessing.pool",)

    def _patch_module(self, module: ModuleType) -> None:
        try:
            kind = module.ThreadPool
            self._patches.put(kind, "__init__", self._init)
            for name, places in _SUBMITTERS.items():
                self._patches.put(kind, name, partial(self._submit, kind=kind, places=places))
        except Exception:
            self._runtime.internal_error("install pools")

    def _init(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def init(
            pool: Any, /, processes: Any = None, initializer: Any = None, initargs: Any = (), *args: Any, **kwargs: Any
        ) -> None:
            value = stack.get()
            if value and self._live and callable(initializer):
                initializer = started(stack, value, initializer)
            # The workers start here and outlive the block.
            stack.set(())
            try:
                original(pool, processes, initializer, initargs, *args, **kwargs)
            finally:
                stack.set(value)

        return init

    def _submit(self, original: Callable[..., Any], kind: type, places: tuple[int, ...]) -> Callable[..., Any]:
        stack = self._stack

        @wraps(original)
        def submit(pool: Any, /, *args: Any, **kwargs: Any) -> Any:
            if self._live and stack.get() and isinstance(pool, kind):
                args = tuple(_carried(stack, arg) if place in places else arg for place, arg in enumerate(args))
                kwargs = {name: _carried(stack, arg) if name in _NAMES else arg for name, arg in kwargs.items()}
            return original(pool, *args, **kwargs)

        return submit


def _carried(stack: Any, function: Any) -> Any:
    return carried(stack, function) if callable(function) else function
