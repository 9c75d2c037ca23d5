"""Gives a refusal back to the program where a library turns each exception into one of its own. It knows no call.

LiteLLM maps whatever ends a call by one function, `exception_type`, which several of its modules hold by name. A gate
at `completion` would miss programs that imported that name before their first meter.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter.exceptions import BudgetExceededError, TokenMeterWarning
from token_meter.transports.module_seam import ModuleSeam

_LIBRARY = "litellm"
_MAPS = "exception_type"
_DEEPEST = 32


class TranslationSeam(ModuleSeam):
    """Patches the function that maps exceptions, under each name (litellm 1.74 and 1.110, 2026-11)."""

    modules = (
        _LIBRARY,
        f"{_LIBRARY}.main",
        f"{_LIBRARY}.utils",
        f"{_LIBRARY}.litellm_core_utils.streaming_handler",
    )

    def _patch_module(self, module: ModuleType) -> None:
        try:
            if hasattr(module, _MAPS):  # which loads it, where the package loads names late
                self._patches.put(module, _MAPS, self._mapping)
        except Exception:
            self._runtime.internal_error("install translations")

    def _mapping(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def exception_type(*args: Any, **kwargs: Any) -> Any:
            refusal = None
            if self._live:
                try:
                    refusal = _refusal_in(kwargs["original_exception"] if len(args) < 2 else args[1])
                except Exception:
                    self._runtime.internal_error("translation")
            # What it returns is raised by its caller.
            return original(*args, **kwargs) if refusal is None else refusal

        return exception_type


def _refusal_in(error: BaseException | None) -> BaseException | None:
    """The refusal that *error* is, or was made of.

    One that the program has caught before, and in whose handler it calls again, is no reason of this error: its
    traceback begins in the program, and not in the library.
    """
    for _ in range(_DEEPEST):
        if error is None or isinstance(error, BudgetExceededError | TokenMeterWarning):
            break
        error = error.__cause__ or error.__context__
    else:
        return None
    if error is None or error.__traceback__ is None:
        return None
    where = str(error.__traceback__.tb_frame.f_globals.get("__name__"))
    return error if where.partition(".")[0] == _LIBRARY else None
