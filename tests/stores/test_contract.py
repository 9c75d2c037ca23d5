"""What a budget store promises (`token_meter.BudgetStore`), for each engine. A store of your own passes the same."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.stores.conftest import START_MS, Engine
from token_meter import BudgetStore
from token_meter.stores.protocol import (
    LATE_MS,
    LEASE_MS,
    REPEAT_MS,
    Charge,
    LeaseRequest,
    Settlement,
    StoreAsk,
    StoreError,
    StoreState,
    Units,
    Window,
)  # fmt: skip

NO_LIMIT = Units(None, None, None)
TEAM = Window("team")


def ask(wanted: int | None, *, window: Window = TEAM, limit: int | None = 100, is_enforced: bool = True) -> StoreAsk:
    """A call of *wanted* tokens, in a budget of *limit* tokens."""
    return StoreAsk(window, NO_LIMIT._replace(tokens=limit), Units(0, wanted, 1), is_enforced)


def reserve(store: BudgetStore, id: str, *asks: StoreAsk, lease_ms: int = LEASE_MS, epoch: str = "") -> str:
    """Ask for a call; the status."""
    return store.step((), LeaseRequest(id, asks, lease_ms), epoch).status


def settle(store: BudgetStore, id: str, tokens: int | None, *windows: Window) -> None:
    """End a call that used *tokens*; `None`: it was not sent."""
    used = () if tokens is None else tuple(Charge(w, Units(0, tokens, 1)) for w in windows or (TEAM,))
    store.step([Settlement(id, used)], None)


def state(store: BudgetStore, window: Window = TEAM) -> StoreState:
    """The state of one window."""
    return store.read([window]).states[0]


def test_a_call_holds_until_it_is_settled_by_what_it_used(store: BudgetStore) -> None:
    assert reserve(store, "a", ask(60)) == "done"
    held = state(store)
    settle(store, "a", 40)

    assert (held.held, held.spent) == (Units(0, 60, 1), Units())
    assert (state(store).held, state(store).spent) == (Units(), Units(0, 40, 1))


def test_what_does_not_fit_is_refused_and_says_why(store: BudgetStore) -> None:
    reserve(store, "a", ask(60))
    refused = store.step((), LeaseRequest("b", (ask(41),)))

    assert (refused.status, refused.exceeded) == ("refused", ((0, "tokens"),))
    assert refused.states[0].held.tokens == 60
    assert reserve(store, "c", ask(40)) == "done"


def test_a_refused_call_holds_nothing_in_any_budget(store: BudgetStore) -> None:
    company = Window("company")
    refused = store.step((), LeaseRequest("a", (ask(50, window=company), ask(50, limit=10))))

    assert refused.exceeded == ((1, "tokens"),)
    assert state(store, company) == state(store) == StoreState()


def test_a_limit_that_is_not_enforced_lets_pass_and_says_so(store: BudgetStore) -> None:
    passed = store.step((), LeaseRequest("a", (ask(50, limit=10, is_enforced=False),)))

    assert (passed.status, passed.exceeded) == ("done", ((0, "tokens"),))
    assert state(store).held.tokens == 50


def test_what_was_not_sent_gives_all_back(store: BudgetStore) -> None:
    reserve(store, "a", ask(60))
    settle(store, "a", None)

    assert state(store) == state(store, Window("another"))


def test_each_step_may_be_repeated(store: BudgetStore) -> None:
    for _ in range(2):
        assert reserve(store, "a", ask(60)) == "done"
    assert state(store).held.tokens == 60
    for _ in range(2):
        settle(store, "a", 40)
    assert reserve(store, "a", ask(60)) == "done"  # whose answer came late
    settle(store, "a", None)

    assert (state(store).spent.tokens, state(store).held.tokens) == (40, 0)


def test_a_call_that_is_settled_before_its_request_arrives_holds_nothing(store: BudgetStore) -> None:
    """A client that had no answer gives up and releases; the request may still be on its way."""
    settle(store, "a", None)
    reserve(store, "a", ask(60))

    assert state(store) == StoreState()


def test_a_call_that_reserved_nowhere_is_added_by_its_settlement(store: BudgetStore) -> None:
    """It was sent while the store was down."""
    for _ in range(2):
        settle(store, "a", 40)

    assert state(store).spent == Units(0, 40, 1)


def test_one_step_settles_and_then_reserves(store: BudgetStore) -> None:
    reserve(store, "a", ask(100))
    ended = Settlement("a", (Charge(TEAM, Units(0, 30, 1)),))

    assert store.step([ended], LeaseRequest("b", (ask(70),))).status == "done"
    assert (state(store).spent.tokens, state(store).held.tokens) == (30, 70)


def test_f125_a_lease_that_ran_out_counts_as_spent_until_it_is_settled(engine: Engine) -> None:
    store = engine.store
    reserve(store, "a", ask(60), lease_ms=10_000)
    engine.advance(10_000)
    lost = state(store)
    for _ in range(2):
        settle(store, "a", 7)

    assert (lost.held.tokens, lost.spent.tokens, lost.lost.tokens) == (0, 60, 60)
    assert (state(store).spent, state(store).lost) == (Units(0, 7, 1), Units())


def test_f125_a_lease_that_ran_out_while_no_one_called_holds_nothing_either(engine: Engine) -> None:
    store = engine.store
    reserve(store, "a", ask(60), lease_ms=10_000)
    engine.advance(LEASE_MS + LATE_MS + REPEAT_MS)

    assert (state(store).held.calls, state(store).lost.tokens, state(store).spent.tokens) == (0, 60, 60)


def test_calls_of_unknown_size_go_one_at_a_time_below_the_limit(engine: Engine) -> None:
    store = engine.store
    assert reserve(store, "a", ask(None), lease_ms=10_000) == "done"
    assert reserve(store, "b", ask(None)) == "refused"
    assert reserve(store, "c", ask(10)) == "done"
    engine.advance(10_000)  # the process of the first one was killed
    assert reserve(store, "d", ask(None)) == "done"
    settle(store, "d", 500)

    assert reserve(store, "e", ask(None)) == "refused"


def test_a_call_that_needs_nothing_fits_over_the_limit(store: BudgetStore) -> None:
    settle(store, "a", 500)

    assert reserve(store, "b", ask(0)) == "done"
    assert reserve(store, "c", ask(1)) == "refused"


def test_a_window_counts_apart_and_a_call_stays_in_the_one_in_which_it_reserved(engine: Engine) -> None:
    store = engine.store
    first = Window("team", START_MS, START_MS + 60_000)
    second = Window("team", START_MS + 60_000, START_MS + 120_000)
    reserve(store, "a", ask(100, window=first))
    assert reserve(store, "b", ask(100, window=second)) == "moved"
    engine.advance(60_000)
    assert reserve(store, "b", ask(100, window=first)) == "moved"
    assert reserve(store, "b", ask(100, window=second)) == "done"
    settle(store, "a", 90, first)

    assert (state(store, first).spent.tokens, state(store, first).held.tokens) == (90, 0)
    assert (state(store, second).spent.tokens, state(store, second).held.tokens) == (0, 100)


def test_a_rolling_window_counts_the_ones_before_it(engine: Engine) -> None:
    store = engine.store
    hour = [Window("team", START_MS + n * 60_000, START_MS + (n + 1) * 60_000, 2) for n in range(4)]
    settle(store, "a", 80, hour[0])
    statuses = []
    for n, window in enumerate(hour):
        statuses.append(reserve(store, f"b{n}", ask(30, window=window)))
        engine.advance(60_000)

    assert statuses == ["refused", "refused", "refused", "done"]


@pytest.mark.parametrize("amount", [2**53 + 1, 9_000_000_000_000_001])
def test_amounts_are_exact_beyond_what_a_double_holds(store: BudgetStore, amount: int) -> None:
    store.step([Settlement("a", (Charge(TEAM, Units(amount, 1, 1)),))], None)
    store.step([Settlement("b", (Charge(TEAM, Units(1, 1, 1)),))], None)

    assert state(store).spent.nano_usd == amount + 1


def test_a_store_that_was_flushed_reserves_nothing_until_its_epoch_is_accepted(engine: Engine) -> None:
    store = engine.store
    before = store.read([]).epoch
    assert reserve(store, "a", ask(10), epoch=before) == "done"
    engine.flush()

    assert reserve(store, "b", ask(10), epoch=before) == "flushed"
    settle(store, "a", 10)  # what was paid counts all the same
    assert state(store).spent.tokens == 10
    store.put(TEAM, Units(5, 50, 3))
    assert reserve(store, "b", ask(10), epoch=before) == "done"
    assert state(store).spent == Units(5, 50, 3)


def test_what_is_put_takes_the_place_of_what_was_spent_and_lost(engine: Engine) -> None:
    store = engine.store
    settle(store, "old", 30)
    reserve(store, "dead", ask(20), lease_ms=1000)
    engine.advance(1000)
    reserve(store, "flying", ask(20))
    for _ in range(2):
        store.put(TEAM, Units(0, 44, 2))
    settle(store, "dead", 9)  # it was part of the 44

    assert (state(store).spent, state(store).held, state(store).lost) == (Units(0, 44, 2), Units(0, 20, 1), Units())
    settle(store, "flying", 6)
    assert state(store).spent == Units(0, 50, 3)


def test_all_budgets_and_leases_can_be_listed(engine: Engine) -> None:
    store = engine.store
    today = Window("customer: 7", START_MS, START_MS + 1000)
    asked = ask(None, window=today)._replace(definition='{"max_tokens": 100}')
    reserve(store, "a", asked, ask(5), lease_ms=5000)
    reserve(store, "b", ask(6), lease_ms=6000)
    engine.advance(5000)

    rows = store.budgets()
    assert [(row.name, row.definition, [w for w, _ in row.windows]) for row in rows] == [
        ("customer: 7", '{"max_tokens": 100}', [today]),
        ("team", "", [TEAM]),
    ]
    assert rows[1].windows[0][1] == state(store)
    assert store.leases() == [
        ("a", START_MS + 5000, True, (Charge(today, Units(0, None, 1)), Charge(TEAM, Units(0, 5, 1)))),
        ("b", START_MS + 6000, False, (Charge(TEAM, Units(0, 6, 1)),)),
    ]


def test_threads_never_overspend(store: BudgetStore) -> None:
    admitted: list[str] = []

    def work(name: int) -> None:
        for n in range(30):
            if reserve(store, f"{name}-{n}", ask(3)) == "done":
                settle(store, f"{name}-{n}", 2)
                admitted.append(f"{name}-{n}")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert state(store).spent == Units(0, 2 * len(admitted), len(admitted))
    assert 98 <= state(store).spent.tokens <= 100


def test_tasks_of_one_loop_never_overspend_and_each_loop_has_its_connections(redis_engine: Engine) -> None:
    store = redis_engine.store

    async def one(name: str) -> str:
        return str((await store.astep((), LeaseRequest(name, (ask(10),)))).status)

    async def many(loop: int) -> list[str]:
        return await asyncio.gather(*(one(f"{loop}-{n}") for n in range(8)))

    found = [status for loop in range(2) for status in asyncio.run(many(loop))]
    assert found.count("done") == 10
    assert found.count("refused") == 6


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_store_of_another_version_says_so(request: pytest.FixtureRequest, kind: str) -> None:
    engine = request.getfixturevalue(f"{kind}_engine")
    store = engine.store
    reserve(store, "a", ask(1))
    if kind == "sqlite":
        store._connection.execute("update meta set value = '9' where name = 'version'")
    else:
        engine._client.hset(f"{{token_meter:{engine.namespace}}}:meta", "version", "9")

    assert store.step((), LeaseRequest("b", (ask(1),)))[::2] == ("version", "9", ())
    for step in (store.budgets, store.leases, lambda: store.put(TEAM, Units())):
        with pytest.raises(StoreError, match="version '9'.*version '1'"):
            step()
