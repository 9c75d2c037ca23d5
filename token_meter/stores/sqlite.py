"""Budgets in a SQLite file, for the processes of one machine. Needs no server and nothing to install.

Each step is one transaction. The file is a write-ahead log's, which no network file system carries: the directory must
be on a disk of this machine.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import random
from secrets import token_hex

from token_meter._fork import in_child
from token_meter.stores.protocol import (
    VERSION,
    Answer,
    BudgetRow,
    LeaseRequest,
    LeaseRow,
    Settlement,
    StoreError,
    Units,
    Window,
    checked,
)
from token_meter.stores.tables import (
    LOST,
    SCHEMA,
    WINDOW,
    charges_of,
    define,
    expire,
    make_window,
    reserve,
    settle,
    state_of,
)

WAIT_S = 0.25
"""How long a step waits for another process's transaction."""

_PAUSE_S, _LONGEST_PAUSE_S = 0.0002, 0.002


class StoreBusyError(StoreError):
    """Others have the file, and had it for as long as could be waited."""


_inherited: list[sqlite3.Connection] = []
_generation = 0


@in_child
def _after_fork() -> None:
    """A forked child uses no connection of its parent, and closes none: both would break the parent's locks."""
    global _generation
    _generation += 1


class SQLiteBudgetStore:
    """A `BudgetStore` in one file of this machine.

    Args:
        path: the file; its directory must exist.
        clock: the time in milliseconds since the epoch.
        wait_s: how long a step waits for other processes; `WAIT_S` by default.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        wait_s: float | None = None,
    ) -> None:
        self.label = f"sqlite:{os.fspath(path)}"
        self._path = Path(path)
        self._clock = clock
        self._wait_s = WAIT_S if wait_s is None else wait_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._generation = _generation

    def step(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """Make the settlements, then reserve for the call in all its budgets, or in none."""
        return self._step(settlements, request, epoch, self._wait_s)

    async def astep(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """The same; while another process has the file, other tasks run."""
        for pause_s in _pauses(self._wait_s):
            try:
                return self._step(settlements, request, epoch, 0)
            except StoreBusyError:
                await asyncio.sleep(pause_s)
        return self._step(settlements, request, epoch, 0)

    def _step(
        self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str, wait_s: float
    ) -> Answer:
        with self._transaction(wait_s) as db:
            head, is_accepted = self._begin(db)
            if head.status == "version":
                return head
            for settlement in settlements:
                settle(db, settlement, head.now_ms)
            if request is None:
                return head
            if epoch not in ("", head.epoch) and not is_accepted:
                return head._replace(status="flushed")
            return reserve(db, request, head)

    def read(self, windows: Sequence[Window]) -> Answer:
        """The states of these windows."""
        with self._transaction() as db:
            head, _ = self._begin(db)
            return head if head.status == "version" else head._replace(states=tuple(state_of(db, w) for w in windows))

    def put(self, window: Window, spent: Units, definition: str = "") -> None:
        """Set what has been spent in a window, and accept the present epoch."""
        with self._transaction() as db:
            checked(self._begin(db)[0])
            make_window(db, window)
            sets = ", ".join((*("n = ?", "t = ?", "c = ?"), *(f"lost_{field} = 0" for field in "ntc")))
            where = (window.budget, window.start_ms, window.end_ms)
            db.execute(f"update windows set {sets} where {WINDOW}", (*(amount or 0 for amount in spent), *where))
            lost = "(select id from leases where state = 'lost')"
            db.execute(f"delete from charges where {WINDOW} and id in {lost}", where)
            define(db, window.budget, definition)
            db.execute("insert or replace into meta values ('accepted', '1')")

    def budgets(self) -> list[BudgetRow]:
        """All budgets by name."""
        with self._transaction() as db:
            checked(self._begin(db)[0])
            known = dict(db.execute("select name, definition from budgets"))
            windows: dict[str, list[Window]] = {name: [] for name in known}
            for row in db.execute("select budget, start_ms, end_ms from windows order by start_ms desc"):
                windows.setdefault(row[0], []).append(Window(*row))
            return [
                BudgetRow(name, known.get(name, ""), tuple((window, state_of(db, window)) for window in windows[name]))
                for name in sorted(windows)
            ]

    def leases(self) -> list[LeaseRow]:
        """All calls in flight, and those whose lease has expired."""
        with self._transaction() as db:
            checked(self._begin(db)[0])
            found = db.execute("select id, until_ms, state from leases where state != 'settled' order by until_ms, id")
            return [LeaseRow(id, until, state == LOST, charges_of(db, id)) for id, until, state in found.fetchall()]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None and self._generation == _generation:
                self._connection.close()
            self._connection = None

    def _begin(self, db: sqlite3.Connection) -> tuple[Answer, bool]:
        """The answer so far, and whether this epoch has been accepted."""
        found, now = dict(db.execute("select name, value from meta")), self._clock()
        if found.get("version") != VERSION:
            return Answer("version", now, found.get("version", "")), False
        expire(db, now)
        return Answer("done", now, found["epoch"]), "accepted" in found

    @contextmanager
    def _transaction(self, wait_s: float | None = None) -> Iterator[sqlite3.Connection]:
        wait_s = self._wait_s if wait_s is None else wait_s
        if self._generation != _generation:
            self._renew()
        if not (self._lock.acquire(blocking=False) or any(self._lock.acquire(timeout=s) for s in _pauses(wait_s))):
            msg = "another thread of this process waits for it"
            raise StoreBusyError(msg)
        try:
            db = self._begun(wait_s)
            try:
                yield db
                db.execute("commit")
            except BaseException:
                db.execute("rollback")
                raise
        except (sqlite3.Error, OSError) as error:
            msg = f"{type(error).__name__}: {error}"
            raise (StoreBusyError if "locked" in msg else StoreError)(msg) from error
        finally:
            self._lock.release()

    def _renew(self) -> None:
        if self._connection is not None:
            _inherited.append(self._connection)
        self._lock, self._connection, self._generation = threading.Lock(), None, _generation

    def _begun(self, wait_s: float) -> sqlite3.Connection:
        """The file, with a transaction in it, when other processes have ended theirs; they may also just open it.

        SQLite itself looks a dozen times in a quarter of a second: one of many processes may never find it free.
        """
        for pause_s in _pauses(wait_s):
            try:
                return self._begin_now()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
            time.sleep(pause_s)
        return self._begin_now()

    def _begin_now(self) -> sqlite3.Connection:
        db = self._connection or self._open()
        db.execute("begin immediate")
        return db

    def _open(self) -> sqlite3.Connection:
        if not os.path.exists(self._path):
            _make_file(self._path)
        db = _connect(self._path)
        try:
            db.execute("pragma synchronous = normal")
        except BaseException:
            db.close()
            raise
        self._connection = db
        return db


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)


def _make_file(path: Path) -> None:
    """Make an empty store, whole or not at all: two processes that made one at once would wait for each other."""
    temporary = path.with_name(f".{path.name}.{token_hex(4)}")
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600))
    try:
        db = _connect(temporary)
        try:
            db.execute("pragma journal_mode = wal")
            db.executescript(SCHEMA)
            db.executemany("insert into meta values (?, ?)", (("version", VERSION), ("epoch", token_hex(8))))
        finally:
            db.close()
        with suppress(FileExistsError):
            if os.name == "nt":
                os.rename(temporary, path)
            else:
                os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _pauses(wait_s: float) -> Iterator[float]:
    """Pauses of *wait_s* together. On a machine with too much other work they take longer, and so do transactions."""
    pause_s = _PAUSE_S
    while wait_s > 0:
        found = min(wait_s, pause_s * (0.5 + random()))
        yield found
        wait_s -= found
        pause_s = min(pause_s * 1.2, _LONGEST_PAUSE_S)
