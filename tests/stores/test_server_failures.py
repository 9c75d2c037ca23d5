"""A server that is slow, down, killed, or has forgotten its script: what a caller waits, and what stays."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.stores.conftest import InRedis
from tests.stores.servers import Server
from tests.stores.test_contract import TEAM, ask, reserve, settle, state
from token_meter import Budget, BudgetWarning
from token_meter.exceptions import ConfigError
from token_meter.stores import redis as redis_store
from token_meter.stores import sqlite as sqlite_store
from token_meter.stores.protocol import Charge, LeaseRequest, Settlement, StoreError, Units
from token_meter.stores.redis import RedisBudgetStore
from token_meter.stores.sqlite import SQLiteBudgetStore

WAITS_S = 2.0
"""Shorter than any server hangs here. What is waited, `python -m benchmarks.budgets` measures: 0.25 s."""


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server that a test may harm. It writes each step to its file."""
    running = Server(tmp_path / "server", "--appendonly", "yes", "--appendfsync", "always")
    yield running
    running.kill()


@pytest.fixture
def shared(own_server: Server) -> Iterator[RedisBudgetStore]:
    """A store on it."""
    made = RedisBudgetStore(own_server.url)
    yield made
    made.close()


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_server_that_hangs_holds_no_caller(own_server: Server, shared: RedisBudgetStore, is_connected: bool) -> None:
    if is_connected:
        reserve(shared, "a", ask(1))
    own_server.hang()
    started = time.perf_counter()
    with pytest.raises(StoreError, match="no answer within 0.25 s"):
        reserve(shared, "b", ask(1))
    waited = time.perf_counter() - started
    own_server.go_on()

    assert waited < WAITS_S
    for _ in range(2):  # it may have been carried out
        assert reserve(shared, "b", ask(1)) == "done"
    assert state(shared).held.calls == 1 + is_connected


@pytest.mark.parametrize("is_connected", [True, False])
def test_a_server_that_hangs_holds_no_event_loop(
    own_server: Server, shared: RedisBudgetStore, is_connected: bool
) -> None:
    async def main() -> int:
        if is_connected:
            await shared.astep((), LeaseRequest("a", (ask(1),)))
        own_server.hang()
        asking = asyncio.create_task(shared.astep((), LeaseRequest("b", (ask(1),))))
        turns = 0
        while not asking.done():
            await asyncio.sleep(0.005)
            turns += 1
        own_server.go_on()
        with pytest.raises(StoreError, match="no answer within 0.25 s"):
            await asking
        return turns

    assert asyncio.run(main()) >= 5, "the loop stood still meanwhile"


def test_a_server_that_hangs_holds_none_of_many_tasks(
    own_server: Server, shared: RedisBudgetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited = []

    class Counted(redis_store._Patience):
        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            waited.append(loop)
            super().__init__(loop)

    async def main() -> list[object]:
        await shared.astep((), LeaseRequest("a", (ask(1),)))
        own_server.hang()
        waited.clear()
        steps = (shared.astep((), LeaseRequest(f"b{n}", (ask(1),))) for n in range(40))
        found = await asyncio.gather(*steps, return_exceptions=True)
        own_server.go_on()
        return [type(one) for one in found]

    monkeypatch.setattr(redis_store, "_Patience", Counted)
    assert asyncio.run(main()) == [StoreError] * 40
    assert len(waited) == redis_store._PLACES, "who waits behind one that had no answer waits no longer"


def test_a_loop_that_other_tasks_hold_up_blames_no_server(server: Server) -> None:
    shared = RedisBudgetStore(f"{server.url}?namespace=busy")

    async def main() -> str:
        await shared.astep((), LeaseRequest("a", (ask(1),)))
        asking = asyncio.create_task(shared.astep((), LeaseRequest("b", (ask(1),))))
        await asyncio.sleep(0)
        time.sleep(0.26)  # it has sent its request, and is let on when its time is over
        return (await asking).status

    assert asyncio.run(main()) == "done"


def test_a_task_that_is_cancelled_while_it_asks_harms_no_other(own_server: Server, shared: RedisBudgetStore) -> None:
    async def main() -> str:
        await shared.astep((), LeaseRequest("a", (ask(1),)))
        own_server.hang()
        asking = asyncio.create_task(shared.astep((), LeaseRequest("b", (ask(1),))))
        await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        own_server.go_on()
        return (await shared.astep((), LeaseRequest("c", (ask(1),)))).status

    assert asyncio.run(main()) == "done"


def test_a_server_that_is_down_says_so_at_once_and_is_found_again(own_server: Server, shared: RedisBudgetStore) -> None:
    reserve(shared, "a", ask(1))
    own_server.kill()
    started = time.perf_counter()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"refused|closed|reset"):
            reserve(shared, "b", ask(1))
    waited = time.perf_counter() - started
    own_server.start()

    assert waited < WAITS_S
    assert reserve(shared, "b", ask(1)) == "done"


