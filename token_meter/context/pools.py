"""Carries one context variable, and only that, into thread pools of multiprocessing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from types import ModuleType
from typing import Any

from token_meter.context.carry import carried, started
from token_meter.transports.module_seam import ModuleSeam

# Where the functions stand among the arguments; all other ways to submit lead through these.
_SUBMITTERS = {
    "apply_async": (0, 3, 4),
    "_map_async": (0, 4, 5),
    "imap": (0,),
    "imap_unordered": (0,),
}
_NAMES = frozenset({"func", "callback", "error_callback"})


class ThreadPoolSeam(ModuleSeam):
    """Patches how a thread pool of multiprocessing is made and takes tasks; pools of processes stay as they are.

    A task and its callbacks belong to their submitter, an initializer to the block that its pool is made in.
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
