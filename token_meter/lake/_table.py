"""One table of calls, for exports and queries: its columns are only ever added to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter.lake._duck import connect
from token_meter.lake._rows import EngineReader, insert
from token_meter.ledger import COUNTS, Row, RunFacts
from token_meter.types import Usage

if TYPE_CHECKING:
    import duckdb

VERSION = 1
_SHARED: tuple[tuple[str, str], ...] = (
    ("host", "VARCHAR"), ("provider", "VARCHAR"), ("api", "VARCHAR"), ("request_model", "VARCHAR"),
    ("response_model", "VARCHAR"), ("service_tier", "VARCHAR"), ("processing", "VARCHAR"), ("certainty", "VARCHAR"),
    ("outcome", "VARCHAR"), ("status", "INTEGER"), ("error", "VARCHAR"), ("attempt", "INTEGER"),
    ("streamed", "BOOLEAN"), ("source", "VARCHAR"), ("tags", "VARCHAR[]"), ("context", "VARCHAR"),
    ("phase", "VARCHAR"), ("try", "INTEGER"), ("worker", "VARCHAR"), ("late", "BOOLEAN"), ("process", "VARCHAR"),
)  # fmt: skip
_RARE = tuple(name for name in Usage._fields if name not in COUNTS)
_RARE_TYPES = {"audio_seconds": "DOUBLE", "fees": "VARCHAR", "provider_cost": "DECIMAL(38, 12)"}
COLUMNS: tuple[tuple[str, str], ...] = (
    ("id", "VARCHAR"), ("started_at", "TIMESTAMP"), ("day", "DATE"), ("duration_s", "DOUBLE"),
    ("first_token_s", "DOUBLE"), *((name, "BIGINT") for name in COUNTS),
    *((name, _RARE_TYPES.get(name, "BIGINT")) for name in _RARE), *_SHARED,
)  # fmt: skip
"""Names and types, version 1."""


def _values(row: Row) -> list[Any]:
    call = row.call
    found = {
        **{name: getattr(call, name) for name, _ in _SHARED if name in call._fields},
        "tags": list(call.tags), "context": row.context, "phase": row.phase, "try": row.attempt, "worker": row.worker,
        "late": row.late, "process": row.process,
    }  # fmt: skip
    return [found[name] for name, _ in _SHARED]


def make_table(shards: list[Path], since_s: float | None = None) -> tuple[duckdb.DuckDBPyConnection, RunFacts]:
    """A database with the view `calls` of these columns, in the order of the ledger.

    Raises:
        NotEqualError: the plain reader has to read the ledger.
    """
    con, reader = connect(), EngineReader(shards, since_s=since_s)
    rows, odd = reader.load(con)
    columns = ", ".join(f"{name} {kind}" for name, kind in _SHARED)
    con.execute(f"create temp table shared (tail_id BIGINT, process_id INTEGER, {columns})")
    insert(con, "shared", [[tail, process, *_values(row)] for (tail, process), row in rows.items()])
    con.execute(f"create temp table rarer ({', '.join(f'{name} {kind}' for name, kind in COLUMNS)})")
    insert(con, "rarer", list(_odd(odd)))
    names = ", ".join(
        f"NULL::{kind} as {name}" if name in _RARE else f"s.{name}" if (name, kind) in _SHARED else name
        for name, kind in COLUMNS[5:]
    )
    con.execute(
        f"""create temp view calls as
        select c.id, make_timestamp((c.ts::DECIMAL(28, 6) * 1000000)::BIGINT) as started_at,
               make_timestamp((c.ts::DECIMAL(28, 6) * 1000000)::BIGINT)::DATE as day, c.ms::DOUBLE / 1000 as duration_s,
               c.first_ms / 1000 as first_token_s, {names}
        from plain c join shards h on c.shard = h.shard
        join shared s on s.tail_id = c.tail_id and s.process_id = h.process
        union all select {", ".join(name for name, _ in COLUMNS)} from rarer"""
    )
    return con, reader.facts


def _odd(rows: Iterable[Row]) -> Iterator[list[Any]]:
    from datetime import UTC, datetime

    for row in rows:
        call = row.call
        at = datetime.fromtimestamp(call.started_s, UTC).replace(tzinfo=None)
        usage = call.tokens
        fees = None if usage.fees is None else json.dumps(dict(usage.fees))
        counts = [fees if name == "fees" else getattr(usage, name) for name, _ in COLUMNS[5 : 5 + len(Usage._fields)]]
        yield [call.id, at, at.date(), call.duration_s, call.first_token_s, *counts, *_values(row)]
