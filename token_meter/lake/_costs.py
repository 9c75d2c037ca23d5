"""What each call of a table costs: by SQL where its price is one of rates per token, by the price book elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from token_meter.lake._rows import Loaded, insert, usage_of
from token_meter.ledger import COUNTS, Row

if TYPE_CHECKING:
    import duckdb

    from token_meter.prices import PriceBook
    from token_meter.types import Call, Price

_HOUR_S = 3_600
_NEVER = 10**11
_SCALE = Decimal(10**12)
_RATES = (
    "kind_id INTEGER, since BIGINT, until BIGINT, up_to BIGINT, output BOOLEAN, cached BOOLEAN, one_way BOOLEAN,"
    " r_in BIGINT, r_out BIGINT, r_cached BIGINT, source VARCHAR"
)
COST = ("cost_usd DECIMAL(38, 12)", "price_source VARCHAR", "missing VARCHAR[]")


def price_calls(con: duckdb.DuckDBPyConnection, loaded: Loaded, book: PriceBook) -> None:
    """Make the table `costs` (shard, place, cost_usd, price_source, missing) for the calls of `plain`.

    A call whose price is not known has no cost there, which is not 0.
    """
    bounds = con.execute("select floor(min(ts))::BIGINT, floor(max(ts))::BIGINT from plain").fetchone()
    began, ended = bounds or (None, None)
    rates: list[list[Any]] = []
    if began is not None:
        known: dict[Any, list[list[Any]]] = {}
        for kind_id, row in loaded.kinds.items():
            key = row.call._replace(id="", attempt=0, streamed=False, error=None, status=None)
            if key not in known:
                known[key] = list(_periods(book, row.call, began, ended))
            rates += ([kind_id, *period] for period in known[key])
    insert(con, "rates", rates, _RATES)
    con.execute(f"create temp table costs (shard INTEGER, place BIGINT, {', '.join(COST)})")
    con.execute(
        """insert into costs select shard, place,
        ((prompt_tokens * r_in::HUGEINT + coalesce(completion_tokens, 0) * r_out::HUGEINT
         + coalesce(cached_tokens, 0) * r_cached::HUGEINT)::DECIMAL(25, 0) * 0.000000000001::DECIMAL(13, 12)), source,
        []::VARCHAR[] from plain c join rates r on c.kind_id = r.kind_id and c.ts >= r.since and c.ts < r.until
        where prompt_tokens <= up_to and coalesce(cache_write_tokens, 0) = 0
        and coalesce(cached_tokens, 0) <= prompt_tokens and (coalesce(cached_tokens, 0) = 0 or cached)
        and (completion_tokens is not null or one_way) and (coalesce(completion_tokens, 0) = 0 or output)
        and total_tokens = prompt_tokens + coalesce(completion_tokens, 0)
        and coalesce(reasoning_tokens, 0) <= coalesce(completion_tokens, 0)"""
    )
    found = con.execute(
        f"""select list(struct_pack(shard, place)), kind_id, floor(ts / 900)::BIGINT * 900, {", ".join(COUNTS)}
        from plain anti join costs using (shard, place) group by all"""
    ).fetchall()
    made: list[list[Any]] = []
    for places, kind_id, at_s, *counts in found:
        call = loaded.kinds[kind_id].call._replace(started_s=float(at_s), usage=usage_of(counts))
        cells = cells_of(book.price(call))
        made += ([place["shard"], place["place"], *cells] for place in places)
    insert(con, "costs", made)


def cells_of(price: Price) -> list[Any]:
    """The cells of a price: 12 places behind the point, which is a millionth of a cent's thousandth."""
    cost = None if price.cost is None else price.cost.quantize(Decimal("1e-12"))
    return [cost, price.source, list(price.missing)]


def priced(row: Row, book: PriceBook) -> list[Any]:
    """The cells of one row."""
    return cells_of(book.price(row.call))


def _periods(book: PriceBook, call: Call, began: int, ended: int) -> Iterator[list[Any]]:
    """The rates that hold for calls like *call* from *began* to *ended*, where its price is one of rates per token."""
    at = began
    while at <= ended:
        rule = book.linear(call._replace(started_s=float(at)))
        if rule is None or not rule.per_token or not at < rule.until:
            at = at - at % _HOUR_S + _HOUR_S
            continue
        until = min(int(rule.until), _NEVER) if rule.until < _NEVER else _NEVER
        scaled = [rate * _SCALE for rate in rule.per_token]
        if all(rate == int(rate) for rate in scaled):
            up_to = int(min(rule.up_to, _NEVER))
            yield [at, until, up_to, rule.output, rule.cached, rule.one_way, *map(int, scaled), rule.source]
        at = until
