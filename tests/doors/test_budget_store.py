"""`token_meter.BudgetStore`: what a store promises, held by the one in memory; a store of your own passes the same."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from token_meter import BudgetStore
from token_meter.budget.store import MemoryBudgetStore, StoreAsk, Units

NONE = Units(None, None, None)


class Clock:
    """Seconds that go up when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Callable[[], float]) -> BudgetStore:
    return MemoryBudgetStore(clock)


def _ask(wanted: int | None, *, key: str = "team", limit: int = 100) -> StoreAsk:
    return StoreAsk(key, NONE._replace(tokens=limit), Units(0, wanted, 1))


def test_a_call_holds_until_it_is_settled_by_what_it_used(store):
    assert store.admit("a", [_ask(60)]) is None
    held = store.read("team")
    store.settle("a", Units(5, 40, 1))

    assert (held.held, held.spent) == (Units(0, 60, 1), Units())
    assert (store.read("team").held, store.read("team").spent) == (Units(), Units(5, 40, 1))


def test_what_would_not_hold_is_refused_and_says_why(store):
    store.admit("a", [_ask(60)])
    refusal = store.admit("b", [_ask(41)])

    assert refusal is not None
    assert (refusal.ask.key, refusal.field, refusal.state.held.tokens) == ("team", "tokens", 60)
    assert store.admit("c", [_ask(40)]) is None


def test_a_refused_call_holds_nothing_in_any_budget(store):
    refusal = store.admit("a", [_ask(50, key="company"), _ask(50, key="team", limit=10)])

    assert refusal is not None
    assert refusal.ask.key == "team"
    assert store.read("company").held == Units()


def test_what_was_not_sent_gives_all_back(store):
    store.admit("a", [_ask(60)])
    store.release("a")

    assert store.read("team") == store.read("another")


def test_each_step_may_be_repeated(store):
    for _ in range(2):
        assert store.admit("a", [_ask(60)]) is None
    assert store.read("team").held.tokens == 60
    for _ in range(2):
        store.settle("a", Units(0, 40, 1))
    assert store.admit("a", [_ask(60)]) is None  # an answer that came late
    store.release("a")

    assert (store.read("team").spent.tokens, store.read("team").held.tokens) == (40, 0)


def test_a_lease_that_ran_out_counts_as_spent_until_it_is_settled(store, clock):
    store.admit("a", [_ask(60)], lease_s=10)
    clock.now = 10
    lost = store.read("team")
    store.settle("a", Units(0, 7, 1))

    assert (lost.held.tokens, lost.spent.tokens, lost.lost.tokens) == (0, 60, 60)
    assert (store.read("team").spent.tokens, store.read("team").lost.tokens) == (7, 0)


def test_calls_of_unknown_size_go_one_at_a_time_below_the_limit(store):
    assert store.admit("a", [_ask(None)]) is None
    assert store.admit("b", [_ask(None)]) is not None
    assert store.admit("c", [_ask(10)]) is None
    store.settle("a", Units(0, 500, 1))

    assert store.admit("d", [_ask(None)]) is not None


def test_threads_never_overspend(store):
    admitted: list[str] = []

    def work(name: int) -> None:
        for n in range(50):
            id = f"{name}-{n}"
            if store.admit(id, [_ask(3)]) is None:
                store.settle(id, Units(0, 2, 1))
                admitted.append(id)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.read("team").spent == Units(0, 2 * len(admitted), len(admitted))
    assert 98 <= store.read("team").spent.tokens <= 100
