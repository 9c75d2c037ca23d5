"""Rows to sums: grouping, money that is a lower bound, limits and the one verdict."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.samples import NOW, FlatBook, call, row, summary_of, write_sample
from token_meter.exceptions import ConfigError
from token_meter.ledger import Ledger, Row, read_run
from token_meter.prices import DEFAULT_BOOK
from token_meter.prices._pricing import Linear
from token_meter.report import (
    Limit,
    check_limits,
    compare,
    find_vcs,
    judge,
    load,
    parse_target,
    render,
    summarise,
    write,
)
from token_meter.report._collect import OTHER
from token_meter.report._formatting import change_text, cost_sentence, percent_text
from token_meter.report._summary import Totals
from token_meter.types import Call, Price, Usage

GROUPS = [
    ("test", "tests/test_a.py::test_one", "test"),
    ("model", "gpt-4o-mini", "model"),
    ("file", "tests/test_a.py", "file"),
    ("label", "search, evals", "label"),
    ("process", "vm1:1", "process"),
    ("day", "2026-11-20", "day"),
]


@pytest.mark.parametrize(("by", "name", "kind"), GROUPS)
def test_rows_are_grouped_by_what_was_asked(by: str, name: str, kind: str) -> None:
    """Whatever the grouping, the total is the same."""
    summary = summary_of(row(tags=("search", "evals")), by=by)

    assert [(g.id, g.type) for g in summary.groups] == [(name, kind)]
    assert summary.totals.cost == Decimal("0.002")


CONTEXTS = [
    ("tests/test_a.py::test_one[x]", "test"),
    ("fixture:index[session]", "fixture"),
    (None, "outside"),
    ("batch job", "script"),
]


@pytest.mark.parametrize(("context", "kind"), CONTEXTS)
def test_who_pays_is_told_apart(context: str | None, kind: str) -> None:
    """A test, a fixture, no test, a script."""
    assert summary_of(row(context)).groups[0].type == kind


@pytest.mark.parametrize(
    ("contexts", "by", "word"),
    [
        ([None], "test", "program"),  # a service
        (["app.py", None], "test", "program"),  # `token-meter run`
        (["tests/test_a.py::test_one", None], "test", "test"),
        (["fixture:index[session]"], "test", "test"),
        ([None], "model", "model"),
        ([], "test", "test"),
    ],
)
def test_a_table_is_headed_by_what_its_rows_are(contexts: list[str | None], by: str, word: str) -> None:
    """A service has no tests."""
    summary = summary_of(*(row(context, n) for n, context in enumerate(contexts)), by=by)

    assert summary.what == word


def test_days_are_days_even_when_rows_are_of_one_kind(tmp_path: Path) -> None:
    """Rows of one kind are remembered together; their day is not."""
    ledger = Ledger.create(tmp_path)
    for n in range(3):
        ledger.call(call(n, started_s=1_795_169_700.0 + 86_400 * n))
    ledger.close()

    groups = summarise(read_run(tmp_path), by="day", book=FlatBook()).groups

    assert [g.id for g in groups] == ["2026-11-20", "2026-11-21", "2026-11-22"]


def test_only_live_calls_are_spent() -> None:
    """A cassette has a cost and costs nothing."""
    totals = summary_of(row(), row(n=1, source="replay"), row(n=2, source="mock")).totals

    assert (totals.cost, totals.spent) == (Decimal("0.006"), Decimal("0.002"))
    assert (totals.live, totals.replayed, totals.mocked) == (1, 1, 1)


def test_merged_rows_cost_what_their_calls_cost() -> None:
    """A row of a thousand calls is a thousand calls."""
    one_by_one = summary_of(*(row(n=n) for n in range(1000)))
    merged = summary_of(row(calls=1000))

    assert merged.totals.cost == one_by_one.totals.cost == 2
    assert merged.totals.tokens == one_by_one.totals.tokens


class _LaterBook(FlatBook):
    """A book that has prices from a moment on; before it says no, for an hour each."""

    since = 1_795_219_200.0  # 2026-11-21T00:00:00Z

    def price(self, call: Call) -> Price:
        """By the flat rates, if the call is late enough."""
        return super().price(call) if call.started_s >= self.since else Price(None, None, "not listed yet")

    def linear(self, call: Call) -> Linear:
        """The same of a sum."""
        hour = call.started_s - call.started_s % 3600
        if hour < self.since:
            no = self.price(call)
            return Linear(hour, hour + 3600, inf, True, True, True, lambda _: no, no.reason)
        cost = super().price
        return Linear(self.since, inf, inf, True, True, True, lambda usage: cost(call._replace(usage=usage)))


def test_a_refusal_ends_when_there_is_a_price(tmp_path: Path) -> None:
    """Long before, in the hour before, and from that moment on, however many calls are added up together."""
    ledger = Ledger.create(tmp_path)
    for n in range(120):
        ledger.call(call(n, prompt=100 + n, completion=10, started_s=_LaterBook.since + 600 * (n - 60)))
    ledger.close()
    together = summarise(read_run(tmp_path), by="model", book=_LaterBook()).totals
    one_by_one = summarise(list(read_run(tmp_path, merge=False)), by="model", book=_LaterBook()).totals

    assert (together.cost, together.unpriced) == (one_by_one.cost, one_by_one.unpriced)
    assert together.unpriced == 60


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10**6), st.integers(0, 10**5)), max_size=30))
def test_the_parts_add_up_to_the_total(calls: list[tuple[int, int, int]]) -> None:
    """Exactly, in Decimal, by groups and by models."""
    rows = [row(f"t{k}", n=n, model=f"m{k % 2}", prompt=p, completion=c) for n, (k, p, c) in enumerate(calls)]
    summary = summary_of(*rows)
    expected = sum((Decimal(p + 10 * c) / 1_000_000 for _, p, c in calls), Decimal(0))

    assert summary.totals.cost == expected
    assert sum((g.totals.cost for g in summary.groups), Decimal(0)) == expected
    assert sum((m.totals.cost for m in summary.models), Decimal(0)) == expected


UNKNOWN = [
    # rows, what the sentence says
    ([row()], "$0.0020"),
    ([row(certainty="estimated")], "~$0.0020"),
    ([row(), row(n=1, model="acme-7b")], ">=$0.0020 (1 call unpriced: acme-7b)"),
    ([row(model="acme-7b", calls=2)], "unknown (2 calls unpriced: acme-7b)"),
    ([row(certainty="lower_bound"), row(n=1, model="acme-7b")], ">=~$0.0020 (1 call unpriced: acme-7b)"),
    ([row(prompt=1, completion=0)], "$0.000001"),
    ([row(prompt=1, completion=0), row(n=1, model="acme-7b")], ">=$0.000001 (1 call unpriced: acme-7b)"),
    ([row(usage=None, certainty="unmeasured")], "unknown (1 call unpriced: gpt-4o-mini)"),
    ([row(usage=None, status=429, error="rate_limit", certainty="unmeasured")], "$0.00"),
    ([], "$0.00"),
]


@pytest.mark.parametrize(("rows", "sentence"), UNKNOWN, ids=lambda value: value if isinstance(value, str) else "")
def test_unknown_is_never_zero(rows: list[Row], sentence: str) -> None:
    """A lower bound says so and names what has no price; a refused call without usage costs nothing."""
    assert cost_sentence(summary_of(*rows).totals) == sentence


CHANGES = [
    (Decimal(0), Decimal(1), "=", "+0.0%"),
    (Decimal("0.008"), Decimal("0.2"), "+$0.0080", "+4.0%"),
    (Decimal("-0.5"), Decimal(1), "-$0.5000", "-50.0%"),
    (Decimal("0.00001"), Decimal(1), "+$0.00001", "+<0.1%"),
    (Decimal(1), Decimal(0), "+$1.0000", None),
]


@pytest.mark.parametrize(("change", "base", "money", "percent"), CHANGES)
def test_a_change_never_rounds_to_nothing(change: Decimal, base: Decimal, money: str, percent: str | None) -> None:
    """As with money: what is above zero is not shown as zero."""
    assert (change_text(change), percent_text(change, base)) == (money, percent)


def test_the_same_tokens_are_priced_for_another_model() -> None:
    """What would this suite cost there? A provider's own bill does not carry over."""
    theirs = row(model="acme-7b", usage=Usage(1000, 100, 1100, provider_cost=Decimal(99)))
    summary = summary_of(theirs, as_model="gpt-4o-mini")

    assert summary.totals.cost == Decimal("0.002")
    assert summary.notices[-1].code == "as-model"


