"""Random programs of steps say the same on every engine as on the plainest one, answer by answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.stores.conftest import START_MS, Engine, InMemory
from token_meter.stores.protocol import Charge, LeaseRequest, Settlement, StoreAsk, Units, Window

MINUTE = 60_000
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
AMOUNT = st.none() | st.sampled_from([0, 1, 7, 40, 2**40])
WANTED = st.builds(Units, AMOUNT, AMOUNT, st.just(1))
LIMIT = st.builds(Units, AMOUNT, AMOUNT, st.none() | st.integers(0, 3))
USED = st.builds(Units, *[st.sampled_from([0, 1, 9, 50, 2**41])] * 2, st.integers(0, 1))
PLACE = st.sampled_from([("total", 0), ("minute", 0), ("minute", 1), ("rolling", 0)])  # 1: the window before this one
RESERVE = st.tuples(
    st.just("reserve"), IDS, st.lists(st.tuples(PLACE, LIMIT, WANTED, st.booleans()), min_size=1, max_size=3, unique_by=lambda a: a[0]),
    st.sampled_from([1000, 30_000, 90_000]),
)  # fmt: skip
SETTLE = st.tuples(st.just("settle"), IDS, st.lists(st.tuples(PLACE, USED), max_size=3, unique_by=lambda a: a[0]))
ADVANCE = st.tuples(st.just("advance"), st.sampled_from([1, 1000, 29_999, 61_000]))
PUT = st.tuples(st.just("put"), PLACE, USED)
PROGRAM = st.lists(RESERVE | RESERVE | SETTLE | SETTLE | ADVANCE | PUT, min_size=1, max_size=15)


def window_of(place: tuple[str, int], now_ms: int) -> Window:
    """The window of a place at this time."""
    kind, ago = place
    if kind == "total":
        return Window(kind)
    start = now_ms - now_ms % MINUTE - ago * MINUTE
    return Window(kind, start, start + MINUTE, 2 if kind == "rolling" else 0)


def outcomes(engine: Engine, program: list[tuple[Any, ...]]) -> Iterator[Any]:
    """What a store says at each step, but for the epoch, and what it keeps in the end."""
    engine.clear()
    engine.advance(START_MS - engine.now_ms)
    store = engine.store
    taken: dict[str, list[Window]] = {}
    for action, *rest in program:
        now = engine.now_ms
        if action == "advance":
            engine.advance(rest[0])
        elif action == "put":
            place, used = rest
            store.put(window_of(place, now), used)
        elif action == "settle":
            id, places = rest
            charges = [Charge(window_of(place, now), used) for place, used in places]
            if id in taken:  # a client settles what it has reserved
                charges = [Charge(window, used) for window, (_, used) in zip(taken[id], charges, strict=False)]
            yield store.step([Settlement(id, tuple(charges))], None)._replace(epoch="")
        else:
            id, asked, lease_ms = rest
            asks = tuple(StoreAsk(window_of(place, now), *more, "x") for place, *more in asked)
            answer = store.step((), LeaseRequest(id, asks, lease_ms))
            if answer.status == "done":
                taken.setdefault(id, [ask.window for ask in asks])
            yield answer._replace(epoch="")
        now = engine.now_ms
        yield store.read([window_of(place, now) for place in (("total", 0), ("minute", 0), ("rolling", 0))]).states
    yield store.leases()
    yield store.budgets()


@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_random_programs_say_the_same_as_the_model(request: pytest.FixtureRequest, kind: str) -> None:
    tried: Engine = request.getfixturevalue(f"{kind}_engine")
    model = InMemory()

    few = 100 if settings.default.derandomize else settings.default.max_examples  # `make soak` tries 10,000

    @settings(max_examples=few, suppress_health_check=list(HealthCheck))
    @given(PROGRAM)
    def compare(program: list[tuple[Any, ...]]) -> None:
        for mine, theirs in zip(outcomes(model, program), outcomes(tried, program), strict=True):
            assert theirs == mine

    compare()
