"""What is not known is null or left out, in data as on paper, and each sum has doubts of its own."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pytest

from tests.report.samples import row, summary_of
from token_meter.report import Limit, Summary, check_limits, compare, load, loads, render
from token_meter.report._formatting import cost_sentence, cost_text
from token_meter.report._history import Point
from token_meter.types import Usage

jsonschema = pytest.importorskip("jsonschema")

NOTHING = {
    "no price": [row(model="acme-7b")],
    "no usage": [row(usage=None, certainty="unmeasured")],
    "several": [row(model="acme-7b"), row(n=1, usage=None, certainty="unmeasured"), row(n=2, model="acme-7b")],
}
"""Calls of which no cost is known."""
PART = [row(), row(n=1, model="acme-7b")]
REPLAYED = [row(), row(n=1, model="acme-7b", source="replay"), row(n=2, source="mock", certainty="estimated")]
"""What is in doubt here was not paid for."""


def _data(summary: Summary, kind: str = "json") -> Any:
    return json.loads(render(summary, kind), parse_float=Decimal)


@pytest.mark.parametrize("rows", NOTHING.values(), ids=NOTHING.keys())
def test_f138_a_cost_of_which_nothing_is_known_is_null_everywhere(rows: list[Any]) -> None:
    """In the whole, in each model, context and phase, and in a limit's actual amount: 0 would be a claim."""
    summary = summary_of(*rows)
    checked = check_limits(summary, [Limit.of("run", "cost", 1), Limit.of("run", "spent", 1)])

    data = _data(summary)
    sums = [data["totals"], *data["models"], *data["contexts"], *data["contexts"][0]["models"]]

    assert {(s["cost"], s["spent"], s["cost_is_lower_bound"], s["spent_is_lower_bound"]) for s in sums} == {
        (None, None, True, True)
    }
    assert data["contexts"][0]["phases"] == {"call": None}
    assert [check.known_actual for check in checked] == [None, None]
    outputs = dict(line.split("=", 1) for line in render(summary, "github-output").splitlines())
    assert [outputs["cost"], outputs["spent"]] == ["", ""]
    assert "\ntoken_meter_cost_usd " not in (metrics := render(summary, "openmetrics"))
    assert "token_meter_cost_is_lower_bound 1" in metrics
    assert "cost_usd" not in render(summary, "junit")
    cells = next(csv.DictReader(io.StringIO(render(summary, "csv"))))
    assert [cells["cost_usd"], cells["spent_usd"]] == ["", ""]
    assert cost_sentence(loads(render(summary, "json")).totals) == cost_sentence(summary.totals)


def test_f138_a_lower_bound_is_marked_as_one_and_a_whole_sum_is_not() -> None:
    """Beside the number, where a program looks."""
    whole, part = _data(summary_of(row()))["totals"], _data(summary_of(*PART))["totals"]

    assert [whole["cost_is_lower_bound"], part["cost_is_lower_bound"]] == [False, True]
    assert whole["cost"] == part["cost"] == Decimal("0.002")
    outputs = dict(line.split("=", 1) for line in render(summary_of(*PART), "github-output").splitlines())
    assert (outputs["cost"], outputs["cost_is_lower_bound"], outputs["spent_is_lower_bound"]) == (
        "0.002", "true", "true",
    )  # fmt: skip
    metrics = render(summary_of(*PART), "openmetrics")
    assert "token_meter_cost_is_lower_bound 1" in metrics
    assert 'token_meter_model_unpriced_calls{model="acme-7b"} 1' in metrics


def test_f138_tokens_that_nobody_reported_are_no_0_in_step_outputs() -> None:
    """And no call is a true 0."""
    found = [render(summary_of(*rows), "github-output") for rows in (NOTHING["no usage"], [])]

    assert ["tokens=\n" in found[0], "tokens=0\n" in found[1], "cost=0\n" in found[1]] == [True, True, True]


def test_f138_a_comparison_of_unknown_sums_is_null_too() -> None:
    """Base, head and their change."""
    unknown = summary_of(*NOTHING["no price"])

    data = json.loads(render(compare(unknown, unknown, prices="recorded"), "json"))

    assert (data["base"]["totals"]["cost"], data["head"]["common"]["cost"], data["delta"]["usage"]) == (None,) * 3
    assert data["contexts"][0]["head"]["cost"] is None


def test_f138_reports_of_before_are_read(tmp_path: Any) -> None:
    """They say 0, and not how many of the unpriced calls were live: as many as can be, which pretends nothing."""
    data = json.loads(render(summary_of(*NOTHING["no price"]), "json"))
    for name in ("live_unpriced", "live_estimated", "cost_is_lower_bound", "spent_is_lower_bound"):
        del data["totals"][name]
    data["totals"] |= {"cost": 0, "spent": 0}
    old = tmp_path / "old.json"
    old.write_text(json.dumps(data | {"schema": "token-meter/report/v1"}))

    assert cost_text(load(old).totals) == cost_text(load(old).totals, spent=True) == "unpriced"


@pytest.mark.parametrize(
    ("rows", "cost", "spent"),
    [
        (REPLAYED, ">=~$0.0040", "$0.0020"),
        ([row(model="acme-7b", source="replay")], "unpriced", "$0.00"),
        ([row(model="acme-7b"), row(n=1, source="replay")], ">=$0.0020", "unpriced"),
        ([row(certainty="estimated"), row(n=1, model="acme-7b", source="mock")], ">=~$0.0020", "~$0.0020"),
        ([row(usage=Usage(1000, 100, 1100)), row(n=1, source="mock", certainty="estimated")], "~$0.0040", "$0.0020"),
    ],
)
def test_f170_each_sum_has_its_own_doubts(rows: list[Any], cost: str, spent: str) -> None:
    """Only live calls can leave in doubt what was spent."""
    summary = summary_of(*rows)

    for totals in (summary.totals, summary.groups[0].totals, loads(render(summary, "json")).totals):
        assert (cost_text(totals), cost_text(totals, spent=True)) == (cost, spent)
    assert f"spent {spent} (" in render(summary, "table")


def test_f170_a_limit_on_spending_is_held_to_what_live_calls_cost() -> None:
    """A replayed call without a price leaves it decidable; the limit on cost stays open."""
    checks = check_limits(summary_of(*REPLAYED), [Limit.of("run", "spent", "0.01"), Limit.of("run", "cost", "0.01")])

    assert [check.status for check in checks] == ["ok", "unknown"]


def test_f170_the_history_keeps_the_doubts_of_both_sums() -> None:
    """A line of before does not say: as many as can be."""
    old = Point("2026-11-20", "1", 2, 10, Decimal(1), Decimal(1), unpriced=1, live=1)

    assert cost_text(old.totals, spent=True) == ">=$1.0000"
    assert cost_text(old._replace(live_unpriced=0).totals, spent=True) == "$1.0000"
