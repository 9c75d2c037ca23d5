"""SQL over a ledger or its Parquet export: the views `calls` and `tags`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from token_meter.exceptions import ConfigError
from token_meter.lake._duck import connect
from token_meter.lake._table import make_table


def query(sql: str, shards: list[Path], parquet: list[Path]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask over shards, or over exported files; return the names of columns, and the rows.

    Raises:
        ConfigError: the question cannot be understood.
        NotEqualError: the ledger holds what the engine cannot read as the plain reader would.
    """
    if parquet:
        con = connect()
        names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in parquet)
        con.execute(f"create temp view calls as select * from read_parquet([{names}], union_by_name=true)")
    else:
        con, _ = make_table(shards)
    import duckdb

    try:
        con.execute("create temp view tags as select id, day, unnest(tags) as tag from calls")
        found = con.execute(sql)
        return [column[0] for column in found.description or ()], found.fetchall()
    except duckdb.Error as exc:
        msg = f"the query cannot be answered: {str(exc).splitlines()[0]}"
        raise ConfigError(msg) from None
    finally:
        con.close()
