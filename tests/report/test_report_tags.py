"""Costs by tag: of each tag, and of each value of one label, whatever else a call is labelled with."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from tests.report.samples import FlatBook, call, row, summary_of
from token_meter.cli import main
from token_meter.exceptions import ConfigError
from token_meter.ledger import Ledger
from token_meter.report import Summary, compare, loads, parts_of, render, summarise

ROWS = [
    row(n=0, tags=("customer=acme", "feature=chat", "nightly")),
    row(n=1, tags=("customer=acme", "feature=search")),
    row(n=2, tags=("customer=zeta", "feature=chat")),
    row(n=3, tags=("customer=zeta", "customer=acme")),  # nested meters: the inner one comes last
    row(n=4, tags=()),
]


def rows_of(summary: Summary) -> dict[str, int]:
    return {group.id: group.totals.calls for group in summary.groups}


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("tag:customer", {"acme": 3, "zeta": 1, "(no customer)": 1}),
        ("tag:feature", {"chat": 2, "search": 1, "(no feature)": 2}),
        ("tag:nobody", {"(no nobody)": 5}),
        (
            "tag",
            {"customer=acme": 3, "customer=zeta": 2, "feature=chat": 2, "feature=search": 1, "nightly": 1, "(no tag)": 1},
        ),
    ],
)  # fmt: skip
def test_f147_calls_are_grouped_by_one_tag(by: str, expected: dict[str, int]) -> None:
    """In the totals each call stands once, also where it is in two rows."""
    summary = summary_of(*ROWS, by=by)

    assert rows_of(summary) == expected
    assert (summary.totals.calls, summary.models[0].totals.calls) == (5, 5)
    assert str(summary.totals.cost) == "0.010"
    assert {group.type for group in summary.groups} == {"tag"}


@pytest.mark.parametrize("by", ["tag", "tag:customer"])
@pytest.mark.parametrize("kind", ["table", "md", "html", "json", "csv"])
def test_f147_every_format_has_the_rows_and_the_total(by: str, kind: str) -> None:
    """A column is headed by the label's own name."""
    text = render(summary_of(*ROWS, by=by), kind)

    assert "zeta" in text
    assert by.partition(":")[2] in text


@pytest.mark.parametrize("by", ["tag", "tag:customer"])
def test_f147_a_report_by_tag_reads_back(by: str) -> None:
    """As it was written."""
    summary = summary_of(*ROWS, by=by)
    again = loads(render(summary, "json"))

    assert (again.by, rows_of(again), again.totals.calls) == (by, rows_of(summary), 5)


def test_f147_a_comparison_is_by_one_label() -> None:
    """Rows that overlap have no sum, and it says so."""
    before, after = summary_of(*ROWS[:3], by="tag:customer"), summary_of(*ROWS, by="tag:customer")

    assert compare(before, after, book=FlatBook()).headline == "+$0.0040 (+66.7%), $0.0060 -> $0.0100"
    with pytest.raises(ConfigError, match="compare by tag:NAME"):
        compare(summary_of(*ROWS, by="tag"), summary_of(*ROWS, by="tag"))


@pytest.mark.parametrize("by", ["tags", "tag:", "tag:a b", "tag:<b>", "tag:a|b", "customer", ""])
def test_f147_what_is_no_grouping_is_refused(by: str) -> None:
    """A misspelt one is told what was meant."""
    with pytest.raises(ConfigError, match="a report is by test, model, file, label, tag, process, day or tag:NAME"):
        summarise([], by=by, book=FlatBook())


def test_f147_the_command_groups_by_tag(tmp_path: object) -> None:
    """`token-meter report --by tag:customer`."""
    ledger = Ledger.create(str(tmp_path))
    for n, one in enumerate(ROWS):
        ledger.call(call(n, tags=one.call.tags))
    ledger.close()

    done = CliRunner().invoke(main, ["report", str(tmp_path), "--by", "tag:customer", "--json"])
    wrong = CliRunner().invoke(main, ["report", str(tmp_path), "--by", "tags"])

    assert {c["id"]: c["calls"] for c in json.loads(done.stdout)["contexts"]} == {
        "acme": 3,
        "zeta": 1,
        "(no customer)": 1,
    }
    assert (wrong.exit_code, "did you mean 'tag'?" in wrong.output) == (2, True)


COMMAS = [
    row(n=0, tags=("customer=acme, inc", "feature=chat")),
    row(n=1, tags=("customer=acme", "inc", "feature=chat")),
    row(n=2, tags=('customer="acme"', "feature=chat")),
    row(n=3, tags=('"acme", "inc"',)),
    row(n=4, tags=('customer="a, b', "feature=a\n, b\\")),
    row(n=5, tags=()),
]


@pytest.mark.parametrize("by", ["label,day", "day,label"])
def test_labels_with_commas_can_be_taken_apart(by: str) -> None:
    """Two sets of labels never share a row because of how they are written."""
    summary = summary_of(*COMMAS, by=by)
    sets = [parts_of(summary.keys_of(group)[by.startswith("day")]) for group in summary.groups]

    assert sorted(sets) == sorted(list(one.call.tags) or ["(no label)"] for one in COMMAS)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        ("day,tag:customer", {("2026-11-20", "acme, inc"), ("2026-11-20", "acme"), ("2026-11-20", '"acme"'),
                              ("2026-11-20", '"a, b'), ("2026-11-20", "(no customer)")}),
        ("tag:customer,model", {("acme, inc", "gpt-4o-mini"), ("acme", "gpt-4o-mini"), ('"acme"', "gpt-4o-mini"),
                                ('"a, b', "gpt-4o-mini"), ("(no customer)", "gpt-4o-mini")}),
        ("tag:customer", {None}),
    ],
)  # fmt: skip
def test_two_keys_stand_apart_in_json(by: str, keys: set[tuple[str, ...] | None]) -> None:
    """Whatever is in them; also when the report is read back."""
    summary = summary_of(*COMMAS, by=by)
    data = json.loads(render(summary, "json"))
    again = json.loads(render(loads(render(summary, "json")), "json"))

    assert {tuple(row["keys"]) if "keys" in row else None for row in data["contexts"]} == keys
    assert again["contexts"] == data["contexts"]