def test_another_model_is_priced_by_who_sells_it_where_the_host_does_not() -> None:
    """At Anthropic's host, and at a gateway that nobody has named; and by a provider who is said."""
    theirs = [row(n=n, model="acme-7b", host=host, provider=None, base_url=f"https://{host}/v1", usage=Usage(1000, 100, 1100))
              for n, host in enumerate(("api.anthropic.com", "gw.corp"))]  # fmt: skip
    for named in ("gpt-4o", "openai:gpt-4o"):
        assert summary_of(*theirs, book=DEFAULT_BOOK, as_model=named).totals.cost == 2 * Decimal("0.0035")

    unknown = summary_of(*theirs, book=DEFAULT_BOOK, as_model="acme-8b")
    assert unknown.totals.unpriced == 2
    assert all("or say who sells it: PROVIDER:acme-8b" in (line.reason or "") for line in unknown.models)


def test_endless_new_models_do_not_fill_the_page() -> None:
    """A thousand names, then `(other)`."""
    summary = summary_of(*(row(n=n, model=f"m{n}") for n in range(1500)))

    assert len(summary.models) == 1001
    assert max(summary.models, key=lambda m: m.totals.calls).kind.model == OTHER
    assert summary.totals.calls == 1500


def test_attempts_and_phases_are_kept_apart() -> None:
    """A rerun is told as an attempt, its cost added."""
    summary = summary_of(row()._replace(phase="setup"), row(n=1)._replace(attempt=3))
    (group,) = summary.groups

    assert group.phases == {"setup": Decimal("0.002"), "call": Decimal("0.002")}
    assert group.attempts == 3


