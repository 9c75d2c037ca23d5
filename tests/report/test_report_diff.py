"""BASE against HEAD: what may be said, and what the exit code is."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.report.samples import FlatBook, row, summary_of
from token_meter.exceptions import ConfigError
from token_meter.ledger import Row
from token_meter.report import Run, Summary, compare, loads, parse_rule, render

A, B, C = (f"tests/test_a.py::test_{x}" for x in "abc")


def pair(prompt_base: int, prompt_head: int, **head: object) -> tuple[Summary, Summary]:
    """One test, whose prompt has another length."""
    base = summary_of(row(A, prompt=prompt_base, completion=0))
    return base, summary_of(row(A, prompt=prompt_head, completion=0, **head))


RULES = [
    # rule, base prompt tokens, head prompt tokens ($1 a million), exceeded
    ("cost:10%", 100_000, 110_000, False),  # exactly the limit is not over it
    ("cost:10%", 100_000, 110_001, True),
    ("cost:0.05", 100_000, 150_000, False),
    ("cost:$0.05", 100_000, 150_001, True),
    ("cost:0", 100_000, 100_000, False),
    ("cost:0", 100_000, 100_001, True),
    ("cost:10%", 100_000, 1, False),  # falling is not rising
    ("cost:-30%", 100_000, 70_000, False),
    ("cost:-30%", 100_000, 69_999, True),  # the baseline is stale
    ("tokens:20%", 1000, 1200, False),
    ("tokens:20%", 1000, 1201, True),
    ("tokens:5", 1000, 1006, True),
    ("spent:10%", 100_000, 120_000, True),
    ("test.cost:2%", 100_000, 103_000, True),
    ("test.tokens:0", 1000, 1001, True),
    ("model.cost:25%", 100_000, 126_000, True),
    ("calls:0", 1000, 5000, False),
    ("cost:1.5%", 100_000, 101_501, True),
]


@pytest.mark.parametrize(("rule", "before", "after", "exceeded"), RULES)
def test_a_rule_is_exceeded_over_its_limit_only(rule: str, before: int, after: int, exceeded: bool) -> None:
    """The exit code is 3, or 0; as a warning it is always 0."""
    base, head = pair(before, after)

    failing = compare(base, head, fail_on=[rule]).verdict
    warning = compare(base, head, warn_on=[rule]).verdict

    assert failing.exit_code == (3 if exceeded else 0)
    assert failing.status == ("exceeded" if exceeded else "ok")
    assert (warning.exit_code, warning.status) == (0, "warn" if exceeded else "ok")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "no limit"),
        ("cost", "no limit"),
        ("cost:", "not a number"),
        ("cost:ten", "not a number"),
        ("cost:nan", "not a number"),
        ("cots:10%", "did you mean 'cost'"),
        ("tests.cost:10%", "did you mean 'test'"),
        ("new.cost:10%", "no base"),
        ("unpriced:10%", "unpriced:0"),
        ("a.b.cost:1", "none of"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(text: str, hint: str) -> None:
    """A typo must not disable a gate."""
    with pytest.raises(ConfigError, match=hint):
        parse_rule(text)


def test_percentages_are_over_what_both_have() -> None:
    """A new expensive test is no 10,000 %, and a deselected one is no saving."""
    base = summary_of(row(A, prompt=1000, completion=0), row(B, n=1, prompt=9000, completion=0))
    head = summary_of(row(A, prompt=1500, completion=0), row(C, n=2, prompt=90_000, completion=0))

    diff = compare(base, head, fail_on=["cost:49%"])

    assert [(c.id, c.state) for c in diff.changes] == [(C, "new"), (B, "gone"), (A, "changed")]
    assert (diff.common_base.cost, diff.common_head.cost) == (Decimal("0.001"), Decimal("0.0015"))
    assert "+50.0%" in diff.verdict.headline


def test_a_rule_in_dollars_counts_what_is_new() -> None:
    """What is gone does not excuse what is new."""
    base = summary_of(row(A, prompt=1000), row(B, n=1, prompt=900_000))
    head = summary_of(row(A, prompt=1000), row(C, n=2, prompt=100_000, completion=0))

    assert compare(base, head, fail_on=["cost:0.09"]).verdict.exit_code == 3
    assert compare(base, head, fail_on=["new.cost:0.09"]).verdict.exit_code == 3
    assert compare(base, head, fail_on=["new.cost:0.10", "cost:0%"]).verdict.exit_code == 0


def test_from_nothing_to_something_is_no_percentage() -> None:
    """No `inf %`, no division by zero."""
    base, head = pair(0, 1000)
    text = render(compare(base, head, fail_on=["cost:10%"]), "table")

    assert "inf" not in text
    assert "nan" not in text


def test_a_change_below_the_floor_neither_fails_nor_shows() -> None:
    """`--min-change` is in dollars."""
    base, head = pair(1000, 1900)

    loud = compare(base, head, fail_on=["cost:10%"])
    quiet = compare(base, head, fail_on=["cost:10%"], min_change=Decimal("0.001"))

    assert (loud.verdict.exit_code, len(loud.listed)) == (3, 1)
    assert (quiet.verdict.exit_code, quiet.listed) == (0, ())


def test_a_change_is_split_into_usage_and_prices() -> None:
    """The same tokens at doubled prices are a change of prices, and no rule about cost is broken by it."""
    base = summary_of(row(A, prompt=1_000_000, completion=0), book=FlatBook(1))
    head = summary_of(row(A, prompt=1_100_000, completion=0), book=FlatBook(2))

    diff = compare(base, head, book=FlatBook(2), fail_on=["cost:10%"])
    raw = compare(base, head, book=FlatBook(2), fail_on=["cost:10%"], prices="recorded")

    assert (diff.usage_change, diff.price_change) == (Decimal("0.2"), Decimal(1))
    assert diff.verdict.exit_code == 0
    assert raw.usage_change == Decimal("1.2")
    assert raw.verdict.exit_code == 3
    assert "usage +$0.2000, prices +$1.0000" in render(diff, "table")


def test_the_split_survives_the_way_through_json() -> None:
    """A base that was saved by CI has its usages with it; one with too many is marked as approximate."""
    few = summary_of(*(row(A, n=n, prompt=1000 + n, completion=7) for n in range(10)))
    many = summary_of(*(row(A, n=n, prompt=1000 + n, completion=7) for n in range(100)))
    for base, approximate in ((few, False), (many, True)):
        saved = loads(render(base, "json"))
        rows = [row(A, n=n, prompt=1000 + n, completion=7) for n in range(base.totals.calls)]
        head = summary_of(*rows, book=FlatBook(3))
        diff = compare(saved, head, book=FlatBook(3))

        assert diff.approximate is approximate
        if not approximate:
            assert diff.price_change == base.totals.cost * 2


def test_an_edited_price_file_is_no_change_of_usage() -> None:
    """It bears the same name: the reports' digests of what was in it tell the two apart."""
    rows = [row(A, n=n, prompt=1000 + n, completion=7) for n in range(100)]
    base = replace(summary_of(*rows), digest="before")
    edited = FlatBook(2)
    edited.version, edited.digest = base.prices, "after"  # type: ignore[attr-defined]
    head = summary_of(*rows, book=edited)

    diff = compare(loads(render(base, "json")), loads(render(head, "json")), book=edited, fail_on=["cost:10%"])

    assert (diff.verdict.exit_code, diff.approximate) == (0, True)
    assert round(diff.price_change or 0, 3) == round(base.totals.cost, 3)


