"""The rows of a ledger for a report: those that cost the same are added up by the engine, and priced once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from token_meter.lake._duck import NotEqualError, database, has_duplicates, load_lines, other_lines
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


class Loaded(NamedTuple):
    """What the lines of a ledger share.

    Attributes:
        kinds: what stands around the tags of calls, as rows without tags, time and process, by number.
        tags: sets of tags, by number.
        processes: who wrote, by number.
        skipped: how many lines are no records.
        odd: calls in other forms.
    """

    kinds: dict[int, Row]
    tags: dict[int, tuple[str, ...]]
    processes: list[str]
    skipped: int
    odd: list[Row]


class EngineReader:
    """Reads shards as `RunReader` does, for `summarise` only: figures are equal, rows are not given one by one.

    Raises:
        NotEqualError: (from `collect_into`) the plain reader has to read them.
    """

    def __init__(self, shards: list[Path], *, since_s: float | None = None, until_s: float | None = None) -> None:
        self._shards = list(shards)
        self._is_part = since_s is not None or until_s is not None
        self._since_s = -math.inf if since_s is None else since_s
        self._until_s = math.inf if until_s is None else until_s
        self._reader = _Facts(self._shards, merge=False)

    @property
    def facts(self) -> RunFacts:
        """The facts of the ledger, when it has been read."""
        return self._reader.facts

    def collect_into(self, collector: Collector) -> None:
        """Add every call to *collector*."""
        if not self._shards:
            return
        with database() as con:
            loaded = self.load(con)
            self._sums(con, collector, loaded)
        for row in loaded.odd:
            collector.add(row)

    def load(self, con: duckdb.DuckDBPyConnection) -> Loaded:
        """Make the table `plain` of the calls in the form that we write; return what they share, and other calls."""
        load_lines(con, self._shards)
        processes = self._processes(con)
        loaded = self._parts(con, processes)
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
        self._reader.add(began, ended, loaded.skipped)
        if self._is_part:
            con.execute("delete from plain where ts::DOUBLE < ? or ts::DOUBLE >= ?", [self._since_s, self._until_s])
        is_meant = (self._since_s <= row.call.started_s < self._until_s for row in odd)
        return loaded._replace(odd=[row for row, is_in in zip(odd, is_meant, strict=True) if is_in])

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

    def _parts(self, con: duckdb.DuckDBPyConnection, processes: list[str]) -> Loaded:
        """What calls share, parsed once for each text; lines of which it is no record are taken away."""
        names = list(dict.fromkeys(processes))
        con.execute("create temp table shards (shard INTEGER, process INTEGER)")
        insert(con, "shards", [[n + 1, names.index(process)] for n, process in enumerate(processes)])
        reader = LineReader("")
        kinds, tags, whole = {}, {}, {}
        for kind_id, before, behind in con.execute("select kind_id, head, rest from kinds order by kind_id").fetchall():
            head, rest = whole[kind_id] = b'"api":' + before.encode("utf-8"), behind.encode("utf-8")
            row = reader.kind(head, rest)
            if row is not None:
                kinds[kind_id] = row
        found = con.execute("select text_id, text from texts order by text_id")
        while some := found.fetchmany(2_000):
            for text_id, text in some:
                names_of = reader.tags(text.encode("utf-8"))
                if names_of is not None:
                    tags[text_id] = names_of
        insert(con, "good_kinds", [[kind] for kind in kinds], "kind_id INTEGER")
        insert(con, "good_texts", [[text] for text in tags], "text_id INTEGER")
        con.execute(
            """create temp table bad as select p.shard, p.place, p.kind_id, p.text_id from plain p
            where kind_id not in (select kind_id from good_kinds) or text_id not in (select text_id from good_texts)"""
        )
        for kind_id, text in con.execute(
            "select distinct kind_id, text from bad join texts using (text_id)"
        ).fetchall():
            head, rest = whole[kind_id]
            tail = b"," + head + b',"tags":[' + text.encode("utf-8") + b'],"src":' + rest
            if reader.shared(tail) is not None:
                msg = "a record has its fields in an order of its own"
                raise NotEqualError(msg)
        skipped = con.execute("select count(*) from bad").fetchone()
        con.execute("delete from plain where (shard, place) in (select (shard, place) from bad)")
        return Loaded(kinds, tags, names, skipped[0] if skipped else 0, [])

    def _sums(self, con: duckdb.DuckDBPyConnection, collector: Collector, loaded: Loaded) -> None:
        """Sums by place and day, of calls with the same counts above 0; where a place has few usages, one by one."""
        needs = collector.needs
        key = ["kind_id", *(["text_id"] if "tags" in needs else []), *(["process"] if "process" in needs else [])]
        found = con.execute(f"select distinct {', '.join(key)} from plain join shards using (shard)")
        rows = {}
        while some := found.fetchmany(5_000):
            for kind_id, *others in some:
                row = loaded.kinds[kind_id]
                if "tags" in needs:
                    row = row._replace(call=row.call._replace(tags=loaded.tags[others[0]]))
                if "process" in needs:
                    row = row._replace(process=loaded.processes[others[-1]])
                rows[kind_id, *others] = row
        places, plan = collector.plan(rows)
        if collector.is_cut():
            msg = "there are more groups than a report has"
            raise NotEqualError(msg)
        insert(
            con,
            "plan",
            [[*parts, n] for parts, some in plan.items() for n in some],
            ", ".join(f"{name} INTEGER" for name in [*key, "place"]),
        )
        counts, sums = ", ".join(COUNTS), ", ".join(f"sum({name})::BIGINT" for name in COUNTS)
        shape = " + ".join(
            f"(case when {name} is null then 0 when {name} = 0 then 1 else 2 end) * {3**n}"
            for n, name in enumerate(COUNTS)
        )
        con.execute(
            f"""create temp table used as select plan.place, floor(c.ts / {_DAY_S})::INTEGER as day,
            floor(c.ts / {_SLOT_S})::INTEGER as slot, process, ms, ({shape})::SMALLINT as shape,
            coalesce(prompt_tokens is not null and completion_tokens is not null
            and total_tokens = prompt_tokens + completion_tokens and coalesce(cached_tokens, 0) <= prompt_tokens
            and coalesce(reasoning_tokens, 0) <= completion_tokens
            and coalesce(cache_write_tokens, 0) = 0, false) as is_sum,
            c.shard::BIGINT << 40 | c.place as stands_at, {counts}
            from plain c join shards using (shard) join plan using ({", ".join(key)})"""
        )
        con.execute("drop table plain")
        by = "place, day" if collector.is_by_day else "place"
        con.execute(
            f"""create temp table wide as select {by} from used group by {by}
            having count(distinct hash({counts})) > {_MOST_USAGES}"""
        )
        for place, day, processes in con.execute(
            f"select place, max(day), list(distinct process) from used group by {by} order by min(stands_at)"
        ).fetchall():  # rows of a report stand in the order in which the plain reader meets them
            spot = places[place]
            who = loaded.processes[processes[0]]
            leaf = collector.leaf(spot, _at(spot.row, float(day * _DAY_S), 1, 0.0, who))
            leaf.processes.update(loaded.processes[n] for n in processes)
        if collector.is_cut():
            msg = "there are more groups than a report has"
            raise NotEqualError(msg)
        summed = con.execute(
            f"""select place, day, shape, any_value(process), count(*), sum(ms)::DOUBLE / 1000,
            max(prompt_tokens), {sums} from used semi join wide using ({by}) where is_sum
            group by place, day, shape order by day, place, shape"""
        )
        done = []
        while some := summed.fetchmany(5_000):
            for place, day, form, process, calls, duration_s, largest, *counted in some:
                row = _at(places[place].row, float(day * _DAY_S), calls, duration_s, loaded.processes[process])
                if collector.add_sum(places[place], row, usage_of(counted) or Usage(), largest, _DAY_S):
                    done.append([place, day, form])
        insert(con, "done", done, "place INTEGER, day INTEGER, shape INTEGER")
        single = con.execute(
            f"""select place, slot, any_value(process), count(*), sum(ms)::DOUBLE / 1000, {counts}
            from used left join done using (place, day, shape) where done.place is null or not is_sum
            group by place, slot, {counts} order by min(stands_at)"""
        )
        while some := single.fetchmany(5_000):
            for place, slot, process, calls, duration_s, *counted in some:
                row = _at(places[place].row, float(slot * _SLOT_S), calls, duration_s, loaded.processes[process])
                collector.add_at(places[place], row._replace(call=row.call._replace(usage=usage_of(counted))))


def usage_of(counts: list[Any]) -> Usage | None:
    """The usage of a line's six counts."""
    prompt, completion, total, cached, written, reasoning = counts
    usage = Usage(prompt, completion, total, cached, written, None, reasoning)
    return usage if any(count is not None for count in counts) else None


def _at(shared: Row, start_s: float, calls: int, duration_s: float, process: str) -> Row:
    """The row of calls from one moment on."""
    call = shared.call._replace(started_s=start_s, duration_s=duration_s / calls)
    return shared._replace(call=call, calls=calls, duration_s=duration_s, process=process)


def insert(con: duckdb.DuckDBPyConnection, table: str, values: list[list[Any]], columns: str = "") -> None:
    """Insert many rows, by columns: one by one takes a millisecond each. With *columns*, make the table first."""
    if columns:
        con.execute(f"create temp table {table} ({columns})")
    for at in range(0, len(values), 10_000):
        some = [list(column) for column in zip(*values[at : at + 10_000], strict=True)]
        con.execute(f"insert into {table} select {', '.join('unnest(?)' for _ in some)}", some)