LIMITS = [
    # scope, field, limit, status
    ("run", "cost", "0.002", "ok"),  # exactly the limit is not over it
    ("run", "cost", "0.0019999999", "exceeded"),
    ("run", "spent", "0.001", "exceeded"),
    ("run", "tokens", 1100, "ok"),
    ("run", "tokens", "1099", "exceeded"),
    ("run", "calls", 0, "exceeded"),
    ("test", "cost", "0.001", "exceeded"),
    ("test", "calls", 1, "ok"),
    ("tests/test_a.py::test_one", "calls", 0, "exceeded"),
]


@pytest.mark.parametrize(("scope", "field", "limit", "status"), LIMITS)
def test_over_the_limit_is_over_it(scope: str, field: str, limit: str | int, status: str) -> None:
    """Whatever the display would round to; and the exit code follows."""
    checks = check_limits(summary_of(row()), [Limit.of(scope, field, limit)])

    assert [c.status for c in checks] == [status]
    assert judge(checks).exit_code == (3 if status == "exceeded" else 0)


def test_a_limit_on_calls_leaves_out_the_retries_of_the_sdk() -> None:
    """As a budget does: what was let in is not over the limit afterwards, though the table shows each attempt."""
    refused, answered = row(n=1, status=429, usage=None, outcome="error"), row(n=2, attempt=1)
    summary = summary_of(refused, answered)
    (check,) = check_limits(summary, [Limit.of("run", "calls", 1)])

    assert (summary.totals.calls, summary.totals.retries) == (2, 1)
    assert (check.status, check.actual) == ("ok", 1)


def test_a_text_never_shows_two_equal_amounts_as_exceeded() -> None:
    """`$0.0020 of $0.0020 exceeded` would be a riddle."""
    (check,) = check_limits(summary_of(row()), [Limit.of("run", "cost", "0.0019999999")])

    assert check.text == "run was limited to $0.0019999999 but cost $0.002"