def test_no_base_is_said_and_never_a_zero() -> None:
    """No `+$0.00` against nothing; what the exit code is, is the user's to say."""
    _, head = pair(1000, 1000)
    for choice, code in (("pass", 0), ("warn", 0), ("fail", 1)):
        diff = compare(None, head, fail_on=["cost:10%"], if_no_base=choice)  # type: ignore[arg-type]
        assert diff.verdict.exit_code == code
        for kind in ("table", "md", "github"):
            text = render(diff, kind)
            assert "no base" in text
            assert "+$0" not in text
        assert json.loads(render(diff, "json"))["delta"] is None


def test_unpriced_calls_leave_a_cost_rule_undecided() -> None:
    """A lower bound cannot pass a gate silently."""
    base, _ = pair(1000, 0)
    head = summary_of(row(A, prompt=1000, completion=0), row(A, n=1, model="acme-7b"))
    diff = compare(base, head, fail_on=["cost:10%", "calls:5"])

    assert [c.status for c in diff.checks] == ["unknown", "ok"]
    assert diff.verdict.status == "unknown"
    assert "cannot be judged" in diff.verdict.text
    assert compare(base, head, fail_on=["unpriced:0"]).verdict.exit_code == 3
    assert compare(base, head, fail_on=["unpriced:1"]).verdict.exit_code == 0


def test_reports_of_two_kinds_are_not_compared() -> None:
    """Tests are not models."""
    with pytest.raises(ConfigError, match="grouped by model"):
        compare(summary_of(row(), by="model"), summary_of(row()))


