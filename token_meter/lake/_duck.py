"""Ledger lines as a table of DuckDB, by the rules of the plain reader.

Lines that have the form in which we write a call are taken apart by DuckDB. Their last part, which many calls share, is
parsed once for each text by the plain reader's own code, and every other line is left to that reader: so no rule is
written twice. What the engine cannot know to be equal, it leaves to the plain reader as a whole (`NotEqualError`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from token_meter.exceptions import ConfigError
from token_meter.ledger import COUNTS, Row
from token_meter.ledger._batch import LineReader

if TYPE_CHECKING:
    import duckdb

MEMORY = "160MB"
_OURS = '{"t":"call","v":2,"id":"'
_ID = "[0-9a-f]{16}-(?:0|[1-9a-f][0-9a-f]{0,7})"
_START = r'\{"t":"start","v":[12],"id":"[0-9a-f]+-[0-9a-f]+","ts":[0-9]{1,11}\.[0-9]{6}(?:,.*)?\}'
_NULL = "\x1e"
_LINES = (
    "read_csv(?, columns={'line':'VARCHAR'}, delim='\x1f', quote='', escape='', comment='', header=false,"
    " auto_detect=false, filename=true, max_line_size=2097152, buffer_size=8388608, new_line='\\n',"
    f" nullstr='{_NULL}', strict_mode=true)"
)
_NUMBERS = ("ts", "ms", "first_ms", *COUNTS)
_SPEC = ", ".join(f'"{name}":"{"BIGINT" if name in COUNTS else "DOUBLE"}"' for name in _NUMBERS)
_DECIMALS = {"ts": 6, "ms": 3, "first_ms": 3}
_EXACT = ", ".join(
    f"try_cast(h.{name} as DECIMAL(18, {_DECIMALS[name]})) as {name}" if name in _DECIMALS else f"h.{name} as {name}"
    for name in ("id", *_NUMBERS)
)
_WRITTEN = (
    f"""concat('{_OURS}', id, '","ts":', ts::VARCHAR, ',"ms":', ms::VARCHAR, """
    + ", ".join(f"""',"{name}":', coalesce({name}::VARCHAR, 'null')""" for name in ("first_ms", *COUNTS))
    + ")"
)
"""The line up to its counts, written again from what was read of it: no other text has it."""
_BOUNDS = f"""least(ts, ms, first_ms) >= 0 and ts < 1e11 and greatest(ms, first_ms) < 1e12
and coalesce(least({", ".join(COUNTS)}), 0) >= 0
and coalesce(greatest({", ".join(COUNTS)}), 0) < 1000000000000000000"""
"""Those of the plain reader for this form."""
_BEFORE_COMMON, _TAGS, _BEHIND = ',"api":', ',"tags":[', '],"src":'
_LONGEST_LINE = 1 << 20
_THREADS = 4
_LOADERS = 2
_AT_ONCE = 24_000_000
"""Bytes of files, at least, that are taken apart together; each loader has so many in memory, or one file."""


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
        NotEqualError: it fails.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        msg = "this needs DuckDB; install it with: pip install 'token-meter[lake]'"
        raise ConfigError(msg) from None
    with _spill() as spill:
        con = duckdb.connect()
        try:
            quoted = spill.replace("'", "''")
            con.execute(f"set memory_limit='{MEMORY}'; set threads={min(_THREADS, os.cpu_count() or 1)}")
            con.execute(f"set preserve_insertion_order=true; set temp_directory='{quoted}'")
            con.execute("set autoinstall_known_extensions=false; set autoload_known_extensions=false")
            con.execute("set timezone='UTC'")
            yield con
        except duckdb.Error as exc:
            raise NotEqualError(str(exc).splitlines()[0]) from exc
        finally:
            con.close()


@contextmanager
def _spill() -> Iterator[str]:
    """A directory for what does not fit in memory; on a machine where nothing can be written, none."""
    with ExitStack() as stack:
        try:
            spill = stack.enter_context(tempfile.TemporaryDirectory(prefix="token_meter-", ignore_cleanup_errors=True))
        except OSError:
            spill = ""
        yield spill


class Lines:
    """The lines of a ledger, as tables: `plain` (calls), `kinds` and `texts` (the numbers of what they share, which is
    what stands around their tags, and the tags), and `others` (the rest, which is left to the plain reader).

    Attributes:
        kinds: what stands around the tags of calls, as rows without tags, time and process, by number.
        tags: sets of tags, by number.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self._con = con
        self._turn = Lock()
        self._reader = LineReader("")
        self.kinds: dict[int, Row] = {}
        self.tags: dict[int, tuple[str, ...]] = {}
        counts = "".join(f", {name} BIGINT" for name in COUNTS)
        con.execute(
            f"""create table kinds (kind_id INTEGER, head VARCHAR, rest VARCHAR);
            create table texts (text_id INTEGER, text VARCHAR);
            create table others (shard INTEGER NOT NULL, place BIGINT, line VARCHAR, started VARCHAR);
            create table plain (shard INTEGER NOT NULL, place BIGINT, id VARCHAR, kind_id INTEGER, text_id INTEGER,
            ts DECIMAL(18, 6), ms DECIMAL(18, 3), first_ms DECIMAL(18, 3){counts})"""
        )

    def load(self, shards: list[Path]) -> None:
        """Fill the tables. Some files are read at a time, so that memory is bounded.

        Raises:
            NotEqualError: a line cannot be taken apart as the plain reader would.
        """
        groups: dict[int, list[Path]] = {}
        size = _AT_ONCE
        for n, shard in enumerate(shards, 1):
            if size >= _AT_ONCE:
                first, size = n, 0
            groups.setdefault(first, []).append(shard)
            size += shard.stat().st_size
        with ThreadPoolExecutor(_LOADERS) as pool:  # what keeps the order of lines runs on one core
            try:
                for _ in pool.map(self._load, groups.keys(), groups.values()):
                    pass
            except Exception as exc:
                pool.shutdown(cancel_futures=True)
                raise NotEqualError(str(exc).splitlines()[0]) from exc
        if _one(self._con, f"select max(strlen(line)) > {_LONGEST_LINE} from others"):
            msg = "a line is longer than those that we write"
            raise NotEqualError(msg)

    def _load(self, first: int, shards: list[Path]) -> None:
        """Each of these steps splits or parses a text once; slices of a text, and patterns, take many times as long."""
        con = self._con.cursor()
        names = [str(shard) for shard in shards]
        con.execute(
            f"""create temp table parsed as
            with a as (select list_position(?, filename) + {first - 1} as shard, coalesce(line, '{_NULL}') as line,
                       string_split(line, '{_BEFORE_COMMON}') as p from {_LINES}),
            b as (select shard, line, p[2] as tail, case when len(p) = 2 and strlen(line) <= {_LONGEST_LINE}
                  and starts_with(line, '{_OURS}') and ends_with(line, '}}') then p[1] end as head from a),
            c as (select *, try(json_transform(head || '}}', '{{"id":"VARCHAR",{_SPEC}}}')) as h,
                  string_split(tail, '{_TAGS}') as q from b),
            d as (select shard, line, head, q, string_split(q[2], '{_BEHIND}') as r, {_EXACT} from c),
            e as (select *, coalesce(head = {_WRITTEN} and {_BOUNDS} and regexp_full_match(id, '{_ID}')
                  and len(q) = 2 and len(r) = 2, false) as is_plain from d)
            select shard, case when not is_plain then line end as line, q[1] as head, r[2] as rest, r[1] as text,
            id, {", ".join(_NUMBERS)} from e""",
            [names, names],
        )
        with self._turn:
            is_ours = self._share(con)
            con.execute(
                f"""insert into plain select shard, p.rowid, id, kind_id, text_id, {", ".join(_NUMBERS)}
                from parsed p join kinds using (head, rest) join texts using (text) where line is null"""
            )
            con.execute(
                f"""insert into others with a as (select shard, rowid as place, line, case when
                starts_with(line, '{{"t":"start"') and strlen(line) <= {_LONGEST_LINE}
                and regexp_full_match(line, '{_START}') then split_part(line, '"', 10) end as started
                from parsed where line is not null) select * from a where started is null or started not in
                (select id from plain where shard between {first} and {first + len(shards) - 1})"""
            )
            if not is_ours:  # the plain reader gets the whole line
                con.execute(
                    f"""insert into others select shard, p.rowid,
                    concat({_WRITTEN}, '{_BEFORE_COMMON}', head, '{_TAGS}', text, '{_BEHIND}', rest), null from parsed p
                    anti join plain c on c.shard = p.shard and c.place = p.rowid where line is null"""
                )
        con.execute("drop table parsed")

    def _share(self, con: duckdb.DuckDBPyConnection) -> bool:
        """Give numbers to what calls share, parsed once for each text by the plain reader's code; return whether it
        understands them all.
        """
        new = "select distinct {0} from parsed anti join {1} using ({0}) where line is null"
        is_ours = True
        for head, rest in con.execute(new.format("head, rest", "kinds")).fetchall():
            row = self._reader.kind(b'"api":' + head.encode("utf-8"), rest.encode("utf-8"))
            if row is None:
                is_ours = False
            else:
                con.execute("insert into kinds values (?, ?, ?)", [len(self.kinds), head, rest])
                self.kinds[len(self.kinds)] = row
        texts = con.execute(new.format("text", "texts"))
        while some := [text for (text,) in texts.fetchmany(10_000)]:
            read = [self._reader.tags(text.encode("utf-8")) for text in some]
            found = [(text, tags) for text, tags in zip(some, read, strict=True) if tags is not None]
            is_ours = is_ours and len(found) == len(some)
            numbered = range(len(self.tags), len(self.tags) + len(found))
            self.tags.update(zip(numbered, (tags for _, tags in found), strict=True))
            insert(self._con.cursor(), "texts", [[n, text] for n, (text, _) in zip(numbered, found, strict=True)])
        return is_ours

    def others(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are no plain call, in order, with the number of their shard; starts, if they have no end."""
        found = self._con.execute(
            "select shard, line from others where started is null or started not in"
            " (select id from plain) order by shard, place"
        )
        while rows := found.fetchmany(1_000):
            for shard, line in rows:
                yield shard, line.encode("utf-8")

    def has_duplicates(self) -> bool:
        """Whether one id stands in two lines."""
        if not _one(self._con, "select count(*) > count(distinct hash(id)) from plain"):  # a third of the memory
            return False
        return bool(_one(self._con, "select count(*) > count(distinct id) from plain"))


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    found = con.execute(sql).fetchone()
    return found[0] if found else None


def insert(con: duckdb.DuckDBPyConnection, table: str, values: list[list[Any]], columns: str = "") -> None:
    """Insert many rows, by columns: one by one takes a millisecond each. With *columns*, make the table first."""
    if columns:
        con.execute(f"create temp table {table} ({columns})")
    for at in range(0, len(values), 10_000):
        some = [[_sound(cell) for cell in column] for column in zip(*values[at : at + 10_000], strict=True)]
        con.execute(f"insert into {table} select {', '.join('unnest(?)' for _ in some)}", some)


def _sound(cell: Any) -> Any:
    """A name may hold half a letter, which a ledger can say and a table cannot."""
    if isinstance(cell, list):
        return [_sound(part) for part in cell]
    if isinstance(cell, str) and not cell.isascii():
        return cell.encode("utf-8", "replace").decode("utf-8")
    return cell
