"""A meter as a decorator: one for each call of a function of any colour, in force only while the function runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from token_meter import current, meter

Seen = list[Any]


def name() -> str | None:
    """The name of the meter in force."""
    found = current()
    return found.name if found is not None else None


@pytest.fixture
def seen() -> Seen:
    """What a generator noticed, in order."""
    return []


def stepping(seen: Seen) -> Any:
    """A generator that tells what it is sent and thrown."""

    @meter("own")
    def steps() -> Generator[Any, Any, str]:
        try:
            while True:
                try:
                    seen.append((name(), (yield name())))
                except KeyError:
                    seen.append("thrown")
                    if len(seen) > 2:
                        return "returned"
        finally:
            seen.append(("end", name()))

    return steps()


def asyncly_stepping(seen: Seen) -> Any:
    """The same, async."""

    @meter("own")
    async def steps() -> AsyncGenerator[Any, Any]:
        try:
            while True:
                try:
                    seen.append((name(), (yield name())))
                except KeyError:
                    seen.append("thrown")
                    if len(seen) > 2:
                        return
        finally:
            seen.append(("end", name()))

    return steps()


def test_f54_a_generators_meter_is_not_its_consumers(seen):
    """Between two values the consumer is in no meter; what is sent and returned passes."""
    steps = stepping(seen)

    assert (next(steps), name()) == ("own", None)
    assert (steps.send("a"), name()) == ("own", None)
    assert (steps.throw(KeyError()), name()) == ("own", None)
    with pytest.raises(StopIteration, match="returned"):
        steps.throw(KeyError())
    assert seen == [("own", "a"), "thrown", "thrown", ("end", "own")]


async def test_f54_an_async_generators_meter_is_not_its_consumers(seen):
    """The same."""
    steps = asyncly_stepping(seen)

    assert (await anext(steps), name()) == ("own", None)
    assert (await steps.asend("a"), name()) == ("own", None)
    assert (await steps.athrow(KeyError()), name()) == ("own", None)
    with pytest.raises(StopAsyncIteration):
        await steps.athrow(KeyError())
    assert seen == [("own", "a"), "thrown", "thrown", ("end", "own")]


def test_a_generator_that_is_left_ends_in_its_meter(seen):
    """`close` runs its `finally` there."""
    steps = stepping(seen)
    next(steps)
    steps.close()

    assert seen == [("end", "own")]
    assert name() is None


async def test_an_async_generator_that_is_left_ends_in_its_meter(seen):
    """The same."""
    steps = asyncly_stepping(seen)
    await anext(steps)
    await steps.aclose()

    assert seen == [("end", "own")]
    assert name() is None


def test_an_exception_of_the_consumer_passes_through(seen):
    """What a generator does not catch, its consumer gets back."""
    steps = stepping(seen)
    next(steps)
    with pytest.raises(ValueError, match="mine"):
        steps.throw(ValueError("mine"))

    assert name() is None


async def test_an_exception_of_an_async_consumer_passes_through(seen):
    """The same."""
    steps = asyncly_stepping(seen)
    await anext(steps)
    with pytest.raises(ValueError, match="mine"):
        await steps.athrow(ValueError("mine"))

    assert name() is None


async def test_functions_of_both_colours_are_named_after_themselves():
    """Unless the meter has a name; each call has a meter of its own."""

    @meter()
    def plain() -> Any:
        return current()

    @meter()
    async def coro() -> Any:
        return current()

    one, two, three = plain(), plain(), await coro()

    assert one is not two
    assert one.name.endswith("plain")
    assert three.name.endswith("coro")
    assert not one.is_open


class Asking:
    """An object that is called as an async function is."""

    async def __call__(self) -> Any:
        return current()


async def test_an_object_with_an_async_call_is_metered_as_an_async_function():
    """The meter is open while it runs, and closed when it has."""
    found = await meter("own", keep_calls=True)(Asking())()

    assert (found.name, found.is_open, current()) == ("own", False, None)


async def test_a_coroutine_that_a_function_hands_on_is_left_as_it_is():
    """It may belong to a task or a queue: what it calls later is late, and says so."""

    async def work() -> str:
        return "done"

    coroutine = work()

    assert meter()(lambda: coroutine)() is coroutine
    assert await coroutine == "done"
