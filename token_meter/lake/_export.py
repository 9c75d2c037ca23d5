"""Exports every call to Parquet, a file for each day."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from token_meter.lake._duck import database
from token_meter.lake._table import make_table
from token_meter.ledger import RunFacts

if TYPE_CHECKING:
    import duckdb

    from token_meter.prices import PriceBook


def export_parquet(
    shards: list[Path],
    to: Path,
    since_s: float | None = None,
    until_s: float | None = None,
    book: PriceBook | None = None,
) -> tuple[int, int, RunFacts]:
    """Write one file for each UTC day; return how many files and calls, and what is known of the ledger.

    A file has the name of what it was made from, so that an export of the same ledger replaces it, and one of another
    machine stands beside it. Each is written whole or not at all.

    Raises:
        NotEqualError: the ledger holds what the engine cannot read as the plain reader would.
    """
    name = hashlib.sha256("\n".join(sorted(shard.parent.name for shard in shards)).encode()).hexdigest()[:12]
    with database() as con:
        facts = make_table(con, shards, since_s, until_s, book)
        days = con.execute("select day, count(*) from calls group by day order by day").fetchall()
        for day, _ in days:
            target = to / f"day={day}" / f"part-{name}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_parquet(con, f"select * from calls where day = DATE '{day}' order by started_at, id", target)
    return len(days), sum(calls for _, calls in days), facts


def write_parquet(con: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    """Write the answer to *query* to a file, whole or not at all."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    quoted = str(temporary).replace("'", "''")
    try:
        con.execute(f"copy ({query}) to '{quoted}' (format parquet, compression zstd)")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
