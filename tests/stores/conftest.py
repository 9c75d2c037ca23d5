"""Every engine of a budget store, with a clock that tests can set."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.stores.servers import Server
from token_meter.stores import redis as redis_store
from token_meter.stores import sqlite as sqlite_store
from token_meter.stores.memory import MemoryBudgetStore
from token_meter.stores.protocol import BudgetStore
from token_meter.stores.redis import RedisBudgetStore
from token_meter.stores.sqlite import SQLiteBudgetStore

START_MS = 1_795_000_000_000
_names = itertools.count()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for all tests that neither stop nor flush it."""
    directory = tmp_path_factory.mktemp("redis")
    running = Server(directory, "--unixsocket", str(directory / "socket"))
    yield running
    running.kill()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores wait long, in forked children too: the machine is busy, and time is not what is tested."""
    for module in (redis_store, sqlite_store):
        monkeypatch.setattr(module, "WAIT_S", 10.0)


class Engine:
    """A store, and the time that it believes to be."""

    store: Any

    def __init__(self) -> None:
        self.now_ms = START_MS

    def advance(self, ms: int) -> None:
        """Let time pass."""
        self.now_ms += ms

    def flush(self) -> None:
        """Let the store lose what it knew."""
        raise NotImplementedError

    def clear(self) -> None:
        """Empty the store, in whatever way is fast."""
        self.flush()


class InMemory(Engine):
    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryBudgetStore(lambda: self.now_ms)

    def flush(self) -> None:
        self.store.flush()


class InSQLite(Engine):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.store = SQLiteBudgetStore(path, lambda: self.now_ms)

    def flush(self) -> None:
        self.store.close()
        for file in self.path.parent.glob(f"{self.path.name}*"):
            file.unlink()

    def clear(self) -> None:
        with self.store._transaction() as db:
            for table in ("budgets", "windows", "leases", "charges"):
                db.execute(f"delete from {table}")


class InRedis(Engine):
    """The script asks a key for the time, instead of the server's clock."""

    def __init__(self, server: Server) -> None:
        super().__init__()
        self.namespace = f"test{next(_names)}"
        self.store = RedisBudgetStore(f"{server.url}?namespace={self.namespace}")
        script = self.store._by_text.decode().split("\r\n")[4]
        clock = f"test_clock:{self.namespace}"
        faked = script.replace("redis.call('TIME')", f"redis.call('HMGET', '{clock}', 's', 'us')")
        assert faked != script
        self.store._load(faked)
        self._client = redis.Redis.from_url(server.url)
        self._clock = clock
        self.advance(0)

    def advance(self, ms: int) -> None:
        super().advance(ms)
        s, rest = divmod(self.now_ms, 1000)
        self._client.hset(self._clock, mapping={"s": s, "us": rest * 1000})

    def flush(self) -> None:
        self._client.delete("none", *self._client.keys(f"{{token_meter:{self.namespace}}}*"))

    def close(self) -> None:
        self.store.close()
        self._client.close()


@pytest.fixture
def redis_engine(server: Server, patient: None) -> Iterator[InRedis]:
    made = InRedis(server)
    yield made
    made.close()


@pytest.fixture
def sqlite_engine(tmp_path: Path) -> Iterator[InSQLite]:
    made = InSQLite(tmp_path / "budgets.db")
    yield made
    made.store.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    if request.param == "memory":
        return InMemory()
    found: Engine = request.getfixturevalue(f"{request.param}_engine")
    return found


@pytest.fixture
def store(engine: Engine) -> BudgetStore:
    """Each store in turn."""
    found: BudgetStore = engine.store
    return found
