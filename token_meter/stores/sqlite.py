"""Budgets in a SQLite file, for the processes of one machine. Needs no server and nothing to install.

Each step is one transaction. The file is a write-ahead log's, which no network file system carries: the directory must
be on a disk of this machine.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from token_meter._fork import in_child
from token_meter.stores.protocol import (
    LATE_MS,
    REPEAT_MS,
    VERSION,
    Answer,
    BudgetRow,
    Charge,
    LeaseRequest,
    LeaseRow,
    Settlement,
    StoreAsk,
    StoreError,
    StoreState,
    Units,
    Window,
    checked,
)  # fmt: skip
from token_meter.stores.rule import is_current, unknown_of, verdict

WAIT_S = 0.25
"""How long a step waits for another process's transaction."""

_SCHEMA = """
create table if not exists meta (name text primary key, value text) without rowid;
create table if not exists budgets (name text primary key, definition text) without rowid;
create table if not exists windows (
    budget text, start_ms int, end_ms int, gone_ms int,
    n int default 0, t int default 0, c int default 0,
    held_n int default 0, held_t int default 0, held_c int default 0,
    lost_n int default 0, lost_t int default 0, lost_c int default 0,
    unknown_n int default 0, unknown_t int default 0,
    primary key (budget, start_ms, end_ms)
) without rowid;
create table if not exists leases (id text primary key, state text, until_ms int) without rowid;
create index if not exists by_time on leases (state, until_ms);
create table if not exists charges (id text, budget text, start_ms int, end_ms int, n int, t int, c int);
create index if not exists by_id on charges (id);
"""
_HELD, _LOST, _SETTLED = "held", "lost", "settled"
_STATE = (
    "sum(n), sum(t), sum(c), sum(held_n), sum(held_t), sum(held_c), sum(lost_n), sum(lost_t), sum(lost_c),"
    " sum(unknown_n), sum(unknown_t)"
)
_WINDOW = "budget = ? and start_ms = ? and end_ms = ?"
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
    """

    def __init__(
        self, path: str | os.PathLike[str], clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self.label = f"sqlite:{os.fspath(path)}"
        self._path = Path(path)
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._generation = _generation

    def step(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """Make the settlements, then reserve for the call in all its budgets, or in none."""
        with self._transaction() as db:
            head, is_accepted = self._begin(db)
            if head.status == "version":
                return head
            for settlement in settlements:
                _settle(db, settlement, head.now_ms)
            if request is None:
                return head
            if epoch not in ("", head.epoch) and not is_accepted:
                return head._replace(status="flushed")
            return _reserve(db, request, head)

    def read(self, windows: Sequence[Window]) -> Answer:
        """The states of these windows."""
        with self._transaction() as db:
            head, _ = self._begin(db)
            return head if head.status == "version" else head._replace(states=tuple(_state(db, w) for w in windows))

    def put(self, window: Window, spent: Units, definition: str = "") -> None:
        """Set what has been spent in a window, and accept the present epoch."""
        with self._transaction() as db:
            checked(self._begin(db)[0])
            _make(db, window)
            sets = ", ".join((*("n = ?", "t = ?", "c = ?"), *(f"lost_{field} = 0" for field in "ntc")))
            where = (window.budget, window.start_ms, window.end_ms)
            db.execute(f"update windows set {sets} where {_WINDOW}", (*(amount or 0 for amount in spent), *where))
            lost = "(select id from leases where state = 'lost')"
            db.execute(f"delete from charges where {_WINDOW} and id in {lost}", where)
            _define(db, window.budget, definition)
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
                BudgetRow(name, known.get(name, ""), tuple((window, _state(db, window)) for window in windows[name]))
                for name in sorted(windows)
            ]

    def leases(self) -> list[LeaseRow]:
        """All calls in flight, and those whose lease has expired."""
        with self._transaction() as db:
            checked(self._begin(db)[0])
            found = db.execute("select id, until_ms, state from leases where state != 'settled' order by until_ms, id")
            return [LeaseRow(id, until, state == _LOST, _charges(db, id)) for id, until, state in found.fetchall()]

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
        _expire(db, now)
        return Answer("done", now, found["epoch"]), "accepted" in found

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._generation != _generation:
            self._renew()
        if not self._lock.acquire(timeout=WAIT_S):
            msg = "another thread of this process waits for it"
            raise StoreError(msg)
        try:
            try:
                db = self._connection or self._open()
                db.execute("begin immediate")
                try:
                    yield db
                    db.execute("commit")
                except BaseException:
                    db.execute("rollback")
                    raise
            except (sqlite3.Error, OSError) as error:
                msg = f"{type(error).__name__}: {error}"
                raise StoreError(msg) from error
        finally:
            self._lock.release()

    def _renew(self) -> None:
        if self._connection is not None:
            _inherited.append(self._connection)
        self._lock, self._connection, self._generation = threading.Lock(), None, _generation

    def _open(self) -> sqlite3.Connection:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        os.close(fd)
        db = sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        try:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = normal")
            db.executescript(f"begin immediate; {_SCHEMA} commit")
            new = (("version", VERSION), ("epoch", token_hex(8)))
            db.executemany("insert or ignore into meta values (?, ?)", new)
        except BaseException:
            db.close()
            raise
        self._connection = db
        return db


def _reserve(db: sqlite3.Connection, request: LeaseRequest, head: Answer) -> Answer:
    states = tuple(_state(db, ask.window) for ask in request.asks)
    if db.execute("select 1 from leases where id = ?", (request.id,)).fetchone():
        return head._replace(states=states)
    if not all(is_current(ask, head.now_ms) for ask in request.asks):
        return head._replace(status="moved")
    found = verdict(request.asks, states)
    if found.status == "done":
        db.execute("insert into leases values (?, ?, ?)", (request.id, _HELD, head.now_ms + request.lease_ms))
        for ask in request.asks:
            _hold(db, request.id, ask, head.now_ms)
    return head._replace(status=found.status, states=states, exceeded=found.exceeded)


def _hold(db: sqlite3.Connection, id: str, ask: StoreAsk, now: int) -> None:
    window = ask.window
    _define(db, window.budget, ask.definition)
    if _make(db, window):
        db.execute("delete from windows where gone_ms <= ?", (now,))
    _add(db, window, ask.wanted, +1, "held_", counts_unknown=True)
    row = (id, window.budget, window.start_ms, window.end_ms, *ask.wanted)
    db.execute("insert into charges values (?, ?, ?, ?, ?, ?, ?)", row)


def _settle(db: sqlite3.Connection, settlement: Settlement, now: int) -> None:
    id = settlement.id
    found = db.execute("select state from leases where id = ?", (id,)).fetchone()
    if found == (_SETTLED,):
        return
    reserved = _charges(db, id)
    for window, wanted in reserved:
        _add(db, window, wanted, -1, "held_" if found == (_HELD,) else "lost_", counts_unknown=found == (_HELD,))
        if found == (_LOST,):
            _add(db, window, wanted, -1, "")
    known = {window for window, _ in reserved}
    for window, used in settlement.charges:
        if found is None or window._replace(back=0) in known:
            if found is None:
                _make(db, window)
            _add(db, window, used, +1, "")
    db.execute("delete from charges where id = ?", (id,))
    db.execute("insert or replace into leases values (?, ?, ?)", (id, _SETTLED, now + REPEAT_MS))


def _expire(db: sqlite3.Connection, now: int) -> None:
    due = "select id from leases where state = ? and until_ms <= ?"
    for (id,) in db.execute(due, (_HELD, now)).fetchall():
        for window, wanted in _charges(db, id):
            _add(db, window, wanted, -1, "held_", counts_unknown=True)
            _add(db, window, wanted, +1, "lost_")
            _add(db, window, wanted, +1, "")
        db.execute("update leases set state = ? where id = ?", (_LOST, id))
    for state, until in ((_SETTLED, now), (_LOST, now - LATE_MS)):
        for (id,) in db.execute(due, (state, until)).fetchall():
            db.execute("delete from charges where id = ?", (id,))
            db.execute("delete from leases where id = ?", (id,))


def _charges(db: sqlite3.Connection, id: str) -> tuple[Charge, ...]:
    rows = db.execute(
        "select budget, start_ms, end_ms, n, t, c from charges where id = ? order by rowid", (id,)
    ).fetchall()
    return tuple(Charge(Window(*row[:3]), Units(*row[3:])) for row in rows)


def _state(db: sqlite3.Connection, window: Window) -> StoreState:
    sums = [0] * 11
    for part in (window, *window.before()):
        where = (part.budget, part.start_ms, part.end_ms)
        found = db.execute(f"select {_STATE} from windows where {_WINDOW}", where).fetchone()
        sums = [before + (amount or 0) for before, amount in zip(sums, found, strict=True)]
    return StoreState(Units(*sums[:3]), Units(*sums[3:6]), Units(*sums[6:9]), (sums[9], sums[10]))


def _make(db: sqlite3.Connection, window: Window) -> bool:
    gone = window.end_ms + window.keep_ms if window.end_ms else None
    row = (window.budget, window.start_ms, window.end_ms, gone)
    made = db.execute("insert or ignore into windows (budget, start_ms, end_ms, gone_ms) values (?, ?, ?, ?)", row)
    return made.rowcount == 1


def _define(db: sqlite3.Connection, name: str, definition: str) -> None:
    if definition:
        db.execute(
            "insert into budgets values (?, ?) on conflict (name) do update set definition = excluded.definition"
            " where definition != excluded.definition",
            (name, definition),
        )


def _add(
    db: sqlite3.Connection, window: Window, amounts: Units, sign: int, kind: str, *, counts_unknown: bool = False
) -> None:
    n, t, c = (sign * (amount or 0) for amount in amounts)
    sets = f"{kind}n = {kind}n + ?, {kind}t = {kind}t + ?, {kind}c = {kind}c + ?"
    values: tuple[int, ...] = (n, t, c)
    if counts_unknown and None in amounts:
        sets += ", unknown_n = unknown_n + ?, unknown_t = unknown_t + ?"
        values = (*values, *(sign * unknown for unknown in unknown_of(amounts)))
    where = (window.budget, window.start_ms, window.end_ms)
    db.execute(f"update windows set {sets} where {_WINDOW}", (*values, *where))
