"""What a line says comes back; what it must not say is not in it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.helpers import T0, a_call, rows_of
from token_meter.ledger import Ledger, _line
from token_meter.types import Call, Price, Usage

counts = st.one_of(st.none(), st.integers(0, 10**12))
names = st.one_of(st.none(), st.text(max_size=150))
usages = st.builds(
    Usage,
    *[counts] * 14,
    st.one_of(st.none(), st.floats(0, 1e6, allow_nan=False)),
    counts,
    counts,
    st.one_of(st.none(), st.decimals(0, 1000, places=9)),
)
calls = st.builds(
    Call,
    st.one_of(st.just("00000000000000a1-0"), st.text(max_size=30)),
    st.floats(0, 2e9).map(lambda f: round(f, 6)),
    st.floats(0, 1e5).map(lambda f: round(f, 6)),
    names,
    st.text(min_size=1, max_size=20),
    request_model=names,
    response_model=names,
    usage=st.one_of(st.none(), usages),
    certainty=st.sampled_from(["exact", "estimated", "lower_bound", "unmeasured"]),
    outcome=st.sampled_from(["complete", "closed", "cancelled", "error", "abandoned"]),
    status=st.one_of(st.none(), st.integers(100, 599)),
    error=names,
    service_tier=names,
    first_token_s=st.one_of(st.none(), st.floats(0, 1e4).map(lambda f: round(f, 6))),
    attempt=st.integers(0, 9),
    streamed=st.booleans(),
    tags=st.lists(st.text(max_size=20), max_size=3).map(tuple),
    source=st.sampled_from(["live", "replay", "mock"]),
    processing=st.sampled_from([None, "batch"]),
    provider=names,
    price=st.none(),
    base_url=st.none(),
)


@given(calls, names)
def test_every_field_comes_back(tmp_path_factory: pytest.TempPathFactory, call: Call, context: str | None) -> None:
    """Write, read, equal: also lone surrogates, NUL, quotes and newlines in names."""
    if call.usage == Usage():
        call = call._replace(usage=None)
    path = tmp_path_factory.mktemp("line") / "one.jsonl"
    path.write_bytes(_line.call_line(call, context, "call", 2, "gw0", True))

    (row,) = rows_of(path)

    assert row[1:6] == (context, "call", 2, "gw0", True)
    close = {"duration_s": round(row.call.duration_s, 6)}
    if call.first_token_s is not None:
        close["first_token_s"] = round(row.call.first_token_s or 0, 6)
    assert row.call._replace(**close) == call


@given(calls)
def test_a_line_is_one_line_of_ascii_json(call: Call) -> None:
    """Whatever the names hold, a record cannot break out of its line."""
    line = _line.call_line(call, None, None, None, None, False)

    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line)["id"] == call.id


def test_counts_stand_at_the_top_level_under_their_own_names() -> None:
    """The names are the data format; `null` is not 0."""
    call = a_call(usage=Usage(1900, 40, 1940, cached_tokens=0, web_searches=2, provider_cost=Decimal("1E-7")))
    line = json.loads(_line.call_line(call, None, None, None, None, False))

    assert {k: v for k, v in line.items() if k.endswith("_tokens")} == {
        "prompt_tokens": 1900,
        "completion_tokens": 40,
        "total_tokens": 1940,
        "cached_tokens": 0,
        "cache_write_tokens": None,
        "reasoning_tokens": None,
    }
    assert (line["web_searches"], line["provider_cost"]) == (2, "1E-7")


def test_neither_base_url_nor_price_is_written() -> None:
    """A base URL may hold a key; a price is computed when reporting."""
    call = a_call(base_url="https://user:sk-canary@api.openai.com/v1?api-key=canary", price=Price(Decimal(7), "canary"))

    assert b"canary" not in _line.call_line(call, None, None, None, None, False)


def test_long_names_are_cut_and_stay_apart() -> None:
    """Ten megabytes of a model name do not fill the disk, and two of them do not become one."""
    one, two = ("m" * 10_000_000 + end for end in "ab")

    assert len(_line.call_line(a_call(response_model=one), None, None, None, None, False)) < 1000
    assert _line.cut(one) != _line.cut(two)


def test_calls_alike_within_15_minutes_come_as_one_row(tmp_path: Path) -> None:
    """A price may change at a quarter of an hour, and at no other time: a row has one price list."""
    ledger = Ledger.create(tmp_path)
    for n in range(5):
        ledger.call(a_call(n, started_s=T0 - T0 % 900 + n * 450), context="c")
    ledger.close()

    rows = rows_of(ledger.run_dir, merge=True)

    assert [(row.calls, round(row.duration_s, 3)) for row in rows] == [(2, 1.624), (2, 1.624), (1, 0.812)]


def test_calls_that_differ_in_their_counts_come_as_one_row_with_each_usage(tmp_path: Path) -> None:
    """A million calls of a suite are some thousand rows, and no count is lost."""
    few, many = Usage(1, 2, 3), Usage(1000, 20, 1020, 512)
    ledger = Ledger.create(tmp_path)
    for n, usage in enumerate([few, many, None, few]):
        ledger.call(a_call(n, usage=usage), context="c")
    ledger.close()

    (row,) = rows_of(ledger.run_dir, merge=True)

    assert row.usages == ((few, 2), (many, 1), (None, 1))