def test_a_limit_that_unpriced_calls_leave_open_is_not_ok() -> None:
    """It warns; with `unpriced="fail"` it fails."""
    summary = summary_of(row(), row(n=1, model="acme-7b"))
    checks = check_limits(summary, [Limit.of("run", "cost", 1)])

    assert judge(checks).exit_code == 0
    assert judge(checks).status == "unknown"
    assert judge(checks, unpriced="fail").exit_code == 3


def test_a_warning_limit_warns() -> None:
    """Exceeded, said, exit code 0."""
    verdict = judge(check_limits(summary_of(row()), [Limit.of("run", "calls", 0, "warn")]))

    assert (verdict.status, verdict.exit_code) == ("warn", 0)
    assert "limited to 0 calls but made 1 call" in verdict.text


@pytest.mark.parametrize(
    ("field", "limit"),
    [("costs", 1), ("cost", "-1"), ("cost", "nan"), ("tokens", 1.5), ("calls", True), ("calls", "x")],
)
def test_a_limit_that_cannot_be_meant_is_refused(field: str, limit: str | float) -> None:
    """At start, not when it is too late."""
    with pytest.raises(ConfigError):
        Limit.of("run", field, limit)


TARGETS = [
    ("json:report.json", ("json", "report.json", False, None, False)),
    ("md", ("md", None, False, None, False)),
    ("term:20", ("table", None, False, 20, False)),
    ("term-all", ("table", None, False, None, True)),
    ("md-append:C:/x.md", ("md", "C:/x.md", True, None, False)),
    ("gitlab-codequality:gl.json", ("gitlab-codequality", "gl.json", False, None, False)),
]


@pytest.mark.parametrize(("text", "target"), TARGETS)
def test_a_report_is_asked_for_as_type_and_destination(text: str, target: tuple[object, ...]) -> None:
    """The known idiom, read in one place."""
    assert tuple(parse_target(text)) == target


@pytest.mark.parametrize(("text", "hint"), [("jsn", "json"), ("htm:x", "html"), ("md-append", "needs a file")])
def test_an_unknown_report_is_an_error_with_a_suggestion(text: str, hint: str) -> None:
    """Not a report that never comes."""
    with pytest.raises(ConfigError, match=hint):
        parse_target(text)


def test_a_comparison_has_no_csv() -> None:
    """The error names the formats that it has."""
    from token_meter.report import compare

    with pytest.raises(ConfigError, match="table, json, md"):
        render(compare(None, summary_of()), "csv")


def test_a_missing_jinja_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else needs it."""
    from token_meter.report import _html_parts as _page

    _page._template.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)

    with pytest.raises(ConfigError, match=r"token-meter\[html\]"):
        render(summary_of(), "html")


@pytest.mark.parametrize(("kind", "limit"), [("md", 60_000), ("summary", 900 * 1024), ("buildkite", 60_000)])
def test_twenty_thousand_tests_fit_the_host(kind: str, limit: int) -> None:
    """Over GitHub's limit the whole summary would be dropped: rows are cut, and how many is said."""
    summary = summary_of(*(row(f"tests/test_{n}.py::test_{'x' * 120}", n=n) for n in range(20_000)))
    text = render(summary, kind)

    assert limit * 0.8 < len(text.encode()) <= limit
    assert " more*" in text
    assert text.count("\n| ") > 100
    assert text.endswith("</sub>\n")


def test_a_table_keeps_to_its_columns() -> None:
    """80 by default, also with wide characters and long names; a wide terminal gets more columns."""
    from token_meter.report import View

    summary = summary_of(row("t.py::" + "x" * 300), row("テスト" * 20, n=1))
    narrow = render(summary, "table").splitlines()
    wide = render(summary, "table", View(width=140)).splitlines()

    assert max(map(len, narrow[:5])) <= 80
    assert "reasoning" in wide[0]
    assert max(map(len, wide[:5])) <= 140


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    """A report that is being read is never half of one; appending appends."""
    target = tmp_path / "deep" / "report.md"
    write("one\n", target)
    write("two\n", target, append=True)

    assert target.read_text() == "one\ntwo\n"
    assert [p.name for p in target.parent.iterdir()] == ["report.md"]


