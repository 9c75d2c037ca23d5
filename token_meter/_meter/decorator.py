"""The decorator form of a meter: a new meter for each call of a function."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import Any

from token_meter.context.stack import push, remove


def metered(function: Any, new_meter: Callable[[str], Any]) -> Any:
    """Wrap *function* (sync, async or a generator) so that each call of it runs in a new meter.

    The meter of a generator is open only while the generator runs. Calls of its consumer between two values do not
    count.
    """
    name = getattr(function, "__qualname__", "metered")

    if _is(inspect.isasyncgenfunction, function):

        @wraps(function)
        async def agen(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            steps = function(*args, **kwargs)
            async with new_meter(name) as meter:
                meter.is_carried = True
                remove(meter)
                send, value = steps.asend, None
                try:
                    while True:
                        push(meter)
                        try:
                            item = await send(value)
                        except StopAsyncIteration:
                            return
                        finally:
                            remove(meter)
                        try:
                            value = yield item
                            send = steps.asend
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            value, send = error, steps.athrow
                finally:
                    push(meter)
                    try:
                        await steps.aclose()
                    finally:
                        remove(meter)

        return agen

    if _is(inspect.isgeneratorfunction, function):

        @wraps(function)
        def gen(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            steps = function(*args, **kwargs)
            with new_meter(name) as meter:
                meter.is_carried = True
                remove(meter)
                send, value = steps.send, None
                try:
                    while True:
                        push(meter)
                        try:
                            item = send(value)
                        except StopIteration as stop:
                            return stop.value
                        finally:
                            remove(meter)
                        try:
                            value = yield item
                            send = steps.send
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            value, send = error, steps.throw
                finally:
                    push(meter)
                    try:
                        steps.close()
                    finally:
                        remove(meter)

        return gen

    if _is(inspect.iscoroutinefunction, function):

        @wraps(function)
        async def coro(*args: Any, **kwargs: Any) -> Any:
            async with new_meter(name):
                return await function(*args, **kwargs)

        return coro

    @wraps(function)
    def plain(*args: Any, **kwargs: Any) -> Any:
        with new_meter(name):
            return function(*args, **kwargs)

    return plain


def _is(kind: Callable[[Any], bool], function: Any) -> bool:
    """Whether *function*, or the `__call__` of a callable object, is of *kind*."""
    return kind(function) or kind(type(function).__call__)
