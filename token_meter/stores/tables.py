"""The tables of the SQLite store, and the rule in terms of them. It knows no file and no transaction."""

from __future__ import annotations

import sqlite3

from token_meter.stores.protocol import (
    LATE_MS,
    REPEAT_MS,
    Answer,
    Charge,
    LeaseRequest,
    Settlement,
    StoreAsk,
    StoreState,
    Units,
    Window,
)
from token_meter.stores.rule import is_current, unknown_of, verdict

SCHEMA = """
create table meta (name text primary key, value text) without rowid;
create table budgets (name text primary key, definition text) without rowid;
create table windows (
    budget text, start_ms int, end_ms int, gone_ms int,
    n int default 0, t int default 0, c int default 0,
    held_n int default 0, held_t int default 0, held_c int default 0,
    lost_n int default 0, lost_t int default 0, lost_c int default 0,
    unknown_n int default 0, unknown_t int default 0,
    primary key (budget, start_ms, end_ms)
) without rowid;
create table leases (id text primary key, state text, until_ms int) without rowid;
create index by_time on leases (state, until_ms);
create table charges (id text, budget text, start_ms int, end_ms int, n int, t int, c int);
create index by_id on charges (id);
"""
HELD, LOST, SETTLED = "held", "lost", "settled"
_STATE = (
    "sum(n), sum(t), sum(c), sum(held_n), sum(held_t), sum(held_c), sum(lost_n), sum(lost_t), sum(lost_c),"
    " sum(unknown_n), sum(unknown_t)"
)
WINDOW = "budget = ? and start_ms = ? and end_ms = ?"


def reserve(db: sqlite3.Connection, request: LeaseRequest, head: Answer) -> Answer:
    """Reserve for a call in all its budgets, or in none."""
    states = tuple(state_of(db, ask.window) for ask in request.asks)
    if db.execute("select 1 from leases where id = ?", (request.id,)).fetchone():
        return head._replace(states=states)
    if not all(is_current(ask, head.now_ms) for ask in request.asks):
        return head._replace(status="moved")
    found = verdict(request.asks, states)
    if found.status == "done":
        db.execute("insert into leases values (?, ?, ?)", (request.id, HELD, head.now_ms + request.lease_ms))
        for ask in request.asks:
            _hold(db, request.id, ask, head.now_ms)
    return head._replace(status=found.status, states=states, exceeded=found.exceeded)


def _hold(db: sqlite3.Connection, id: str, ask: StoreAsk, now: int) -> None:
    window = ask.window
    define(db, window.budget, ask.definition)
    if make_window(db, window):
        db.execute("delete from windows where gone_ms <= ?", (now,))
    _add(db, window, ask.wanted, +1, "held_", counts_unknown=True)
    row = (id, window.budget, window.start_ms, window.end_ms, *ask.wanted)
    db.execute("insert into charges values (?, ?, ?, ?, ?, ?, ?)", row)


def settle(db: sqlite3.Connection, settlement: Settlement, now: int) -> None:
    """Replace what a call has reserved by what it used."""
    id = settlement.id
    found = db.execute("select state from leases where id = ?", (id,)).fetchone()
    if found == (SETTLED,):
        return
    reserved = charges_of(db, id)
    for window, wanted in reserved:
        _add(db, window, wanted, -1, "held_" if found == (HELD,) else "lost_", counts_unknown=found == (HELD,))
        if found == (LOST,):
            _add(db, window, wanted, -1, "")
    known = {window for window, _ in reserved}
    for window, used in settlement.charges:
        if found is None or window._replace(back=0) in known:
            if found is None:
                make_window(db, window)
            _add(db, window, used, +1, "")
    db.execute("delete from charges where id = ?", (id,))
    db.execute("insert or replace into leases values (?, ?, ?)", (id, SETTLED, now + REPEAT_MS))


def expire(db: sqlite3.Connection, now: int) -> None:
    """Count leases that have ended as spent, and forget what is too old to be settled or repeated."""
    due = "select id from leases where state = ? and until_ms <= ?"
    for (id,) in db.execute(due, (HELD, now)).fetchall():
        for window, wanted in charges_of(db, id):
            _add(db, window, wanted, -1, "held_", counts_unknown=True)
            _add(db, window, wanted, +1, "lost_")
            _add(db, window, wanted, +1, "")
        db.execute("update leases set state = ? where id = ?", (LOST, id))
    for state, until in ((SETTLED, now), (LOST, now - LATE_MS)):
        for (id,) in db.execute(due, (state, until)).fetchall():
            db.execute("delete from charges where id = ?", (id,))
            db.execute("delete from leases where id = ?", (id,))


def charges_of(db: sqlite3.Connection, id: str) -> tuple[Charge, ...]:
    """What a call has reserved."""
    rows = db.execute(
        "select budget, start_ms, end_ms, n, t, c from charges where id = ? order by rowid", (id,)
    ).fetchall()
    return tuple(Charge(Window(*row[:3]), Units(*row[3:])) for row in rows)


def state_of(db: sqlite3.Connection, window: Window) -> StoreState:
    """The state of a window and of the earlier ones that count too."""
    sums = [0] * 11
    for part in (window, *window.before()):
        where = (part.budget, part.start_ms, part.end_ms)
        found = db.execute(f"select {_STATE} from windows where {WINDOW}", where).fetchone()
        sums = [before + (amount or 0) for before, amount in zip(sums, found, strict=True)]
    return StoreState(Units(*sums[:3]), Units(*sums[3:6]), Units(*sums[6:9]), (sums[9], sums[10]))


def make_window(db: sqlite3.Connection, window: Window) -> bool:
    """Add a window; whether it is new."""
    gone = window.end_ms + window.keep_ms if window.end_ms else None
    row = (window.budget, window.start_ms, window.end_ms, gone)
    made = db.execute("insert or ignore into windows (budget, start_ms, end_ms, gone_ms) values (?, ?, ?, ?)", row)
    return made.rowcount == 1


def define(db: sqlite3.Connection, name: str, definition: str) -> None:
    """Keep the definition of a budget."""
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
    db.execute(f"update windows set {sets} where {WINDOW}", (*values, *where))
