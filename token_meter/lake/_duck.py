"""Ledger lines as a table of DuckDB, by the rules of the plain reader.

Lines that have the form in which we write a call are taken apart by DuckDB. Their last part, which many calls share, is
parsed once for each text by the plain reader's own code, and every other line is left to that reader: so no rule is
written twice. What the engine cannot know to be equal, it leaves to the plain reader as a whole (`NotEqualError`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter.exceptions import ConfigError
from token_meter.ledger import COUNTS

if TYPE_CHECKING:
    import duckdb

MEMORY = "200MB"
_NUMBER = "(?:null|[0-9]+)"
_HEAD = (
    r'\{"t":"call","v":[12],"id":"[0-9a-f]+-[0-9a-f]+","ts":[0-9]+\.[0-9]+,"ms":[0-9]+\.[0-9]+,'
    r'"first_ms":(?:null|[0-9]+\.[0-9]+),' + ",".join(f'"{name}":{_NUMBER}' for name in COUNTS)
)
_START = r'\{"t":"start","v":[12],"id":"[0-9a-f]+-[0-9a-f]+","ts":[0-9]+\.[0-9]+(?:,.*)?\}'
_LINES = (
    "read_csv(?, columns={'line':'VARCHAR'}, delim='\x1f', quote='', escape='', comment='', header=false,"
    " auto_detect=false, filename=true, max_line_size=2097152, new_line='\\n', nullstr='\x1e', strict_mode=false)"
)
_COMMON = ',"api":'
_TAGS, _BEHIND = ',"tags":[', '],"src":'
_CUT = "\x1f"
_FIRST_COUNT = 7
_THREADS = 4
_AT_ONCE = 48_000_000
"""Bytes of files that are taken apart together."""


class NotEqualError(Exception):
    """The engine cannot prove that its figures would be those of the plain reader."""


def is_installed() -> bool:
    """Whether DuckDB can be imported."""
    return find_spec("duckdb") is not None


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory, with a bound, that may spill to a directory of its own; both are gone after the block.

    Raises:
        ConfigError: DuckDB is not installed.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        msg = "this needs DuckDB; install it with: pip install 'token-meter[lake]'"
        raise ConfigError(msg) from None
    with tempfile.TemporaryDirectory(prefix="token_meter-", ignore_cleanup_errors=True) as spill:
        con = duckdb.connect()
        try:
            quoted = spill.replace("'", "''")
            con.execute(f"set memory_limit='{MEMORY}'; set threads={min(_THREADS, os.cpu_count() or 1)}")
            con.execute(f"set preserve_insertion_order=true; set temp_directory='{quoted}'")
            con.execute("set autoinstall_known_extensions=false; set autoload_known_extensions=false")
            con.execute("set timezone='UTC'")
            yield con
        finally:
            con.close()


def load_lines(con: duckdb.DuckDBPyConnection, shards: list[Path]) -> None:
    """Make the tables `plain` (calls), `kinds` and `texts` (what they share: what stands around their tags, and the
    tags), and `others` (lines that are no plain call). Some files are read at a time, so that memory is bounded.

    Raises:
        NotEqualError: a line cannot be taken apart as the plain reader would.
    """
    counts = "".join(f", {name} BIGINT" for name in COUNTS)
    con.execute(
        f"""create temp table kinds (kind_id INTEGER, kind VARCHAR);
        create temp table texts (text_id INTEGER, text VARCHAR);
        create temp table others (shard INTEGER, place BIGINT, line VARCHAR, started VARCHAR);
        create temp table plain (shard INTEGER, place BIGINT, id VARCHAR, kind_id INTEGER, text_id INTEGER,
        ts DECIMAL(18, 6), ms DECIMAL(18, 3), first_ms DOUBLE{counts})"""
    )
    some: list[Path] = []
    first = 1
    for n, shard in enumerate(shards, 1):
        some.append(shard)
        if n == len(shards) or sum(path.stat().st_size for path in some) > _AT_ONCE:
            try:
                _load(con, some, first)
            except Exception as exc:
                raise NotEqualError(str(exc).splitlines()[0]) from exc
            some, first = [], n + 1


def _load(con: duckdb.DuckDBPyConnection, shards: list[Path], first: int) -> None:
    counts = ", ".join(
        f"try_cast(substr(x[{_FIRST_COUNT + n}], {len(name) + 4}) as BIGINT) as {name}" for n, name in enumerate(COUNTS)
    )
    sound = " and ".join(f"length(x[{_FIRST_COUNT + n}]) <= {len(name) + 21}" for n, name in enumerate(COUNTS))
    con.execute(
        f"""create temp table parsed as
        with a as (select list_position(?, filename) + {first - 1} as shard, line, instr(line, '{_COMMON}') as pos
                   from {_LINES}),
        b as (select *, pos > 0 and line[-1:] = '}}'
              and regexp_full_match(substr(line, 1, pos - 1), '{_HEAD}') as is_call from a),
        c as (select *, case when is_call then string_split(substr(line, 1, pos - 1), ',') end as x from b),
        d as (select *, is_call and length(x[3]) between 24 and 31 and length(x[3]) - instr(x[3], '-') <= 9
              and instr(x[3], '-') = 23 and length(x[4]) between 13 and 23 and instr(reverse(x[4]), '.') = 7
              and length(x[5]) <= 22 and instr(reverse(x[5]), '.') = 4
              and (x[6] = '"first_ms":null' or (length(x[6]) <= 28 and instr(reverse(x[6]), '.') = 4))
              and {sound} as is_plain from c),
        e as (select *, case when is_plain then substr(line, pos) end as tail, instr(tail, '{_TAGS}') as t,
              instr(tail, '{_BEHIND}') as s from d)
        select shard, case when not is_plain or is_plain is null then line end as line,
               case when t > 0 and s > t then substr(tail, 1, t - 1) || '{_CUT}' || substr(tail, s + {len(_BEHIND)})
                    else tail end as kind,
               case when t > 0 and s > t then substr(tail, t + {len(_TAGS)}, s - t - {len(_TAGS)})
                    when tail is not null then '' end as text,
               substr(x[3], 7, length(x[3]) - 7) as id,
               try_cast(substr(x[4], 6) as DECIMAL(18, 6)) as ts, try_cast(substr(x[5], 6) as DECIMAL(18, 3)) as ms,
               try_cast(substr(x[6], 12) as DOUBLE) as first_ms, {counts}
        from e""",
        [[str(s) for s in shards], [str(s) for s in shards]],
    )
    for what in ("kind", "text"):
        con.execute(
            f"""insert into {what}s select (select count(*) from {what}s) + row_number() over (), {what} from
            (select distinct {what} from parsed where {what} is not null) anti join {what}s using ({what})"""
        )
    con.execute(
        f"""insert into plain select shard, p.rowid, id, kind_id, text_id, ts, ms, first_ms, {", ".join(COUNTS)}
        from parsed p join kinds using (kind) join texts using (text)"""
    )
    con.execute(
        f"""insert into others select shard, rowid, line, case when line is not null
        and regexp_full_match(line, '{_START}') then split_part(line, '"', 10) end
        from parsed where kind is null; drop table parsed"""
    )


def other_lines(con: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, bytes]]:
    """The lines that are no plain call, in order, with the number of their shard; starts where no call ended them."""
    found = con.execute(
        "select shard, coalesce(line, '') from others where started is null or started not in (select id from plain)"
        " order by shard, place"
    )
    while rows := found.fetchmany(1_000):
        for shard, line in rows:
            yield shard, line.encode("utf-8")


def has_duplicates(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether one id stands in two lines."""
    if not _one(con, "select count(*) > count(distinct hash(id)) from plain"):  # a third of the memory
        return False
    return bool(_one(con, "select count(*) > count(distinct id) from plain"))


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    found = con.execute(sql).fetchone()
    return found[0] if found else None
