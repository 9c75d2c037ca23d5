"""What a CI host is given: `ci` stands for what it reads, outputs are numbers, and colours are for terminals."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.report.samples import row, summary_of
from token_meter._money import PLACES, format_usd
from token_meter.ci.harness import painted
from token_meter.report import Limit, Summary, check_limits, compare, expanded, render, tone_of
from token_meter.report._formatting import cells

GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": "/s/summary", "GITHUB_OUTPUT": "/s/output"}
ACTIONS = ["github", "summary-append:/s/summary", "github-output-append:/s/output"]


@pytest.mark.parametrize(
    ("environment", "compared", "expected"),
    [
        ({}, False, ["table"]),
        (GITHUB, False, ACTIONS),
        (GITHUB, True, ACTIONS),
        ({"GITHUB_ACTIONS": "true"}, False, ["github"]),  # no file is named: nothing is written
        ({"GITLAB_CI": "true"}, False, ["table", "openmetrics:metrics.txt",
                                       "gitlab-codequality:gl-code-quality-report.json"]),
        ({"GITLAB_CI": "true"}, True, ["table"]),
        ({"TF_BUILD": "True"}, False, ["azure"]),
        ({"TF_BUILD": "True"}, True, ["table"]),  # a comparison has no face there
        ({"BUILDKITE": "true"}, True, ["buildkite"]),
    ],
)  # fmt: skip
def test_ci_is_what_the_host_reads(environment: dict[str, str], compared: bool, expected: list[str]) -> None:
    """Nothing is written for a host unless it was requested."""
    assert expanded(["ci", "json:r.json"], environment, compared=compared) == [*expected, "json:r.json"]
    assert expanded(["table"], environment) == ["table"]


def outputs(text: str) -> dict[str, str]:
    """Step outputs as the next step reads them."""
    return dict(line.split("=", 1) for line in text.splitlines())


def judged(summary: Summary, limit: str) -> Summary:
    """With a limit on the run."""
    return replace(summary, checks=check_limits(summary, [Limit.of("run", "cost", limit)]))


@pytest.mark.parametrize(
    ("rows", "limit", "status"),
    [
        ([row()], "1", "ok"),
        ([row()], "0.001", "exceeded"),
        ([row(), row(n=1, model="acme-7b")], "1", "unknown"),
    ],
)
def test_step_outputs_are_numbers_and_a_word(rows: list[object], limit: str, status: str) -> None:
    """Exact, without names from outside; unpriced calls are mentioned."""
    found = outputs(render(judged(summary_of(*rows), limit), "github-output"))  # type: ignore[arg-type]

    assert found == {
        "cost": "0.002", "spent": "0.002", "tokens": str(1100 * len(rows)), "calls": str(len(rows)),
        "unpriced": str(len(rows) - 1), "partly_priced": "0", "delta": "", "delta_like_for_like": "", "status": status,
        **dict.fromkeys(("cost_is_lower_bound", "spent_is_lower_bound"), "true" if len(rows) > 1 else "false"),
    }  # fmt: skip


def test_step_outputs_of_a_comparison_have_the_change() -> None:
    """Without a base there is none, and it is not 0."""
    base, head = summary_of(row()), summary_of(row(prompt=3000))
    found = outputs(render(compare(base, head, fail_on=["cost:10%"]), "github-output"))
    without = outputs(render(compare(None, head), "github-output"))

    assert (found["cost"], found["delta"], found["status"]) == ("0.004", "0.002", "exceeded")
    assert (without["delta"], without["status"]) == ("", "unknown")


def test_an_unknown_cost_is_left_out_for_machines() -> None:
    """Neither 0 nor a bound of 0: an empty output, no sample, no property; a partly known sum is a lower bound."""
    nothing = summary_of(row(model="acme-7b"))
    partly = summary_of(row(model="acme-7b"), row(n=1, prompt=1000, completion=0))

    assert {"cost=", "spent=", "unpriced=1", "calls=1"} <= set(render(nothing, "github-output").splitlines())
    assert {"cost=0.001", "spent=0.001", "unpriced=1"} <= set(render(partly, "github-output").splitlines())
    for kind, name in (("openmetrics", "\ntoken_meter_cost_usd "), ("junit", '"token_meter.cost_usd"')):
        assert name not in render(nothing, kind)
        assert name.replace("cost", "spent") not in render(nothing, kind)
        assert name in render(partly, kind)


def test_gitlab_keeps_each_warning() -> None:
    """It merges findings whose fingerprints are equal, and follows them over runs: models tell them apart, sums do not."""

    def prints(calls: int) -> list[str]:
        rows = [row(n=n, model=f"acme-{n % 3}b", usage=None) for n in range(calls)]
        return [found["fingerprint"] for found in json.loads(render(summary_of(*rows), "gitlab-codequality"))]

    assert len(set(prints(3))) == len(prints(3)) == 3
    assert prints(9) == prints(3)


def test_what_is_wrong_is_seen_first_in_a_terminal() -> None:
    """Colours are of whole lines, and the text is the same without them."""
    summary = judged(summary_of(row(), row(n=1, model="acme-7b")), "0.001")
    text = render(summary, "table")

    shown = painted(text)

    tones = {line.partition(" ")[0]: tone_of(line) for line in text.splitlines()}
    assert tones["budget"] == "red"
    assert tones["warning:"] == "yellow"
    assert tones["total"] is None
    assert "\x1b[31mbudget  run was limited to $0.0010" in shown
    assert shown.replace("\x1b[31m", "").replace("\x1b[33m", "").replace("\x1b[0m", "") == text


def test_warnings_are_broken_at_words_and_names_stay_whole() -> None:
    """80 columns, unless a name is longer."""
    text = render(summary_of(*(row(n=n, model="acme-7b", host="h" * 30) for n in range(3))), "table")

    lines = text[text.index("warning:") :].splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("  ")


@pytest.mark.parametrize("name", ["玫瑰" * 60, "🧪 " * 60, "e\u0301" * 120, "acme-" * 60])
def test_columns_are_those_of_the_terminal(name: str) -> None:
    """A wide character takes two of them, a combining one none; no row, sum or model is wider than the terminal."""
    rows = [row(f"tests/{name}.py::test_{n}", n, model=f"{n}{name}") for n in range(6)]
    rows += [row(f"tests/{name}.py::test_{n}", n, model="acme-7b", host="h") for n in range(6, 9)]
    summary = summary_of(*rows)
    unpriced = replace(summary.totals, unpriced_models=(name, f"{name}2", f"{name}3", f"{name}4"))
    text = render(replace(summary, totals=unpriced, notices=()), "table")

    assert max(cells(line) for line in text.splitlines()) <= 80
    assert [cells(line) for line in text.splitlines()[:10]] == [80] * 10


@pytest.mark.parametrize(
    ("places", "amount", "shown"),
    [
        (None, "0.00031", "$0.00031"), (None, "0.00003", "$0.00003"), (None, "12.346", "$12.35"),
        (6, "0.00031", "$0.000310"), (6, "0.0000003", "<$0.000001"), (6, "12.345", "$12.345000"),
        (2, "0.004", "<$0.01"), (2, "1234.5", "$1,234.50"), (0, "0.4", "<$1"), (0, "7", "$7"), (9, "0", "$0.00"),
    ],
)  # fmt: skip
def test_precision_is_asked_for_and_no_cost_reads_as_nothing(places: int | None, amount: str, shown: str) -> None:
    """`--precision`: a cost above zero is never rounded to zero, with any number of places."""
    before = PLACES.set(places)
    try:
        assert format_usd(Decimal(amount)) == shown
        assert places is None or "e" not in format_usd(Decimal("1e-9")).lower()
    finally:
        PLACES.reset(before)


def test_one_of_a_kind_is_one_in_every_sentence() -> None:
    """A host's last line, a rule's finding and a cell of a comparison: `1 call`, not `1 calls`."""
    one = summary_of(row(model="acme-7b", calls=1))
    free = summary_of(row(prompt=0, completion=0))
    rules = compare(summary_of(row()), one, fail_on=["unpriced:0"]).checks

    assert "in 1 call\n" in render(one, "github")
    assert "in 1 call\n" in render(one, "azure")
    assert [check.text for check in rules] == ["total: 1 call unpriced, over unpriced:0"]
    assert [c.text for c in compare(free, summary_of(row(prompt=0, completion=0, calls=2))).changes] == ["+1 call"]
