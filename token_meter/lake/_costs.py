"""What each call of a table costs: by SQL where its price is one of rates per token, by the price book elsewhere."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from token_meter.lake._duck import insert
from token_meter.lake._rows import Loaded, usage_of
from token_meter.ledger import COUNTS, Row
from token_meter.types import Usage

if TYPE_CHECKING:
    import duckdb

    from token_meter.prices import PriceBook
    from token_meter.types import Call, Price

_HOUR_S = 3_600
_NEVER = 10**11
_SCALE = 10**12
_RATES = (
    "kind_id INTEGER, since BIGINT, until BIGINT, up_to BIGINT, output BOOLEAN, cached BOOLEAN, one_way BOOLEAN,"
    " r_in BIGINT, r_out BIGINT, r_cached BIGINT, price_id INTEGER"
)
_PRICED = """make_timestamp((ts::DECIMAL(28, 6) * 1000000)::BIGINT) as started_at,
make_timestamp((ts::DECIMAL(28, 6) * 1000000)::BIGINT)::DATE as day"""
_SLOT = "floor(ts / 900)::BIGINT * 900"


def price_calls(con: duckdb.DuckDBPyConnection, loaded: Loaded, book: PriceBook) -> None:
    """Make the tables `priced`, of the calls of `plain` with their day, `cost_usd` and `price_id`, and `prices`, of who
    says so and which parts have no price. A call whose price is not known has no cost there, which is not 0.
    """
    said: dict[tuple[Any, ...], int] = {}
    alike: dict[Any, list[int]] = {}
    for kind_id, row in loaded.kinds.items():
        key = row.call._replace(id="", attempt=0, streamed=False, error=None, status=None)
        alike.setdefault(key, []).append(kind_id)
    rates: list[list[Any]] = []
    for call, kinds in alike.items():
        found = con.execute(
            f"""select distinct floor(ts / {_HOUR_S})::BIGINT from plain
            where kind_id in (select unnest(?)) order by all""",
            [kinds],
        ).fetchall()
        periods = _periods(book, call, [hour for (hour,) in found], said)
        rates += ([kind_id, *period] for kind_id in kinds for period in periods)
    insert(con, "rates", rates, _RATES)
    con.execute(
        f"""create table priced as select c.*, {_PRICED},
        ((prompt_tokens * r_in::HUGEINT + coalesce(completion_tokens, 0) * r_out::HUGEINT
         + coalesce(cached_tokens, 0) * r_cached::HUGEINT)::DECIMAL(25, 0) * 0.000000000001::DECIMAL(13, 12))
        as cost_usd, price_id from plain c join rates r on c.kind_id = r.kind_id and c.ts >= r.since and c.ts < r.until
        where prompt_tokens <= up_to and coalesce(cache_write_tokens, 0) = 0
        and coalesce(cached_tokens, 0) <= prompt_tokens and (coalesce(cached_tokens, 0) = 0 or cached)
        and (completion_tokens is not null or one_way) and (coalesce(completion_tokens, 0) = 0 or output)
        and coalesce(completion_tokens, 0) < {_NEVER} and total_tokens = prompt_tokens + coalesce(completion_tokens, 0)
        and coalesce(reasoning_tokens, 0) <= coalesce(completion_tokens, 0)"""
    )
    counts = ", ".join(COUNTS)
    con.execute(
        f"""create temp table apart as select *, {_SLOT} as slot from plain anti join priced using (shard, place);
        create temp table like_them as select row_number() over () as number, * from
        (select distinct kind_id, slot, {counts} from apart)"""
    )
    made: list[list[Any]] = []
    for number, kind_id, at_s, *told in con.execute("select * from like_them").fetchall():
        call = loaded.kinds[kind_id].call._replace(started_s=float(at_s), usage=usage_of(told))
        cost, *rest = cells_of(book.price(call))
        made.append([number, cost, _numbered(said, rest)])
    insert(con, "made", made, "number BIGINT, cost_usd DECIMAL(38, 12), price_id INTEGER")
    same = " and ".join(f"a.{name} is not distinct from l.{name}" for name in ("kind_id", "slot", *COUNTS))
    con.execute(
        f"""insert into priced select a.* exclude (slot), {_PRICED}, cost_usd, price_id
        from apart a join like_them l on {same} join made using (number); drop table apart"""
    )
    told = [[n, source, list(missing)] for (source, missing), n in said.items()]
    insert(con, "prices", told, "price_id INTEGER, price_source VARCHAR, missing VARCHAR[]")


def _numbered(said: dict[tuple[Any, ...], int], words: list[Any]) -> int:
    source, missing = words
    return said.setdefault((source, tuple(missing)), len(said))


def cells_of(price: Price) -> list[Any]:
    """The cells of a price: 12 places behind the point, which is a millionth of a cent's thousandth."""
    cost = None if price.cost is None else price.cost.quantize(Decimal("1e-12"))
    return [cost, price.source, list(price.missing)]


def priced(row: Row, book: PriceBook) -> list[Any]:
    """The cells of one row."""
    return cells_of(book.price(row.call))


def _periods(book: PriceBook, call: Call, hours: list[int], said: dict[tuple[Any, ...], int]) -> list[list[Any]]:
    """The rates that hold for calls like *call* in these *hours*, where its price is one of rates per token or none."""
    found: list[list[Any]] = []
    at = 0
    for hour in hours:
        at = max(at, hour * _HOUR_S)
        while at < hour * _HOUR_S + _HOUR_S:
            rule = book.linear(call._replace(started_s=float(at)))
            if rule is None or not at < rule.until or (not rule.per_token and rule.refusal is None):
                break
            until = int(min(rule.until, _NEVER))
            each = [rate * _SCALE for rate in rule.per_token]
            if all(rate == int(rate) <= _SCALE for rate in each):
                words = [rule.source, ()] if each else cells_of(rule.price(Usage(1, 1, 2)))[1:]
                bounds = [int(min(rule.up_to, _NEVER)), rule.output, rule.cached, rule.one_way]
                period = [*bounds, *(map(int, each) if each else (None, None, None)), _numbered(said, words)]
                if found and found[-1][1:] == [at, *period]:  # a refusal holds for an hour, and then again
                    found[-1][1] = until
                else:
                    found.append([at, until, *period])
            at = until
    return found