def test_a_server_that_is_killed_loses_nothing_that_it_has_acknowledged(
    own_server: Server, shared: RedisBudgetStore
) -> None:
    for n in range(100):
        reserve(shared, str(n), ask(1, limit=None))
    for n in range(50):
        settle(shared, str(n), 3)
    epoch = shared.read([]).epoch
    own_server.kill()
    own_server.start()

    assert (state(shared).spent, state(shared).held) == (Units(0, 150, 50), Units(0, 50, 50))
    assert len(shared.leases()) == 50
    assert reserve(shared, "x", ask(1, limit=None), epoch=epoch) == "done"


def test_a_connection_that_was_closed_while_idle_is_opened_again(server: Server) -> None:
    shared = RedisBudgetStore(f"{server.url}?namespace=idle")
    admin = redis.Redis.from_url(server.url)
    reserve(shared, "a", ask(1))
    admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert reserve(shared, "b", ask(1)) == "done"

    async def main() -> list[str]:
        found = []
        for name in "cd":
            found.append((await shared.astep((), LeaseRequest(name, (ask(1),)))).status)
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            await asyncio.sleep(0.01)
        return found

    assert asyncio.run(main()) == ["done", "done"]
    shared.close()
    admin.close()


def test_a_server_that_has_forgotten_the_script_gets_it_again(server: Server) -> None:
    shared = RedisBudgetStore(f"{server.url}?namespace=scripts")
    admin = redis.Redis.from_url(server.url)
    reserve(shared, "a", ask(1))
    admin.script_flush()
    assert reserve(shared, "b", ask(1)) == "done"
    admin.script_flush()

    async def main() -> str:
        return (await shared.astep((), LeaseRequest("c", (ask(1),)))).status

    assert asyncio.run(main()) == "done"
    shared.close()
    admin.close()


@pytest.mark.parametrize("dropped", ["w:0:0:team", "l:a"], ids=["budget", "lease"])
@pytest.mark.parametrize("is_noticed_by", ["settlement", "lease"])
def test_a_server_that_drops_keys_has_lost_what_it_knew(
    redis_engine: InRedis, dropped: str, is_noticed_by: str
) -> None:
    shared, prefix = redis_engine.store, f"{{token_meter:{redis_engine.namespace}}}:"
    reserve(shared, "a", ask(10), lease_ms=1000)
    reserve(shared, "b", ask(20))
    epoch = shared.read([]).epoch
    assert redis_engine._client.delete(prefix + dropped) == 1
    if is_noticed_by == "lease":
        redis_engine.advance(1000)
    else:
        settle(shared, "a", 7)

    assert reserve(shared, "c", ask(1), epoch=epoch) == "flushed"
    shared.put(TEAM, Units(0, 30, 1))
    assert reserve(shared, "c", ask(1), epoch=epoch) == "done"
    assert (state(shared).spent, state(shared).held) == (Units(0, 30, 1), Units(0, 21, 2))


def test_a_server_that_may_drop_keys_is_warned_of_once(tmp_path: Path) -> None:
    running = Server(tmp_path / "server", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    try:
        budget = Budget("team", max_calls=1, store=running.url)
        with pytest.warns(BudgetWarning, match=r"may drop budgets.*allkeys-lru.*noeviction") as told:
            assert [budget.read().remaining.calls for _ in range(2)] == [1, 1]
        assert len(told) == 1
        budget.client.store.close()
    finally:
        running.kill()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_a_forked_child_has_connections_of_its_own(server: Server, tmp_path: Path, kind: str) -> None:
    made = RedisBudgetStore(f"{server.url}?namespace=fork") if kind == "redis" else SQLiteBudgetStore(tmp_path / "b.db")
    for n in range(10):
        settle(made, f"before{n}", 1)
    children = []
    for child in range(2):
        pid = os.fork()
        if not pid:
            for n in range(20):
                settle(made, f"{child}-{n}", 1)
            os._exit(0)
        children.append(pid)
    for n in range(20):
        settle(made, f"parent{n}", 1)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]

    assert statuses == [0, 0]
    assert state(made).spent.tokens == 70
    made.close()


def test_a_settlement_that_had_no_answer_is_made_once(own_server: Server, shared: RedisBudgetStore) -> None:
    reserve(shared, "a", ask(9))
    ended = Settlement("a", (Charge(TEAM, Units(0, 5, 1)),))
    own_server.hang()
    with pytest.raises(StoreError):
        shared.step([ended], None)
    own_server.go_on()
    shared.step([ended], None)

    assert state(shared).spent == Units(0, 5, 1)