def test_the_base_is_named_and_its_holes_are() -> None:
    """Commit, age, completeness, and what the head did not run."""
    base = summary_of(row(A), row(B, n=1))
    base = replace(base, run=replace(base.run, complete=False))
    head = replace(summary_of(row(A)), run=Run(complete=False))
    text = render(compare(base, head, age=2), "table")

    assert "base 9c1e0f2a4b6d (2 commits old), not complete" in text
    assert "1 only in the base ($0.0020): the head's run is not complete" in text


def test_equal_runs_say_so() -> None:
    """`=`, not `+$0.00 (+0.0%)`."""
    base, head = pair(1000, 1000)
    text = render(compare(base, head, book=FlatBook()), "md")

    assert "no change, $0.0010 -&gt; $0.0010" in text
    assert "1 more without a listed change" in text


def test_a_long_comparison_fits_the_comment() -> None:
    """Rows are cut, never bytes; the rules stay."""
    base = summary_of(*(row(f"t.py::test_{n}_{'x' * 200}", n=n) for n in range(1000)))
    head = summary_of(*(row(f"t.py::test_{n}_{'x' * 200}", n=n, prompt=2000) for n in range(1000)))
    text = render(compare(base, head, fail_on=["cost:10%"]), "md")

    assert len(text.encode()) <= 60_000
    assert text.endswith("</sub>\n")
    assert "over cost:10%" in text


def test_reports_with_nothing_in_common_are_not_called_equal() -> None:
    """Other tests, or none: there is nothing whose change could be told."""
    base, head = summary_of(row(A)), summary_of(row(B, n=1))

    assert compare(base, head).headline == "no test in common with the base; this run: $0.0020"
    assert "<h1>no test in common</h1>" in render(compare(base, head), "html")
    assert "in common" not in compare(base, summary_of(row(A), row(B, n=1))).headline


def rows_of(n: int, **changes: object) -> list[Row]:
    """Rows of one test, each with another usage."""
    return [row(A, n=i, prompt=1000 + 17 * i, completion=7, **changes) for i in range(n)]


@pytest.mark.parametrize("today", [1, 3])
@pytest.mark.parametrize("n", [1, 40])  # 40 usages are too many to be kept
@pytest.mark.parametrize("as_model", [None, "gpt-4o"])
@pytest.mark.parametrize("unknown", [False, True])
def test_a_report_never_differs_from_itself(today: int, n: int, as_model: str | None, unknown: bool) -> None:
    """For any book of the report, and any current book."""
    more = [row(B, n=90, model="acme-7b"), row(B, n=91, usage=None)] if unknown else []
    saved = loads(render(summary_of(*rows_of(n), *more, as_model=as_model), "json"))
    diff = compare(saved, saved, book=FlatBook(today), fail_on=["cost:0", "cost:-1%", "test.cost:0", "model.cost:0"])

    assert not {c.status for c in diff.checks} - {"ok", "unknown" if unknown else "ok"}
    assert (diff.usage_change, diff.recorded_change) == ((None, None) if unknown else (0, 0))
    assert [c.state for c in diff.changes] == ["same"] * len(diff.changes)


def test_two_reports_of_two_books_are_priced_by_one() -> None:
    """The head too: else its own prices would pass for usage."""
    base, head = (
        loads(render(summary_of(row(A, prompt=prompt, completion=0), book=FlatBook(factor)), "json"))
        for prompt, factor in ((1_000_000, 1), (1_100_000, 2))
    )
    diff = compare(base, head, book=FlatBook(4), fail_on=["cost:10%"])

    assert diff.verdict.exit_code == 0
    assert diff.headline == "+$0.4000 (+10.0%), $4.0000 -> $4.4000"
    assert (diff.recorded_change, diff.price_change, diff.priced_by) == (Decimal("1.2"), Decimal("0.8"), "flat 4")
    assert "usage +$0.4000, prices +$0.8000\nprices flat 4" in render(diff, "table")
    assert "flat 4" in render(diff, "html")


def test_what_cannot_be_priced_by_one_book_is_unknown() -> None:
    """A report of another program has sums but no usages: they are kept only if both sides have the same book."""
    whole = summary_of(row(A))
    bare = replace(whole, groups=tuple(replace(g, models=()) for g in whole.groups))
    for factor, status in ((1, "ok"), (3, "unknown")):
        head = summary_of(row(A), book=FlatBook(factor))
        diff = compare(bare, head, book=FlatBook(factor), fail_on=["cost:10%", "unpriced:0", "test.unpriced:0"])

        assert [c.status for c in diff.checks] == [status, "ok", "ok"]


UNKNOWN = [row(A, model="acme-7b")]
PARTLY = [*UNKNOWN, row(A, n=1, prompt=1000, completion=0)]
KNOWN = [row(A, n=2, prompt=2000, completion=0)]


