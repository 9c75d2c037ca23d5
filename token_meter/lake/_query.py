"""SQL over a ledger or its Parquet export: the views `calls`, `tags` and `costs_by_day`."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter.exceptions import ConfigError
from token_meter.lake._duck import database
from token_meter.lake._table import make_table

if TYPE_CHECKING:
    import duckdb

    from token_meter.prices import PriceBook

_COSTS_BY_DAY = """create or replace temp view costs_by_day as
select day, provider, coalesce(response_model, request_model) as model, service_tier, processing, count(*) as calls,
sum(prompt_tokens)::BIGINT as prompt_tokens, sum(completion_tokens)::BIGINT as completion_tokens,
sum(cost_usd)::DECIMAL(38, 12) as cost_usd, count(*) filter (cost_usd is null or len(missing) > 0) as open_calls
from calls group by all"""


def query(
    sql: str, shards: list[Path], parquet: list[Path], book: PriceBook | None = None
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Ask over shards, or over exported files; return the names of columns, and the rows.

    Raises:
        ConfigError: the question cannot be understood.
        NotEqualError: the ledger holds what the engine cannot read as the plain reader would.
    """
    with database() as con:
        import duckdb

        try:
            if not parquet:
                make_table(con, shards, book=book)
                return _answer(con, sql)
            names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in parquet)
            alike, together = (f"read_parquet([{names}]{how})" for how in ("", ", union_by_name=true"))
            columns = [con.execute(f"describe select * from {files}").fetchall() for files in (alike, together)]
            if columns[0] == columns[1]:  # each view that joins files by name opens them all
                con.execute(f"create temp view calls as select * from {alike}")
                with suppress(duckdb.Error):  # a file has fewer columns
                    return _answer(con, sql)
            con.execute(f"create or replace temp view calls as select * from {together}")
            return _answer(con, sql)
        except duckdb.Error as exc:
            views = "; its tables are calls, tags and costs_by_day" if "Table with name" in str(exc) else ""
            msg = f"the query cannot be answered: {str(exc).splitlines()[0]}{views}"
            raise ConfigError(msg) from None


def _answer(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    con.execute("create or replace temp view tags as select id, day, unnest(tags) as tag from calls")
    if ("cost_usd",) in con.execute("select column_name from (describe calls)").fetchall():  # not in the first version
        con.execute(_COSTS_BY_DAY)
    answer: Any = con.execute(sql)
    if answer is None:  # what DuckDB says to an empty text, `;` or a comment
        msg = "the query is empty"
        raise ConfigError(msg)
    return [column[0] for column in answer.description or ()], answer.fetchall()
