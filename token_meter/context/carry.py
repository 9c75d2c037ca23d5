"""Runs a function with the context variable of its submitter."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, TypeAlias

Stack: TypeAlias = contextvars.ContextVar[tuple[Any, ...]]


def carried(stack: Stack, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap *function* to run with the current value of *stack*, and to restore the worker's own value afterwards."""
    value = stack.get()

    def run(*args: Any, **kwargs: Any) -> Any:
        before = stack.get()
        stack.set(value)
        try:
            return function(*args, **kwargs)
        finally:
            stack.set(before)

    return run


def started(stack: Stack, value: tuple[Any, ...], initializer: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a worker's *initializer* to run with *value* in *stack*; meters that it opens stay open in the worker."""

    def run(*args: Any, **kwargs: Any) -> Any:
        stack.set(value)
        try:
            return initializer(*args, **kwargs)
        finally:
            now = stack.get()
            if now[: len(value)] == value:
                stack.set(now[len(value) :])

    return run