@pytest.mark.parametrize(
    ("before", "after", "headline"),
    [
        (UNKNOWN, UNKNOWN, "change unknown, unpriced -> unpriced"),
        (KNOWN, UNKNOWN, "change unknown, $0.0020 -> unpriced"),
        (PARTLY, KNOWN, "change unknown, >=$0.0010 -> $0.0020"),
    ],
)
def test_a_change_of_unknown_costs_is_unknown(before: list[Row], after: list[Row], headline: str) -> None:
    """Neither "no change", nor a percentage, nor $0.00: two lower bounds have no difference."""
    diff = compare(summary_of(*before), summary_of(*after), book=FlatBook(), fail_on=["cost:10%"])

    assert diff.headline == headline
    assert [c.text for c in diff.checks] == ["total: cost:10% cannot be judged: calls without a price"]
    assert json.loads(render(diff, "json"))["delta"] == dict.fromkeys(("total", "cost", "usage", "price"))
    assert "delta=\n" in render(diff, "github-output")
    for kind in ("table", "md", "html", "github"):
        text = render(diff, kind)
        assert "unknown" in text
        assert not [lie for lie in ("no change", "$0.00<", "$0.00 ", "%)", "+$0") if lie in text], (kind, text)


def test_a_lower_bound_over_a_limit_is_over_it_and_one_below_is_not_below() -> None:
    """Unpriced calls can only add: a rise is sure, a fall is not."""
    base, head = summary_of(*KNOWN), summary_of(*UNKNOWN, row(A, n=1, prompt=9000, completion=0))

    assert "cost at least +$0.0070, over cost:10%" in compare(base, head, fail_on=["cost:10%"]).verdict.headline
    assert compare(base, summary_of(*PARTLY), fail_on=["cost:-30%"]).verdict.status == "unknown"


NEW = ([row(A)], [row(A), row(B, n=1)])
GONE = (NEW[1], NEW[0])
BOTH = ([row(A), row(B, n=1)], [row(A, prompt=2000), row(C, n=2, prompt=9000)])
HEADLINES = {
    "a new test": (*NEW, "+$0.0020 (+100.0%), $0.0020 -> $0.0040", "no change, $0.0020 -> $0.0020 in 1 test of both; 1 new: $0.0020"),
    "a test that is gone": (*GONE, "-$0.0020 (-50.0%), $0.0040 -> $0.0020", "no change, $0.0020 -> $0.0020 in 1 test of both"),
    "new, gone and changed": (*BOTH, "+$0.0090 (+225.0%), $0.0040 -> $0.0130", "+$0.0010 (+50.0%), $0.0020 -> $0.0030 in 1 test of both; 1 new: $0.0100"),
    "a new test without a price": (
        [row(A)], [row(A), row(B, n=1, model="acme-7b")], "change unknown, $0.0020 -> >=$0.0020",
        "no change, $0.0020 -> $0.0020 in 1 test of both; 1 new: unpriced",
    ),
    "the same tests": ([row(A)], [row(A, prompt=2000)], "+$0.0010 (+50.0%), $0.0020 -> $0.0030", None),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after", "headline", "second"), HEADLINES.values(), ids=HEADLINES.keys())
@pytest.mark.parametrize("repriced", [True, False])
def test_f148_the_headline_is_what_both_runs_cost(
    before: list[Row], after: list[Row], headline: str, second: str | None, repriced: bool
) -> None:
    """A run that doubled by a new test has doubled; like for like is the second line, where it says something."""
    diff = compare(summary_of(*before), summary_of(*after), book=FlatBook() if repriced else None)

    assert diff.headline == headline
    assert diff.like_for_like == (second and f"like for like: {second}")


def test_f148_every_face_shows_both_lines() -> None:
    """Table, comment, annotation, page, data and step outputs."""
    diff = compare(*(summary_of(*rows) for rows in NEW), book=FlatBook())
    table, comment, note, page = (render(diff, kind) for kind in ("table", "md", "github", "html"))

    for text, arrow in ((table, "->"), (comment, "-&gt;"), (note.replace("%25", "%"), "->")):
        assert f"+$0.0020 (+100.0%), $0.0020 {arrow} $0.0040" in text
        assert f"like for like: no change, $0.0020 {arrow} $0.0020 in 1 test of both" in text
    assert "<h1>+$0.0020</h1>" in page
    assert "<dd>$0.0040 <small>+100.0%</small>" in page
    assert "like for like: no change" in page
    delta = json.loads(render(diff, "json"), parse_float=Decimal)["delta"]
    assert (delta["total"], delta["usage"]) == (Decimal("0.002"), 0)
    assert "delta=0.002\ndelta_like_for_like=0\n" in render(diff, "github-output")
