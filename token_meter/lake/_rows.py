"""The rows of a ledger for a report: those that cost the same are added up by the engine, and priced once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter.lake._duck import NotEqualError, connect, has_duplicates, load_lines, other_lines
from token_meter.ledger import COUNTS, Row, RunFacts, RunReader
from token_meter.ledger._batch import CALL_LINE, LineReader
from token_meter.types import Usage

if TYPE_CHECKING:
    import duckdb

    from token_meter.report import Collector

_MOST_USAGES = 32
_MOST_ODD = 100_000
_SLOT_S = 900
_DAY_S = 86_400


class _Facts(RunReader):
    """The plain reader, for the lines that the engine leaves to it."""

    def read(self, con: duckdb.DuckDBPyConnection, shards: list[Path]) -> Iterator[Row]:
        """Give the calls in other forms; facts come from the rest."""
        number = 0
        for number_of_line, line in other_lines(con):
            if number_of_line != number:
                number = number_of_line
                shard = shards[number - 1]
                self._section, self._process, self._shard = b"", shard.name, shard
            form = CALL_LINE.fullmatch(line)
            if form is not None and LineReader(self._process).shared(form[form.re.groups]) is None:
                self._skipped += 1  # the plain reader takes it for one of ours that is torn
                continue
            row = self._other(line)
            if row is not None:
                yield row

    def add(self, began: int | None, ended: int | None, skipped: int) -> None:
        """Add what the engine found."""
        self._skipped += skipped
        if began is not None and ended is not None:
            self._began = min(self._began or began, began)
            self._ended = max(self._ended, ended)


class EngineReader:
    """Reads shards as `RunReader` does, for `summarise` only: figures are equal, rows are not given one by one.

    Raises:
        NotEqualError: (from `collect_into`) the plain reader has to read them.
    """

    def __init__(self, shards: list[Path], *, since_s: float | None = None) -> None:
        self._shards, self._since_s = list(shards), since_s
        self._reader = _Facts(self._shards, merge=False, since_s=since_s)

    @property
    def facts(self) -> RunFacts:
        """The facts of the ledger, when it has been read."""
        return self._reader.facts

    def collect_into(self, collector: Collector) -> None:
        """Add every call to *collector*."""
        if not self._shards:
            return
        con = connect()
        try:
            self._collect(con, collector)
        finally:
            con.close()

    def _collect(self, con: duckdb.DuckDBPyConnection, collector: Collector) -> None:
        rows, odd = self.load(con)
        self._sums(con, collector, rows)
        for row in odd:
            collector.add(row)

    def load(self, con: duckdb.DuckDBPyConnection) -> tuple[dict[tuple[int, int], Row], list[Row]]:
        """Make the table `calls` of what is in the form that we write; return what its lines share, and other calls."""
        load_lines(con, self._shards)
        processes = self._processes(con)
        rows = self._tails(con, processes)
        skipped = con.execute("select count(*) from plain where tail_id in (select tail_id from bad)").fetchone()
        con.execute("delete from plain where tail_id in (select tail_id from bad)")
        if has_duplicates(con):
            msg = "a record stands in the ledger twice"
            raise NotEqualError(msg)
        odd = list(islice(self._reader.read(con, self._shards), _MOST_ODD + 1))
        if len(odd) > _MOST_ODD:
            msg = "too many calls have counts of the rarer kinds"
            raise NotEqualError(msg)
        con.execute("create temp table odd (id VARCHAR)")
        insert(con, "odd", [[row.call.id] for row in odd])
        if con.execute("select 1 from plain semi join odd using (id) limit 1").fetchone():
            msg = "a record stands in the ledger in two forms"
            raise NotEqualError(msg)
        known = con.execute("select floor(min(ts))::BIGINT, floor(max(ts))::BIGINT from plain").fetchone()
        began, ended = known or (None, None)
        self._reader.add(began, ended, skipped[0] if skipped else 0)
        if self._since_s is not None:
            con.execute("delete from plain where ts::DOUBLE < ?", [self._since_s])
        return rows, [row for row in odd if self._since_s is None or row.call.started_s >= self._since_s]

    def _processes(self, con: duckdb.DuckDBPyConnection) -> list[str]:
        """Who wrote each shard. In a file that was combined there are several, and a line's place tells which."""
        found = con.execute(
            "select shard, count(*), count(distinct line), min(place) from others"
            ' where line like \'{"t":"open"%\' group by shard'
        ).fetchall()
        if len(found) != len(self._shards) or any(lines > 1 for _, _, lines, _ in found):
            msg = "a file holds the records of several processes"
            raise NotEqualError(msg)
        first = con.execute(
            'select min(o.place) from others o where line like \'{"t":"open"%\' group by shard'
        ).fetchall()
        calls = con.execute("select shard, min(place) from plain group by shard order by shard").fetchall()
        places = {shard: place for shard, _, _, place in found}
        if len(first) != len(self._shards) or any(place < places[shard] for shard, place in calls):
            msg = "a file begins in its middle"
            raise NotEqualError(msg)
        probe = _Facts(self._shards, merge=False)
        names = []
        for _, line in con.execute(
            'select shard, min(line) from others where line like \'{"t":"open"%\' group by shard order by shard'
        ).fetchall():
            probe._other(line.encode())
            names.append(probe._process)
        return names

    def _tails(self, con: duckdb.DuckDBPyConnection, processes: list[str]) -> dict[tuple[int, int], Row]:
        """Each text that calls share, parsed once for each process; those that are no record go to `bad`."""
        rows: dict[tuple[int, int], Row] = {}
        bad = []
        numbers = {name: n for n, name in enumerate(dict.fromkeys(processes))}
        readers = {name: LineReader(name) for name in numbers}
        con.execute("create temp table shards (shard INTEGER, process INTEGER)")
        con.executemany("insert into shards values (?, ?)", [[n + 1, numbers[p]] for n, p in enumerate(processes)])
        found = con.execute(
            "select distinct c.tail_id, s.process, t.tail from plain c"
            " join shards s using (shard) join tails t using (tail_id)"
        )
        names = list(numbers)
        while some := found.fetchmany(2_000):
            for tail_id, process, tail in some:
                row = readers[names[process]].shared(tail.encode("ascii"))
                if row is None:
                    bad.append(tail_id)
                else:
                    rows[tail_id, process] = row
        con.execute("create temp table bad (tail_id BIGINT)")
        if bad:
            con.executemany("insert into bad values (?)", [[tail_id] for tail_id in dict.fromkeys(bad)])
        return rows

    def _sums(self, con: duckdb.DuckDBPyConnection, collector: Collector, rows: dict[tuple[int, int], Row]) -> None:
        """Sums by place and day, of calls with the same counts above 0; where a place has few usages, one by one."""
        places, found = collector.plan(rows)
        if collector.is_cut:
            msg = "there are more groups than a report has"
            raise NotEqualError(msg)
        con.execute("create temp table plan (tail_id BIGINT, process INTEGER, place INTEGER)")
        insert(con, "plan", [[tail, process, n] for (tail, process), some in found.items() for n in some])
        counts, sums = ", ".join(COUNTS), ", ".join(f"sum({name})::BIGINT" for name in COUNTS)
        shape = " + ".join(
            f"(case when {name} is null then 0 when {name} = 0 then 1 else 2 end) * {3**n}"
            for n, name in enumerate(COUNTS)
        )
        con.execute(
            f"""create temp table used as select p.place, floor(c.ts / {_DAY_S})::INTEGER as day,
            floor(c.ts / {_SLOT_S})::INTEGER as slot, c.tail_id, s.process, ms, ({shape})::SMALLINT as shape,
            coalesce(prompt_tokens is not null and completion_tokens is not null
            and total_tokens = prompt_tokens + completion_tokens and coalesce(cached_tokens, 0) <= prompt_tokens
            and coalesce(reasoning_tokens, 0) <= completion_tokens
            and coalesce(cache_write_tokens, 0) = 0, false) as is_sum,
            c.shard::BIGINT << 40 | c.place as stands_at, {counts}
            from plain c join shards s using (shard) join plan p on p.tail_id = c.tail_id and p.process = s.process"""
        )
        con.execute("drop table plain")
        leaf = "place, day" if collector.is_by_day else "place"
        con.execute(
            f"""create temp table wide as select {leaf} from used group by {leaf}
            having count(distinct hash({counts})) > {_MOST_USAGES}"""
        )
        for place, day in con.execute(
            f"select place, max(day) from used group by {leaf} order by min(stands_at)"
        ).fetchall():  # rows of a report stand in the order in which the plain reader meets them
            row, group = places[place]
            collector.begin(group, _at(row, float(day * _DAY_S), 1, 0.0))
        summed = con.execute(
            f"""select place, day, shape, any_value(tail_id), any_value(process), count(*), sum(ms)::DOUBLE / 1000,
            max(prompt_tokens), {sums} from used semi join wide using ({leaf}) where is_sum
            group by place, day, shape order by day, place, shape"""
        ).fetchall()
        done = []
        for place, day, form, tail, process, calls, duration_s, largest, *counted in summed:
            row = _at(rows[tail, process], float(day * _DAY_S), calls, duration_s)
            if collector.add_sum(places[place][1], row, _usage(counted) or Usage(), largest, _DAY_S):
                done.append([place, day, form])
        con.execute("create temp table done (place INTEGER, day INTEGER, shape SMALLINT)")
        insert(con, "done", done)
        single = con.execute(
            f"""select place, slot, any_value(tail_id), any_value(process), count(*), sum(ms)::DOUBLE / 1000, {counts}
            from used left join done using (place, day, shape) where done.place is null or not is_sum
            group by place, slot, {counts} order by min(stands_at)"""
        )
        while some := single.fetchmany(5_000):
            for place, slot, tail, process, calls, duration_s, *counted in some:
                row = _at(rows[tail, process], float(slot * _SLOT_S), calls, duration_s)
                call = row.call._replace(usage=_usage(counted))
                collector.add_at(places[place][1], row._replace(call=call))


def _usage(counts: list[Any]) -> Usage | None:
    prompt, completion, total, cached, written, reasoning = counts
    usage = Usage(prompt, completion, total, cached, written, None, reasoning)
    return usage if any(count is not None for count in counts) else None


def _at(shared: Row, start_s: float, calls: int, duration_s: float) -> Row:
    """The row of calls from one moment on."""
    call = shared.call._replace(started_s=start_s, duration_s=duration_s / calls)
    return shared._replace(call=call, calls=calls, duration_s=duration_s)


def insert(con: duckdb.DuckDBPyConnection, table: str, values: list[list[Any]]) -> None:
    """Insert many rows: one by one takes a millisecond each."""
    for at in range(0, len(values), 1_000):
        some = values[at : at + 1_000]
        marks = ", ".join(f"({', '.join('?' * len(some[0]))})" for _ in some)
        con.execute(f"insert into {table} values {marks}", [cell for row in some for cell in row])