def test_an_error_and_a_label_show_no_password() -> None:
    shared = RedisBudgetStore("redis://user:s3cret@127.0.0.1:1/0?namespace=x")
    with pytest.raises(StoreError) as caught:
        reserve(shared, "a", ask(1))

    assert shared.label == "redis://127.0.0.1:1/0"
    assert "s3cret" not in f"{caught.value}{shared.label}"


@pytest.mark.parametrize("kind", ["unix", "valkey", "user"])
def test_every_kind_of_address_is_understood(server: Server, kind: str) -> None:
    admin = redis.Redis.from_url(server.url)
    admin.execute_command("ACL", "SETUSER", "meter", "on", ">s3cret", "~{token_meter:*", "+@all", "-info")
    host = server.url.removeprefix("redis://").removesuffix("/0")
    address, shown = {
        "unix": (f"unix://{server.socket}?db=1&namespace=a", f"unix://{server.socket}"),
        "valkey": (f"valkey://{host}/2?namespace=a", f"valkey://{host}/2"),
        "user": (f"redis://meter:s3cret@{host}/3", f"redis://{host}/3"),
    }[kind]
    shared = RedisBudgetStore(address)

    async def main() -> str:
        return (await shared.astep((), LeaseRequest("b", (ask(1),)))).status

    assert shared.label == shown
    assert (reserve(shared, "a", ask(1)), asyncio.run(main())) == ("done", "done")
    assert [row.name for row in shared.budgets()] == ["team"]
    shared.close()
    admin.close()


@pytest.mark.parametrize("url", ["redis://host:port/0", "http://localhost", "redis://h?namespace={x}"])
def test_a_wrong_address_is_a_mistake_of_configuration(url: str) -> None:
    with pytest.raises(ConfigError):
        RedisBudgetStore(url)


def test_a_file_that_another_process_holds_costs_a_quarter_of_a_second(tmp_path: Path) -> None:
    mine, theirs = SQLiteBudgetStore(tmp_path / "b.db"), SQLiteBudgetStore(tmp_path / "b.db")
    reserve(mine, "a", ask(1))
    with theirs._transaction():
        started = time.perf_counter()
        with pytest.raises(StoreError, match="locked"):
            reserve(mine, "b", ask(1))
        waited = time.perf_counter() - started

    assert waited < WAITS_S
    assert reserve(mine, "b", ask(1)) == "done"
    mine.close()
    theirs.close()


@pytest.mark.parametrize("is_open", [False, True])
def test_a_file_is_waited_for_also_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    """A worker that begins while another one recovers the file, or writes, gets its turn."""
    first, mine = SQLiteBudgetStore(tmp_path / "b.db"), SQLiteBudgetStore(tmp_path / "b.db")
    assert reserve(mine if is_open else first, "a", ask(1)) == "done"
    first.close()
    theirs = sqlite3.connect(tmp_path / "b.db", isolation_level=None)
    if not is_open:
        theirs.execute("pragma locking_mode = exclusive")  # as who recovers a file holds it
    theirs.execute("begin immediate")
    monkeypatch.setattr(sqlite_store.time, "sleep", lambda _: theirs.close())

    assert reserve(mine, "b", ask(1)) == "done"
    mine.close()


def test_a_thread_waits_for_a_thread_as_for_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pauses that take longer where others have the processor, not by a moment that may pass meanwhile."""
    store, held = SQLiteBudgetStore(tmp_path / "b.db"), _Held(free_after=20)
    assert reserve(store, "a", ask(1)) == "done"
    with monkeypatch.context() as patched:
        patched.setattr(store, "_lock", held)
        status = reserve(store, "b", ask(1))

    assert status == "done"
    assert max(held.asked_s) < 0.01
    store.close()


class _Held:
    """A lock that another thread has, until it was asked for so many times."""

    def __init__(self, free_after: int) -> None:
        self._left, self.asked_s = free_after, list[float]()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._left -= 1
        self.asked_s.append(timeout)
        return self._left <= 0

    def release(self) -> None:
        """Others may have it."""


def test_a_file_that_another_process_holds_holds_no_event_loop(tmp_path: Path) -> None:
    mine, theirs = SQLiteBudgetStore(tmp_path / "b.db"), SQLiteBudgetStore(tmp_path / "b.db")
    reserve(mine, "a", ask(1))

    async def main() -> int:
        asking = asyncio.create_task(mine.astep((), LeaseRequest("b", (ask(1),))))
        with theirs._transaction():
            turns = 0
            while not asking.done():
                await asyncio.sleep(0)
                turns += 1
        with pytest.raises(StoreError, match="locked"):
            await asking
        assert (await mine.astep((), LeaseRequest("b", (ask(1),)))).status == "done"
        return turns

    assert asyncio.run(main()) >= 100, "the loop stood still meanwhile"
    mine.close()
    theirs.close()


def test_a_file_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file"):
        reserve(SQLiteBudgetStore(tmp_path / "none" / "b.db"), "a", ask(1))