def test_a_ledger_and_a_report_load_as_the_same_summary(tmp_path: Path) -> None:
    """A directory, a shard, or the JSON made of it."""
    run = write_sample(tmp_path / "data")
    summary = load(run)
    write(render(summary, "json"), tmp_path / "report.json")

    assert load(tmp_path / "report.json").totals.cost == summary.totals.cost == load(tmp_path / "data").totals.cost


def test_the_ci_is_asked_first_and_git_second(tmp_path: Path) -> None:
    """Facts for the report only; nothing is written to a host."""
    github = {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "a" * 40, "GITHUB_HEAD_REF": "feat/x", "GITHUB_RUN_ID": "7"}
    found = find_vcs(github | {"GITHUB_SERVER_URL": "https://h", "GITHUB_REPOSITORY": "o/r"}, cwd=tmp_path)
    gitlab = find_vcs({"GITLAB_CI": "true", "CI_COMMIT_SHA": "b" * 40, "CI_MERGE_REQUEST_IID": "12"}, cwd=tmp_path)

    assert found is not None
    assert (found.ci, found.commit, found.branch, found.run_url) == (
        "github", "a" * 40, "feat/x", "https://h/o/r/actions/runs/7",
    )  # fmt: skip
    assert gitlab is not None
    assert (gitlab.ci, gitlab.pr) == ("gitlab", 12)
    assert find_vcs({}, cwd=tmp_path) is None


def test_git_that_hangs_or_is_missing_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report never fails because of git."""

    def hang(*args: object, **kwargs: object) -> object:
        raise subprocess.TimeoutExpired("git", 5)

    monkeypatch.setattr(subprocess, "run", hang)
    assert find_vcs({}, cwd=tmp_path) is None
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_vcs({}, cwd=tmp_path) is None


def test_an_incomplete_record_is_said_everywhere(tmp_path: Path) -> None:
    """A killed process's call was billed; no format hides it."""
    ledger = Ledger.create(tmp_path)
    ledger.start("00000000000000a1-0", "gpt-4o-mini", context="t::a")
    ledger.call(call(1))
    assert ledger.shard is not None
    left = tmp_path / "left.jsonl"  # what a process that was killed leaves: nobody holds it any more
    left.write_bytes(ledger.shard.read_bytes())
    summary = summarise(read_run(left), book=FlatBook(), now=NOW)
    ledger.close()

    assert [n.code for n in summary.notices] == ["in-flight", "unclean-process"]
    for kind in ("table", "md", "html", "json", "github"):
        assert "1 call in flight" in render(summary, kind)


def test_totals_add_up_like_numbers() -> None:
    """Nothing is lost between two sums."""
    one = summary_of(row()).totals

    assert one + Totals() == one
    assert (one + one).cost == one.cost * 2
    assert replace(one, calls=3) + one != one


def test_the_moment_of_a_report_is_utc() -> None:
    """`created` is a time that other machines understand."""
    assert summary_of(now=datetime(2026, 11, 20, 10, 16, tzinfo=UTC)).created == "2026-11-20T10:16:00Z"


def test_f153_no_row_of_a_cheap_model_reads_as_nothing(tmp_path: Path) -> None:
    """Every format for people shows what each row cost, digits below digits; so does a comparison."""
    rows = [row(f"t.py::test_{n}", n, prompt=10**n, completion=0) for n in range(1, 6)]
    cheap, changed = summary_of(*rows), summary_of(*rows[:-1], row("t.py::test_5", 5, prompt=10**5 + 7, completion=0))
    diff = compare(cheap, changed, book=FlatBook())

    for kind in ("table", "md", "html"):
        text = render(cheap, kind)
        assert [cost for n in range(1, 6) if (cost := f"${Decimal(10**n) / 10**6:.5f}") not in text] == []
        assert "<$0" not in text.replace("&lt;", "<")
    for kind in ("table", "md", "html"):
        assert "+$0.000007" in render(diff, kind)
