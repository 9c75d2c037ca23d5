"""Budgets that outlast a meter, as programs meet them: over the real SDK, on each engine."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

import token_meter
from tests.budget.any_openai import ANSWER, ASK, BOOK, PROMPT, Server, library
from tests.providers.fake_server import FakeServer, Reply
from tests.stores import servers
from token_meter import Budget, BudgetExceededError, BudgetStoreError, BudgetWarning, ConfigError, meter
from token_meter.budget import store_client
from token_meter.budget.amounts import Amounts
from token_meter.budget.shared import client_of
from token_meter.prices import PriceBook
from token_meter.stores import MemoryBudgetStore, Units
from token_meter.stores.redis import RedisBudgetStore

ONE = PROMPT + ANSWER
ONE_COST = Decimal("0.0000312")
_names = iter(range(10_000))


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, patient: None) -> Iterator[Any]:
    """Each engine, with the real clock."""
    if request.param == "memory":
        yield MemoryBudgetStore()
        return
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path}/b.db"
    else:
        address = f"{request.getfixturevalue('server').url}?namespace=shared{next(_names)}"
    found = client_of(address).store
    yield found
    found.close()


def quiet(*budgets: Budget, **more: Any) -> Any:
    """A meter that does not warn of what is nearly spent."""
    return meter(budgets=budgets, prices=BOOK, warn_at=None, **more)


def ask(client: Any, **changes: Any) -> Any:
    """One call."""
    return client.chat.completions.create(**{**ASK, **changes})


def asks(times: int, server: Server | None = None) -> None:
    """Some calls, one after another."""
    for _ in range(times):
        ask((server or Server()).sync())


@pytest.mark.parametrize(
    ("limits", "field"),
    [({"max_cost": ONE_COST * 2}, "cost"), ({"max_tokens": ONE * 2}, "tokens"), ({"max_calls": 2}, "calls")],
    ids=["cost", "tokens", "calls"],
)
def test_a_budget_holds_over_meters_one_after_another(store: Any, limits: Any, field: str) -> None:
    server = Server()
    for _ in range(2):
        with quiet(Budget("team", store=store, **limits)):
            ask(server.sync())
    with quiet(Budget("team", store=store, **limits)) as cb, pytest.raises(BudgetExceededError) as caught:
        ask(server.sync())

    (limit,) = limits.values()
    assert server.seen == 2
    assert (caught.value.meter, caught.value.field, caught.value.limit) == (cb, field, limit)
    assert (caught.value.spent, caught.value.reserved, caught.value.wanted) == (limit, 0, limit / 2)
    assert str(caught.value).startswith("budget 'team' (in total) is limited to ")


def test_what_a_call_used_takes_the_place_of_what_it_held(store: Any) -> None:
    team = Budget("team", max_cost=1, max_tokens=10_000, store=store)
    server = Server()
    with quiet(team) as cb:
        ask(server.sync(), max_tokens=500)

    state = team.read()
    assert state.spent == Amounts(cb.cost, cb.total_tokens, 1) == Amounts(ONE_COST, ONE, 1)
    assert (state.held, state.lost) == (Amounts(Decimal(0), 0, 0),) * 2
    assert team.remaining == Amounts(1 - ONE_COST, 10_000 - ONE, None)


def test_async_calls_await_the_store(store: Any) -> None:
    server = Server()
    team = Budget("team", max_calls=5, store=store)

    async def main() -> list[Any]:
        client = server.asyn()
        with quiet(team):
            return await asyncio.gather(*(ask(client) for _ in range(64)), return_exceptions=True)

    found = asyncio.run(main())
    assert server.seen == 5
    assert [type(one) for one in found if isinstance(one, Exception)] == [BudgetExceededError] * 59
    assert team.read()[:2] == (Amounts(ONE_COST * 5, ONE * 5, 5), Amounts(Decimal(0), 0, 0))


def test_a_call_fits_into_all_budgets_or_holds_in_none(store: Any) -> None:
    server = Server()
    wide, tight = Budget("company", max_calls=5, store=store), Budget("team", max_calls=0, store=store)
    elsewhere = Budget("there", max_calls=5, store=MemoryBudgetStore())
    with quiet(elsewhere), quiet(wide), quiet(tight), pytest.raises(BudgetExceededError, match="'team'"):
        ask(server.sync())

    assert server.seen == 0
    assert wide.read().held.calls == elsewhere.read().held.calls == elsewhere.read().spent.calls == 0


def test_two_meters_that_name_one_budget_count_a_call_once_under_the_lower_limit(store: Any) -> None:
    server = Server()
    with quiet(Budget("team", max_calls=9, store=store)), quiet(Budget("team", max_calls=1, store=store)):
        ask(server.sync())
        with pytest.raises(BudgetExceededError, match="limited to 1 call"):
            ask(server.sync())

    assert Budget("team", max_calls=9, store=store).read().spent.calls == 1


def test_attempts_of_one_call_are_one_call(store: Any) -> None:
    server = Server(failures=2)
    team = Budget("team", max_calls=1, store=store)
    with quiet(team):
        ask(server.sync(max_retries=2))

    assert server.seen == 3
    assert team.read().spent == Amounts(ONE_COST, ONE, 1)


def test_a_stream_is_settled_at_its_end(store: Any) -> None:
    team = Budget("team", max_tokens=1000, store=store)
    with quiet(team):
        stream = ask(Server().sync(), stream=True)
        held = store.read([team.period.window("team", 0)]).states[0].held.tokens
        list(stream)
        spent = store.read([team.period.window("team", 0)]).states[0].spent.tokens

    assert (held, spent) == (ONE, ONE)


def test_an_async_stream_is_settled_at_its_end(store: Any) -> None:
    team = Budget("team", max_tokens=1000, store=store)

    class Body(library.AsyncByteStream):  # type: ignore[misc,name-defined]
        async def __aiter__(self) -> Any:
            from tests.budget.any_openai import EVENTS

            for event in EVENTS:
                yield event

    async def main() -> None:
        server = Server()

        async def answer(request: Any) -> Any:
            return library.Response(200, headers={"content-type": "text/event-stream"}, stream=Body())

        client = server.asyn()
        client._client._transport.handler = answer
        with quiet(team):
            async for _ in await ask(client, stream=True):
                pass

    asyncio.run(main())
    assert store.read([team.period.window("team", 0)]).states[0].spent.tokens == ONE


def test_a_stream_that_is_dropped_waits_in_the_queue_and_is_settled_by_the_next_step(store: Any) -> None:
    team = Budget("team", max_tokens=1000, store=store)
    with quiet(team):
        ask(Server().sync(), stream=True)
        gc.collect()
        assert team.client.has_waiting
        ask(Server().sync())

    assert not team.client.has_waiting
    assert team.read().held.tokens == 0
    assert team.read().spent.calls == 2


def test_a_client_without_a_gate_is_limited_too(store: Any) -> None:
    """httpx itself, sync and async: the store is asked by the transport."""
    server = Server()
    team = Budget("team", max_calls=2, store=store)
    url = "http://budget.test/v1/chat/completions"

    async def main() -> None:
        async def answer(request: Any) -> Any:
            return server(request)

        async with library.AsyncClient(transport=library.MockTransport(answer)) as client:
            await client.post(url, json=ASK)
            with pytest.raises(BudgetExceededError):
                await client.post(url, json=ASK)

    with quiet(team):
        library.Client(transport=library.MockTransport(server)).post(url, json=ASK)
        asyncio.run(main())

    assert server.seen == 2
    assert team.read().spent == Amounts(ONE_COST * 2, ONE * 2, 2)


def test_every_transport_asks_and_tells_the_store(store: Any) -> None:
    """aiohttp and requests by hand, on loopback: a call is refused before it is sent, and settled when it is read."""
    team = Budget("team", max_calls=3, max_cost=1, store=store)
    with closing(FakeServer()) as server:
        url = f"{server.url}/v1/chat/completions"
        usage = {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, "total_tokens": ONE}
        server.will(*[Reply(body={"object": "chat.completion", "model": "gpt-4o-mini", "usage": usage})] * 3)

        async def main() -> None:
            async with aiohttp.ClientSession() as session:
                async with session.post(url, json=ASK) as answer:
                    await answer.read()
                    assert not team.client.has_waiting
                async with session.post(url, json=ASK):
                    pass  # an answer that is not read may be paid: it counts as it was reserved
                requests.post(url, json=ASK, timeout=30)
                assert not team.client.has_waiting
                with pytest.raises(BudgetExceededError):
                    await session.post(url, json=ASK)
            with pytest.raises(BudgetExceededError):
                requests.post(url, json=ASK, timeout=30)

        with meter(budgets=[team], prices=PriceBook(hosts={f"{server.url}/v1": "openai"}), warn_at=None):
            asyncio.run(main())

    assert len(server.asked) == 3
    state = team.read()
    assert (state.spent.calls, state.held.calls) == (3, 0)
    assert state.spent.cost == ONE_COST * 3


def test_an_apps_own_path_is_counted_if_its_answer_turns_out_to_be_one_of_a_model(store: Any) -> None:
    """It is known at its end only: then it counts, and is not refused."""
    team = Budget("team", max_calls=1, store=store)
    usage = {"input_tokens": PROMPT, "output_tokens": ANSWER}
    bodies = iter([{"hello": "world"}, *[{"type": "message", "model": "claude-x", "usage": usage}] * 2])
    transport = library.MockTransport(lambda _: library.Response(200, json=next(bodies)))
    with quiet(team), library.Client(transport=transport) as client:
        for _ in range(3):
            client.post("http://chat.internal/v1/messages", json={})

    assert team.read().spent[1:] == (2 * ONE, 2)
    assert team.read().held.calls == 0


def test_a_suspended_meter_lets_pass_and_counts(store: Any) -> None:
    team = Budget("team", max_calls=0, store=store)
    with quiet(team) as cb, cb.suspended():
        ask(Server().sync())

    assert team.read().spent.calls == 1


def test_a_meter_that_only_warns_lets_pass_and_warns_once(store: Any) -> None:
    team = Budget("team", max_calls=0, store=store)
    with quiet(team, on_exceed="warn"), pytest.warns(BudgetWarning, match="'team'.*It was sent") as told:
        asks(2)

    assert len(told) == 1


def test_a_share_of_a_budget_is_warned_of(store: Any) -> None:
    team = Budget("team", max_calls=2, store=store)
    with meter(budgets=[team], prices=BOOK, warn_at=0.5), pytest.warns(BudgetWarning, match="has used 1 call of its"):
        asks(2)


def test_a_call_recorded_by_hand_counts(store: Any) -> None:
    team = Budget("team", max_cost=1, store=store)
    with quiet(team) as cb:
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1000, completion_tokens=0)

    assert team.read().spent == Amounts(Decimal("0.00015"), 1000, 1)


def test_an_unpriced_model_is_refused_under_a_limit_on_cost(store: Any) -> None:
    server = Server()
    with (
        quiet(Budget("team", max_cost=1, store=store)),
        pytest.raises(token_meter.UnpricedModelError, match="budget .team. "),
    ):
        ask(server.sync(), model="acme-7b")

    assert server.seen == 0


def test_a_meters_text_says_what_is_left_of_its_budgets(store: Any) -> None:
    with quiet(Budget("team", max_cost=1, max_calls=9, store=store)) as cb:
        ask(Server().sync())

    assert str(cb).endswith("  budgets\n    budget 'team' (in total): $0.0000312 of $1.0000, 1 call of 9 calls")
    assert "budgets" not in repr(cb)


# A store that fails.


class Failing(MemoryBudgetStore):
    """It does not answer while told so."""

    fails = False

    def step(self, *args: Any) -> Any:
        if self.fails:
            from token_meter.stores import StoreError

            raise StoreError("no answer within 0.25 s")
        return super().step(*args)


def test_a_store_that_is_down_refuses_by_default_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    store, server = Failing(), Server()
    team = Budget("team", max_calls=5, store=store)
    store.fails = True
    with quiet(team):
        with pytest.raises(BudgetStoreError, match=r"memory cannot be reached: no answer.*on_store_error='send'"):
            ask(server.sync())
        store.fails = False
        monkeypatch.setattr(store_client, "PAUSE_S", 0)
        team.client._closed_until_s = 0.0
        ask(server.sync())

    assert server.seen == 1
    assert team.read().spent.calls == 1
    assert not issubclass(BudgetStoreError, BudgetExceededError)


def test_a_store_that_is_down_may_let_calls_pass_and_gets_them_later() -> None:
    store, server = Failing(), Server()
    team = Budget("team", max_calls=1, store=store, on_store_error="send")
    store.fails = True
    with quiet(team), pytest.warns(BudgetWarning, match="Calls are sent all the same") as told:
        asks(3, server)
    store.fails = False
    team.client._closed_until_s = 0.0

    assert len(told) == 1
    assert team.read().spent == Amounts(ONE_COST * 3, ONE * 3, 3)
    with quiet(team), pytest.raises(BudgetExceededError):
        ask(server.sync())


def test_one_caller_in_a_while_asks_a_store_that_is_down() -> None:
    asked = []

    class Counting(Failing):
        def step(self, *args: Any) -> Any:
            asked.append(args)
            return super().step(*args)

    store = Counting()
    store.fails = True
    with quiet(Budget("team", max_calls=5, store=store)):
        for _ in range(5):
            with pytest.raises(BudgetStoreError):
                ask(Server().sync())

    assert len(asked) == 1


def test_a_store_that_was_flushed_refuses_until_its_budgets_are_set() -> None:
    store, server = MemoryBudgetStore(), Server()
    team = Budget("team", max_calls=5, store=store)
    with quiet(team):
        ask(server.sync())
        store.flush()
        with pytest.raises(BudgetStoreError, match="has lost what it knew.*budget seed NAME --from"):
            ask(server.sync())
        store.put(team.period.window("team", 0), Units(0, 0, 4))
        with pytest.warns(BudgetWarning, match="was emptied"):
            ask(server.sync())
        with pytest.raises(BudgetExceededError):
            ask(server.sync())


def test_a_hanging_server_holds_nothing_once_it_goes_on(tmp_path: Path) -> None:
    running = servers.Server(tmp_path / "server")
    try:
        team = Budget("team", max_calls=9, store=running.url)
        with quiet(team):
            ask(Server().sync())
            running.hang()
            for _ in range(5):
                with pytest.raises(BudgetStoreError):
                    ask(Server().sync())
            running.go_on()
        team.client._closed_until_s = 0.0
        assert team.read().spent.calls == 1
        assert team.read().held.calls == 0
        assert isinstance(team.client.store, RedisBudgetStore)
        team.client.store.close()
    finally:
        running.kill()


def test_a_cancelled_task_gives_back_what_it_asked_for(tmp_path: Path) -> None:
    running = servers.Server(tmp_path / "server")
    try:
        team = Budget("team", max_calls=9, store=running.url)

        async def main() -> None:
            with quiet(team):
                await ask(Server().asyn())
                running.hang()
                task = asyncio.create_task(ask(Server().asyn()))
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                running.go_on()
                await ask(Server().asyn())

        asyncio.run(main())
        assert (team.read().spent.calls, team.read().held.calls) == (2, 0)
        team.client.store.close()
    finally:
        running.kill()


# What a budget is given.


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"name": ""}, "printable"),
        ({"name": "a\nb"}, "printable"),
        ({}, "needs a limit"),
        ({"max_calls": 1, "per": "week"}, "per must be"),
        ({"max_calls": 1, "per": "dya"}, "did you mean 'day'"),
        ({"max_calls": 1, "per": "rolling:5s"}, "at least 24 seconds"),
        ({"max_calls": 1, "tz": "Mars/Base"}, "tz must be"),
        ({"max_cost": 9_000_001_000}, r"at most \$9,000,000"),
        ({"max_calls": 1, "store": "http://x"}, "redis://host"),
        ({"max_calls": 1, "store": 7}, "store must be"),
        ({"max_calls": 1, "on_store_error": "ignore"}, "on_store_error"),
    ],
)
def test_a_mistake_is_named(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Budget(**{"name": "team", "store": MemoryBudgetStore(), **arguments})


def test_what_is_no_budget_is_named() -> None:
    with pytest.raises(ConfigError, match="Budget objects"):
        meter(budgets=["team"])  # type: ignore[list-item]


def test_the_default_store_is_the_configured_one_else_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Budget("team", max_calls=1).client.store.label == f"sqlite:{tmp_path}/.token_meter/budgets.db"
    assert (tmp_path / ".token_meter" / ".gitignore").exists()
    (tmp_path / "pyproject.toml").write_text("[tool.token_meter]\nstore = 'sqlite:///of_project.db'\n")
    assert Budget("team", max_calls=1).client.store.label == f"sqlite:{tmp_path}/of_project.db"
    monkeypatch.setenv("TOKEN_METER_STORE", "sqlite:///of_env.db")
    assert Budget("team", max_calls=1).client.store.label == f"sqlite:{tmp_path}/of_env.db"
    configured = MemoryBudgetStore()
    token_meter.configure(store=configured)
    try:
        token_meter.configure(prices=None)
        assert Budget("team", max_calls=1).client.store is configured
    finally:
        token_meter.configure(store=None)


def test_a_decorated_function_shares_the_budget_over_its_calls(store: Any) -> None:
    server = Server()

    @quiet(Budget("team", max_calls=1, store=store))
    def work() -> None:
        ask(server.sync())

    work()
    with pytest.raises(BudgetExceededError):
        work()


def test_an_unread_warning_as_an_error_holds_nothing(store: Any) -> None:
    team = Budget("team", max_calls=10, store=store)
    with meter(budgets=[team], prices=BOOK, warn_at=0.1), warnings.catch_warnings():
        warnings.simplefilter("error")
        ask(Server().sync())
        with pytest.raises(BudgetWarning):
            ask(Server().sync())

    assert (team.read().held.calls, team.read().spent.calls) == (0, 1)
