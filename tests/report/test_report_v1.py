"""Ledgers and reports of version 1, with the names of before: read, summed, compared and combined like those of today.

The files under `v1/` are what the last writer of version 1 wrote for three calls and one that never ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.ledger.helpers import a_call
from tests.report.samples import NOW, FlatBook
from token_meter.ledger import Ledger, Row, combine, read_run
from token_meter.report import FORMATS, Summary, compare, load, loads, render, summarise
from token_meter.types import Call, Usage

V1 = Path(__file__).with_name("v1")
SHARD = V1 / "shard.jsonl"
REPORT = V1 / "report.json"

ORDERS, SEARCH = "tests/test_shop.py::test_orders", "tests/test_shop.py::test_search"
CALLS = (
    a_call(1),
    a_call(2, api="responses", response_model=None, usage=Usage(1000, 50, 1050, tool_usage_tokens=30)),
    a_call(3, usage=None, certainty="unmeasured", outcome="error", status=500, error="HTTP 500"),
)
"""What the shard of version 1 holds."""

WHERE = ((ORDERS, "call"), (SEARCH, None), (ORDERS, None))
"""The context and the phase of each."""


def summary(path: Path) -> Summary:
    """A report on a ledger, by the flat book: the one by which the JSON report was priced."""
    return summarise(read_run(path), book=FlatBook(), now=NOW)


def written_today(run_dir: Path, *calls: Call) -> Path:
    """A shard of this version."""
    ledger = Ledger(run_dir)
    for call, (context, phase) in zip(calls, WHERE, strict=True):
        ledger.call(call, context=context, phase=phase)
    ledger.close()
    assert ledger.shard is not None
    return ledger.shard


def sorted_keys(line: dict[str, Any]) -> str:
    """A line in an order that no writer of ours has: the slower way of reading."""
    return json.dumps(line, sort_keys=True)


def spaced(line: dict[str, Any]) -> str:
    """A line in our order, with spaces."""
    return json.dumps(line)


def compact(line: dict[str, Any]) -> str:
    """A line as it was written."""
    return json.dumps(line, separators=(",", ":"))


@pytest.mark.parametrize("style", [compact, spaced, sorted_keys])
@pytest.mark.parametrize("merge", [False, True], ids=["each", "merged"])
def test_a_shard_of_version_1_holds_the_calls_that_were_written(
    tmp_path: Path, style: Callable[[dict[str, Any]], str], merge: bool
) -> None:
    """Every field has its new name, for any order of the fields in a line."""
    shard = tmp_path / "shard.jsonl"
    shard.write_text("\n".join(style(json.loads(line)) for line in SHARD.read_text().splitlines()) + "\n")

    reader = read_run(shard, merge=merge)
    rows: list[Row] = sorted(reader, key=lambda row: row.call.id)

    assert [row.call for row in rows] == list(CALLS)
    assert tuple((row.context, row.phase) for row in rows) == WHERE
    assert (reader.facts.in_flight, reader.facts.skipped_records) == (1, 0)


def test_a_merged_row_of_version_1_keeps_the_rarer_counts(tmp_path: Path) -> None:
    """Of calls that differ only in their counts, each keeps its own."""
    lines = [json.loads(line) for line in SHARD.read_text().splitlines() if '"responses"' in line]
    shard = tmp_path / "shard.jsonl"
    shard.write_text(
        "\n".join(compact({**lines[0], "id": f"00000000000000b1-{n}", "beside_tokens": 30 + n % 2}) for n in range(4))
        + "\n"
    )

    found = [
        (usage.tool_usage_tokens, calls)
        for row in read_run(shard, merge=True)
        for usage, calls in (row.usages or ((row.call.usage, row.calls),))
        if usage is not None
    ]

    assert sorted(found) in ([(30, 2), (31, 2)], [(30, 1), (30, 1), (31, 1), (31, 1)])


@pytest.mark.parametrize("kind", sorted(FORMATS))
def test_a_ledger_of_version_1_is_reported_like_one_of_today(tmp_path: Path, kind: str) -> None:
    """In each format; the runs differ in what says which run it was, so that the run is left out."""
    old, new = summary(SHARD), summary(written_today(tmp_path / "run", *CALLS))
    notices = tuple(notice for notice in old.notices if notice.code != "in-flight")  # the older run's fourth call

    assert render(replace(old, run=new.run, notices=notices), kind) == render(new, kind)


def test_a_json_report_of_version_1_is_read_to_the_last_digit() -> None:
    """It says what the ledger says from which it was made."""
    assert loads(render(summary(SHARD), "json")) == load(REPORT)


def test_a_report_of_version_1_is_written_in_version_2() -> None:
    """Reading and writing is how a baseline is brought to this version."""
    text = render(load(REPORT), "json")

    assert json.loads(text)["schema"] == "token-meter/report/v2"
    assert not {name for name in ("flavour", "model_asked", "model_served", "beside_tokens") if f'"{name}"' in text}
    assert loads(text) == load(REPORT)


@pytest.mark.parametrize("base", [REPORT, SHARD], ids=["report", "ledger"])
@pytest.mark.parametrize("prices", ["head", "recorded"])
def test_what_is_of_version_1_can_be_the_base_of_a_diff(tmp_path: Path, base: Path, prices: Any) -> None:
    """The same calls cost the same: no model is new or gone, and none is without a price that had one."""
    head = summary(written_today(tmp_path / "run", *CALLS))

    diff = compare(load(base, book=FlatBook()), head, book=FlatBook(), prices=prices)

    assert {change.state for change in diff.changes} == {"same"}


def test_shards_of_both_versions_are_combined_each_call_once(tmp_path: Path) -> None:
    """And once more, they are the same."""
    others = [call._replace(id=f"00000000000000b2-{n}") for n, call in enumerate(CALLS)]
    new, target = written_today(tmp_path / "run", *others), tmp_path / "all.jsonl"

    for append in (False, True):
        combine([SHARD, new], target, append=append)

        assert sorted(row.call.id for row in read_run(target)) == sorted(call.id for call in (*CALLS, *others))
    both = summary(target)
    assert (both.totals.calls, both.totals.tokens.total_tokens) == (6, 2 * summary(SHARD).totals.tokens.total_tokens)
