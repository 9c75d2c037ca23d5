"""One table of calls, for exports and queries: its columns are only ever added to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter._defaults import default_book
from token_meter.lake._costs import price_calls, priced
from token_meter.lake._duck import insert
from token_meter.lake._rows import EngineReader
from token_meter.ledger import COUNTS, Row, RunFacts
from token_meter.types import Usage

if TYPE_CHECKING:
    import duckdb

    from token_meter.prices import PriceBook

VERSION = 1
_SHARED: tuple[tuple[str, str], ...] = (
    ("host", "VARCHAR"), ("provider", "VARCHAR"), ("api", "VARCHAR"), ("request_model", "VARCHAR"),
    ("response_model", "VARCHAR"), ("service_tier", "VARCHAR"), ("processing", "VARCHAR"), ("certainty", "VARCHAR"),
    ("outcome", "VARCHAR"), ("status", "INTEGER"), ("error", "VARCHAR"), ("attempt", "INTEGER"),
    ("streamed", "BOOLEAN"), ("source", "VARCHAR"), ("tags", "VARCHAR[]"), ("context", "VARCHAR"),
    ("phase", "VARCHAR"), ("try", "INTEGER"), ("worker", "VARCHAR"), ("late", "BOOLEAN"), ("process", "VARCHAR"),
)  # fmt: skip
_APART = ("tags", "process")
_RARE = tuple(name for name in Usage._fields if name not in COUNTS)
_RARE_TYPES = {"audio_seconds": "DOUBLE", "fees": "VARCHAR", "provider_cost": "DECIMAL(38, 12)"}
COLUMNS: tuple[tuple[str, str], ...] = (
    ("id", "VARCHAR"), ("started_at", "TIMESTAMP"), ("day", "DATE"), ("duration_s", "DOUBLE"),
    ("first_token_s", "DOUBLE"), *((name, "BIGINT") for name in COUNTS),
    *((name, _RARE_TYPES.get(name, "BIGINT")) for name in _RARE), *_SHARED,
    ("cost_usd", "DECIMAL(38, 12)"), ("price_source", "VARCHAR"), ("missing", "VARCHAR[]"),
)  # fmt: skip
"""Names and types, version 1."""
_FROM = {
    "duration_s": "ms::DOUBLE / 1000 as duration_s", "first_token_s": "first_ms::DOUBLE / 1000 as first_token_s",
    "process": "writers.process",
}  # fmt: skip
_TAGS_AT = [name for name, _ in _SHARED].index("tags")


def _values(row: Row) -> list[Any]:
    call = row.call
    found = {
        **{name: getattr(call, name) for name, _ in _SHARED if name in call._fields},
        "context": row.context, "phase": row.phase, "try": row.attempt, "worker": row.worker, "late": row.late,
    }  # fmt: skip
    return [found[name] for name, _ in _SHARED if name not in _APART]


def make_table(
    con: duckdb.DuckDBPyConnection,
    shards: list[Path],
    since_s: float | None = None,
    until_s: float | None = None,
    book: PriceBook | None = None,
) -> RunFacts:
    """Make the view `calls` of these columns in a database; return what is known of the ledger.

    Raises:
        NotEqualError: the plain reader has to read the ledger.
    """
    book = book or default_book()
    reader = EngineReader(shards, since_s=since_s, until_s=until_s)
    loaded = reader.load(con)
    price_calls(con, loaded, book)
    columns = ", ".join(f"{name} {kind}" for name, kind in _SHARED if name not in _APART)
    insert(con, "shared", [[n, *_values(row)] for n, row in loaded.kinds.items()], f"kind_id INTEGER, {columns}")
    insert(con, "named", [[n, list(tags)] for n, tags in loaded.tags.items()], "text_id INTEGER, tags VARCHAR[]")
    insert(con, "writers", [[n, name] for n, name in enumerate(loaded.processes)], "number INTEGER, process VARCHAR")
    con.execute(f"create temp table rarer ({', '.join(f'{name} {kind}' for name, kind in COLUMNS)})")
    insert(con, "rarer", list(_odd(loaded.odd, book)))
    names = ", ".join(
        f"NULL::{kind} as {name}" if name in _RARE else _FROM.get(name, name) for name, kind in COLUMNS[3:]
    )
    con.execute(
        f"""create temp view calls as select id, started_at, day, {names}
        from priced join shards using (shard) join writers on number = shards.process join shared using (kind_id)
        join named using (text_id) join prices using (price_id)
        union all select {", ".join(name for name, _ in COLUMNS)} from rarer"""
    )
    return reader.facts


def _odd(rows: Iterable[Row], book: PriceBook) -> Iterator[list[Any]]:
    from datetime import UTC, datetime

    for row in rows:
        call = row.call
        at = datetime.fromtimestamp(call.started_s, UTC).replace(tzinfo=None)
        usage = call.tokens
        fees = None if usage.fees is None else json.dumps(dict(usage.fees))
        counts = [fees if name == "fees" else getattr(usage, name) for name, _ in COLUMNS[5 : 5 + len(Usage._fields)]]
        cells, costs = _values(row), priced(row, book)
        cells = [*cells[:_TAGS_AT], list(call.tags), *cells[_TAGS_AT:], row.process, *costs]
        yield [call.id, at, at.date(), call.duration_s, call.first_token_s, *counts, *cells]
