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
_OURS = '{"t":"call","v":2,"id":"'
_ID = "[0-9a-f]{16}-(?:0|[1-9a-f][0-9a-f]{0,7})"
_START = r'\{"t":"start","v":[12],"id":"[0-9a-f]+-[0-9a-f]+","ts":[0-9]{1,11}\.[0-9]{6}(?:,.*)?\}'
_LINES = (
    "read_csv(?, columns={'line':'VARCHAR'}, delim='\x1f', quote='', escape='', comment='', header=false,"
    " auto_detect=false, filename=true, max_line_size=2097152, buffer_size=8388608, new_line='\\n', nullstr='\x1e',"
    " strict_mode=false)"
)
_FIELDS = {"id": "VARCHAR", "ts": "DECIMAL(18,6)", "ms": "DECIMAL(18,3)", "first_ms": "DECIMAL(18,3)"} | dict.fromkeys(
    COUNTS, "BIGINT"
)
_WRITTEN = (
    f"""concat('{_OURS}', h.id, '","ts":', h.ts::VARCHAR, ',"ms":', h.ms::VARCHAR, """
    + ", ".join(f"""',"{name}":', coalesce(h.{name}::VARCHAR, 'null')""" for name in ("first_ms", *COUNTS))
    + ")"
)
"""The line up to its counts, written again from what was read of it: no other text has it."""
_BOUNDS = f"""least(h.ts, h.ms, h.first_ms) >= 0 and h.ts < 1e11 and greatest(h.ms, h.first_ms) < 1e12
and coalesce(least({", ".join(f"h.{name}" for name in COUNTS)}), 0) >= 0
and coalesce(greatest({", ".join(f"h.{name}" for name in COUNTS)}), 0) < 1000000000000000000"""
"""Those of the plain reader for this form."""
_BEFORE_COMMON, _TAGS, _BEHIND = ',"api":', ',"tags":[', '],"src":'
_LONGEST_LINE = 1 << 20
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
        f"""create temp table kinds (kind_id INTEGER, head VARCHAR, rest VARCHAR);
        create temp table texts (text_id INTEGER, text VARCHAR);
        create temp table others (shard INTEGER, place BIGINT, line VARCHAR, started VARCHAR);
        create temp table plain (shard INTEGER, place BIGINT, id VARCHAR, kind_id INTEGER, text_id INTEGER,
        ts DECIMAL(18, 6), ms DECIMAL(18, 3), first_ms DECIMAL(18, 3){counts})"""
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
    if _one(con, f"select max(strlen(line)) > {_LONGEST_LINE} from others"):
        msg = "a line is longer than those that we write"
        raise NotEqualError(msg)


def _load(con: duckdb.DuckDBPyConnection, shards: list[Path], first: int) -> None:
    """Each of these steps splits or parses a text once; slices of a text, and patterns, take many times as long."""
    fields = ", ".join(f'"{name}":"{kind}"' for name, kind in _FIELDS.items())
    con.execute(
        f"""create temp table parsed as
        with a as (select list_position(?, filename) + {first - 1} as shard, line,
                   string_split(line, '{_BEFORE_COMMON}') as p from {_LINES}),
        b as (select shard, line, p[2] as tail, case when len(p) = 2 and strlen(line) <= {_LONGEST_LINE}
              and starts_with(line, '{_OURS}') and ends_with(line, '}}') then p[1] end as head from a),
        c as (select *, try(json_transform(concat(head, '}}'), '{{{fields}}}')) as h,
              string_split(tail, '{_TAGS}') as q from b),
        d as (select *, string_split(q[2], '{_BEHIND}') as r from c),
        e as (select *, coalesce(head = {_WRITTEN} and {_BOUNDS} and regexp_full_match(h.id, '{_ID}')
              and len(q) = 2 and len(r) = 2, false) as is_plain from d)
        select shard, case when not is_plain then line end as line, q[1] as head, r[2] as rest, r[1] as text, h.* from e""",
        [[str(s) for s in shards], [str(s) for s in shards]],
    )
    for what, columns in (("kind", "head, rest"), ("text", "text")):
        con.execute(
            f"""insert into {what}s select (select count(*) from {what}s) + row_number() over (), {columns} from
            (select distinct {columns} from parsed where line is null) anti join {what}s using ({columns})"""
        )
    con.execute(
        f"""insert into plain select shard, p.rowid, {", ".join(_FIELDS).replace("id,", "id, kind_id, text_id,", 1)}
        from parsed p join kinds using (head, rest) join texts using (text) where line is null"""
    )
    con.execute(
        f"""insert into others select shard, rowid, line, case when starts_with(line, '{{"t":"start"')
        and regexp_full_match(line, '{_START}') then split_part(line, '"', 10) end
        from parsed where line is not null; drop table parsed"""
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
