"""The rows of a ledger for a report: those that cost the same are added up by the engine, and priced once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby, islice, pairwise
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from token_meter.lake._duck import Lines, NotEqualError, database, insert
from token_meter.ledger import COUNTS, Row, RunFacts, RunReader
from token_meter.ledger._batch import Keeper
from token_meter.ledger._seen import split_id, value_of
from token_meter.report._sums import kind_of
from token_meter.types import Usage

if TYPE_CHECKING:
    import duckdb

    from token_meter.report import Collector

_MOST_USAGES = 32
_MOST_ODD = 100_000
_SLOT_S = 900
_DAY_S = 86_400
_MOST_IDLE = 31


class _Facts(RunReader):
    """The plain reader, for the lines that the engine leaves to it."""

    def __init__(self, shards: list[Path]) -> None:
        super().__init__(shards, merge=False)
        self.names: dict[int, str] = {}

    def read(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Row]:
        """Give the calls in other forms; facts come from the rest."""
        for number, some in groupby(lines, itemgetter(0)):
            yield from self._rows(self._shards[number - 1], (line for _, line in some), Keeper())
            self.names[number] = self._process

    def add(self, con: duckdb.DuckDBPyConnection, odd: list[Row]) -> None:
        """Add what the engine found: times, and that calls have ended.

        Raises:
            NotEqualError: what the plain reader would say depends on the order of lines.
        """
        times = [row.call.started_s for row in odd]
        for bound in con.execute("select min(ts)::DOUBLE, max(ts)::DOUBLE from plain").fetchone() or ():
            times += [] if bound is None else [bound]
        started = {_spelled(*id_): id_ for id_ in self._in_flight}
        spelled = (id_.encode("utf-8", "replace") == b"-".join(found) for id_, found in started.items())
        if any(at_s < _DAY_S for at_s in times) or not all(spelled):
            msg = "a record has a time or an id that we never write"
            raise NotEqualError(msg)
        if times:
            self._began, self._ended = min(map(int, times)), max(self._ended, *map(int, times))
        insert(con, "started", [[id_] for id_ in started], "id VARCHAR")
        for (id_,) in con.execute("select id from started semi join plain using (id)").fetchall():
            del self._in_flight[started[id_]]


class Loaded(NamedTuple):
    """What the lines of a ledger share.

    Attributes:
        kinds: what stands around the tags of calls, as rows without tags, time and process, by number.
        tags: sets of tags, by number.
        processes: who wrote, by number.
        odd: calls in other forms.
    """

    kinds: dict[int, Row]
    tags: dict[int, tuple[str, ...]]
    processes: list[str]
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
        self._reader = _Facts(self._shards)

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
        lines = Lines(con)
        lines.load(self._shards)
        if lines.has_duplicates():
            msg = "a record stands in the ledger twice"
            raise NotEqualError(msg)
        odd = list(islice(self._reader.read(lines.others()), _MOST_ODD + 1))
        if len(odd) > _MOST_ODD:
            msg = "too many calls have counts of the rarer kinds"
            raise NotEqualError(msg)
        con.execute("create temp table odd (id VARCHAR)")
        insert(con, "odd", [[_spelled(*split_id(row.call.id))] for row in odd])
        if con.execute("select 1 from plain semi join odd using (id) limit 1").fetchone():
            msg = "a record stands in the ledger in two forms"
            raise NotEqualError(msg)
        processes = self._processes(con)
        self._reader.add(con, odd)
        if self._is_part:
            con.execute("delete from plain where ts::DOUBLE < ? or ts::DOUBLE >= ?", [self._since_s, self._until_s])
        is_meant = (self._since_s <= row.call.started_s < self._until_s for row in odd)
        meant = [row for row, is_in in zip(odd, is_meant, strict=True) if is_in]
        return Loaded(lines.kinds, lines.tags, processes, meant)

    def _processes(self, con: duckdb.DuckDBPyConnection) -> list[str]:
        """Who wrote, and the table `shards` of who wrote which. In a file that was combined there are several, and a
        line's place tells which.
        """
        con.execute(
            """create temp table opened as select shard, count(distinct line) as times, min(place) as place
            from others where starts_with(line, '{"t":"open"') group by shard"""
        )
        strange = con.execute(
            """select 1 from (select shard, min(place) as place from plain group by shard) c
            left join opened o using (shard) where o.times is null or o.times > 1 or c.place < o.place limit 1"""
        ).fetchone()
        sections = con.execute(
            """select count(distinct line) from others where starts_with(line, '{"t":"open"')"""
        ).fetchone()
        if strange or sections != (self._reader.facts.processes,):
            msg = "a file holds the records of several processes, or begins in its middle"
            raise NotEqualError(msg)
        found = con.execute("select distinct shard from plain").fetchall()
        writers = {shard: self._reader.names[shard] for (shard,) in found}
        names = list(dict.fromkeys(writers.values()))
        con.execute("create temp table shards (shard INTEGER, process INTEGER)")
        insert(con, "shards", [[shard, names.index(name)] for shard, name in writers.items()])
        return names

    def _sums(self, con: duckdb.DuckDBPyConnection, collector: Collector, loaded: Loaded) -> None:
        """Sums by place and span of time, of calls with the same counts above 0; where a place has few usages, one by
        one.
        """
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
        counts, sums = ", ".join(COUNTS), ", ".join(f"sum({name})" for name in COUNTS)
        shape = " + ".join(
            f"(case when {name} is null then 0 when {name} = 0 then 1 else 2 end) * {3**n}"
            for n, name in enumerate(COUNTS)
        )
        found = con.execute(f"select distinct floor(ts / {_DAY_S})::INTEGER from plain order by all")
        spans = _spans(collector, rows, [day for (day,) in found.fetchall()])
        of_day = [[day, span] for span, days in spans.items() for day in days]
        insert(con, "spans", of_day, "day INTEGER, span INTEGER")
        con.execute(
            f"""create temp table used as select plan.place, span,
            floor(c.ts / {_SLOT_S})::INTEGER as slot, process, ms, ({shape})::SMALLINT as shape,
            coalesce(prompt_tokens is not null and completion_tokens is not null
            and total_tokens = prompt_tokens + completion_tokens and coalesce(cached_tokens, 0) <= prompt_tokens
            and coalesce(reasoning_tokens, 0) <= completion_tokens
            and coalesce(cache_write_tokens, 0) = 0, false) as is_sum,
            c.shard::BIGINT << 40 | c.place as stands_at, {counts}
            from plain c join shards using (shard) join plan using ({", ".join(key)})
            join spans on day = floor(c.ts / {_DAY_S})::INTEGER"""
        )
        con.execute("drop table plain")
        by = "place, span" if collector.is_by_day else "place"
        con.execute(  # a bit for each hash: more bits than that are more usages than that, and cost less to count
            f"""create temp table wide as select {by} from used group by {by}
            having bit_count(bit_or(1::UBIGINT << (hash({counts}) & 63))) > {_MOST_USAGES}"""
        )
        for place, span, processes in con.execute(
            f"select place, max(span), list(distinct process) from used group by {by} order by min(stands_at)"
        ).fetchall():  # rows of a report stand in the order in which the plain reader meets them
            spot = places[place]
            who = loaded.processes[processes[0]]
            leaf = collector.leaf(spot, _at(spot.row, float(span * _DAY_S), 1, 0.0, who))
            leaf.processes.update(loaded.processes[n] for n in processes)
        if collector.is_cut():
            msg = "there are more groups than a report has"
            raise NotEqualError(msg)
        summed = con.execute(
            f"""select place, span, shape, any_value(process), count(*), sum(ms)::DOUBLE / 1000,
            max(prompt_tokens), {sums} from used semi join wide using ({by}) where is_sum
            group by place, span, shape order by span, place, shape"""
        )
        done = []
        while some := summed.fetchmany(5_000):
            for place, span, form, process, calls, duration_s, largest, *counted in some:
                row = _at(places[place].row, float(span * _DAY_S), calls, duration_s, loaded.processes[process])
                seconds = (spans[span][-1] + 1 - span) * _DAY_S
                if collector.add_sum(places[place], row, usage_of(counted) or Usage(), largest, seconds):
                    done.append([place, span, form])
        insert(con, "done", done, "place INTEGER, span INTEGER, shape INTEGER")
        single = con.execute(
            f"""select place, slot, any_value(process), count(*), sum(ms)::DOUBLE / 1000, {counts}
            from used left join done using (place, span, shape) where done.place is null or not is_sum
            group by place, slot, {counts} order by min(stands_at)"""
        )
        while some := single.fetchmany(5_000):
            for place, slot, process, calls, duration_s, *counted in some:
                row = _at(places[place].row, float(slot * _SLOT_S), calls, duration_s, loaded.processes[process])
                collector.add_at(places[place], row._replace(call=row.call._replace(usage=usage_of(counted))))


def _spans(collector: Collector, rows: Mapping[Any, Row], days: list[int]) -> dict[int, list[int]]:
    """The days with calls, by the first of those in which prices stay as they are, as far as is known."""
    starts = set(days) if collector.is_by_day else {day for before, day in pairwise(days) if day - before > _MOST_IDLE}
    calls = {} if collector.is_by_day else {kind_of(row.call): row.call for row in rows.values()}
    for call in calls.values():
        before, until = None, -math.inf
        for day in days:
            if (day + 1) * _DAY_S <= until:
                continue
            rule = collector.linear(call._replace(started_s=float(day * _DAY_S)))
            until = -math.inf if rule is None else rule.until
            changes = rule is not None and rule.refusal is None and until < (day + 1) * _DAY_S
            price = day if changes else rule and (rule.refusal or str(rule.since))
            if price != before:
                starts.add(day)
            before = price
    spans: dict[int, list[int]] = {}
    span = days[0] if days else 0
    for day in days:
        span = day if day in starts else span
        spans.setdefault(span, []).append(day)
    return spans


def usage_of(counts: list[Any]) -> Usage | None:
    """The usage of a line's six counts."""
    prompt, completion, total, cached, written, reasoning = counts
    usage = Usage(prompt, completion, total, cached, written, None, reasoning)
    return usage if any(count is not None for count in counts) else None


def _at(shared: Row, start_s: float, calls: int, duration_s: float, process: str) -> Row:
    """The row of calls from one moment on."""
    call = shared.call._replace(started_s=start_s, duration_s=duration_s / calls)
    return shared._replace(call=call, calls=calls, duration_s=duration_s, process=process)


def _spelled(prefix: bytes, number: bytes) -> str:
    """An id as we write it: ids of which the numbers are equal are one."""
    value = value_of(number)
    text = number if value < 0 else b"%x" % value
    return (prefix + b"-" + text).decode("utf-8", "replace")
