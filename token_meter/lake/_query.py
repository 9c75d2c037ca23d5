"""SQL over a ledger or its Parquet export: the views `calls`, `tags` and `costs_by_day`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter.exceptions import ConfigError
from token_meter.lake._duck import database
from token_meter.lake._table import make_table

if TYPE_CHECKING:
    from token_meter.prices import PriceBook

_COSTS_BY_DAY = """create temp view costs_by_day as
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
            if parquet:
                names = ", ".join("'" + str(path).replace("'", "''") + "'" for path in parquet)
                con.execute(f"create temp view calls as select * from read_parquet([{names}], union_by_name=true)")
            else:
                make_table(con, shards, book=book)
            con.execute("create temp view tags as select id, day, unnest(tags) as tag from calls")
            found = con.execute("select column_name from (describe calls)").fetchall()
            if ("cost_usd",) in found:  # not in exports of the first version
                con.execute(_COSTS_BY_DAY)
            answer = con.execute(sql) if sql.strip(" \n;") else None
            if answer is None:
                msg = "the query is empty"
                raise ConfigError(msg)
            return [column[0] for column in answer.description or ()], answer.fetchall()
        except duckdb.Error as exc:
            msg = f"the query cannot be answered: {str(exc).splitlines()[0]}"
            raise ConfigError(msg) from None
