"""The outputs that docs/reports.md shows, computed again: a run in a temporary ledger, priced by the flat book."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from tests.report.samples import NOW, VCS, FlatBook, row, summary_of, write_sample
from token_meter.ledger import read_run
from token_meter.report import Limit, Summary, check_limits, compare, judge, render, summarise

LIMITS = [Limit.of("run", "cost", "0.50"), Limit.of("test", "cost", "0.05"), Limit.of("test", "calls", 10)]


def sample_summary(by: str = "test", as_model: str | None = None) -> Summary:
    """The run of the documentation."""
    with tempfile.TemporaryDirectory() as place:
        rows = read_run(write_sample(Path(place)))
        return summarise(rows, by=by, book=FlatBook(), now=NOW, vcs=VCS, as_model=as_model)  # type: ignore[arg-type]


def OUTPUTS() -> dict[str, str]:  # a table, made late
    """Name to text, as the documentation has it."""
    summary = sample_summary()
    judged = replace(summary, checks=check_limits(summary, LIMITS))
    plain = [row("tests/test_agent.py::test_plans_a_trip", n=n, prompt=8000, completion=480) for n in range(6)]
    more = [row("tests/test_agent.py::test_plans_a_trip", n=n, prompt=9000, completion=480) for n in range(7)]
    same = row("tests/test_rag.py::test_answers", n=20, prompt=6100, completion=405)
    base = summary_of(*plain, same, book=FlatBook(1))
    head = summary_of(*more, same, row("tests/test_rag.py::test_refuses", n=30, prompt=1900, completion=40))
    diff = compare(
        base, head, book=FlatBook(1), fail_on=["cost:10%", "test.cost:0.05"], min_change=Decimal("0.001"), age=2
    )
    return {
        "table": render(judged, "table"),
        "by model": render(sample_summary("model"), "table"),
        "md": render(judged, "md"),
        "csv": render(judged, "csv"),
        "github": render(judged, "github"),
        "azure": render(judged, "azure"),
        "openmetrics": render(judged, "openmetrics"),
        "benchmark": render(judged, "benchmark"),
        "verdict": judge(judged.checks).text,
        "diff table": render(diff, "table"),
        "diff md": render(diff, "md"),
        "no base": render(compare(None, head, fail_on=["cost:10%"]), "table"),
    }
