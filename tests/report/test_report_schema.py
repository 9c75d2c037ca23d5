"""What JSON v2 promises, held by the schema that we publish."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from tests.report.samples import FlatBook, row, sample, summary_of
from token_meter.exceptions import LedgerError
from token_meter.report import Limit, Summary, Totals, check_limits, compare, loads, render, summarise
from token_meter.types import Usage

jsonschema = pytest.importorskip("jsonschema")
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())


@pytest.fixture
def summaries(tmp_path: Path) -> list[Summary]:
    """A whole run, an empty one, and one with everything that can be unknown."""
    odd = summary_of(
        row(None, usage=None, certainty="unmeasured"),
        row("a", n=1, status=500, usage=None, error="rate_limit"),
        row("b", n=2, usage=Usage(5, 5, 10, provider_cost=Decimal("0.0000001"), audio_seconds=1.5)),
        row("c", n=3, model="acme-7b", certainty="estimated"),
        row("d", n=4, calls=1_000_000, source="mock", service_tier="flex", processing="batch"),
    )
    limits = [Limit.of("run", "cost", 0), Limit.of("run", "tokens", 10**9), Limit.of("a", "calls", 5)]
    whole = sample(tmp_path)
    return [whole, summary_of(), replace(odd, checks=check_limits(odd, limits), vcs=None)]


def test_reports_and_comparisons_are_valid(summaries: list[Summary]) -> None:
    """Every kind of document that we write is one that the schema knows."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    for head in summaries:
        validator.validate(json.loads(render(head, "json")))
        for base in (None, summaries[0]):
            diff = compare(base, head, book=FlatBook(), fail_on=["cost:10%", "unpriced:0", "test.calls:0"])
            validator.validate(json.loads(render(diff, "json")))


def test_the_schema_refuses_what_is_not_ours(summaries: list[Summary]) -> None:
    """A schema that accepts everything would hold nothing."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    good = json.loads(render(summaries[0], "json"))
    for path, value in (
        (("totals", "cost"), "0.20"),
        (("totals", "calls"), -1),
        (("contexts", 0, "type"), "other"),
        (("schema",), "token-meter/report/v3"),
        (("totals", "tokens", "prompt_tokens"), 1.5),
    ):
        bad: Any = json.loads(json.dumps(good))
        spot = bad
        for key in path[:-1]:
            spot = spot[key]
        spot[path[-1]] = value
        assert not validator.is_valid(bad), path


def keys(data: Any, path: str = "") -> Iterator[str]:
    """Every key of a document, with the way to it."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield f"{path}.{key}"
            if path not in (".contexts[].phases", ".run.labels"):
                yield from keys(value, f"{path}.{key}")
    elif isinstance(data, list):
        for value in data:
            yield from keys(value, f"{path}[]")


def test_no_key_is_ever_lost() -> None:
    """The keys of v1 as they were first published; add to this list, never take from it."""
    found = set(keys(json.loads(render(summary_of(row()), "json"))))

    assert found >= {
        ".schema", ".kind", ".tool.name", ".tool.version", ".created", ".by", ".as_model", ".run.id", ".run.complete",
        ".run.command", ".run.exit_status", ".run.duration_s", ".run.processes", ".run.unclean_processes",
        ".run.in_flight", ".run.skipped_records", ".run.lost_records", ".run.labels", ".vcs.commit", ".vcs.branch",
        ".vcs.dirty", ".vcs.merge_base", ".vcs.ci", ".vcs.run_url", ".vcs.pr", ".prices.version", ".prices.currency",
        ".prices.overrides", ".totals.calls", ".totals.live", ".totals.replayed", ".totals.mocked", ".totals.failed",
        ".totals.unpriced", ".totals.estimated", ".totals.unmeasured", ".totals.late", ".totals.tokens.prompt_tokens",
        ".totals.tokens.cached_tokens", ".totals.tokens.cache_write_tokens", ".totals.tokens.completion_tokens",
        ".totals.tokens.reasoning_tokens", ".totals.tokens.total_tokens", ".totals.cost", ".totals.spent",
        ".models[].model", ".models[].priced", ".models[].cost", ".contexts[].id", ".contexts[].type",
        ".contexts[].outcome", ".contexts[].attempts", ".contexts[].file", ".contexts[].line", ".contexts[].phases",
        ".contexts[].models", ".contexts[].cost", ".budgets", ".warnings",
    }  # fmt: skip


def test_money_is_a_number_with_exact_text() -> None:
    """`jq` reads it without `tonumber`; Python has it back digit for digit."""
    text = render(summary_of(row(prompt=1, completion=0)), "json")

    assert json.loads(text, parse_float=Decimal)["totals"]["cost"] == Decimal("0.000001")
    assert '"cost": 0.000001,' in text


@pytest.mark.parametrize("cost", ["0.00016755", "0.0000000000375", "1234567890123.000000000000000001", "0", "12.50"])
def test_no_digit_of_money_is_lost(cost: str) -> None:
    """Half the price of a batch of cached tokens has ten decimal places and more."""
    summary = replace(summary_of(), totals=Totals(calls=1, cost=Decimal(cost)))
    text = render(summary, "json")

    assert json.loads(text, parse_float=Decimal, parse_int=Decimal)["totals"]["cost"] == Decimal(cost)
    assert loads(text).totals.cost == Decimal(cost)
    assert "e" not in text.partition('"cost": ')[2].partition(",")[0].lower()


def test_an_amount_that_means_nothing_takes_no_megabyte() -> None:
    """A report may come from anywhere."""
    summary = replace(summary_of(), totals=Totals(calls=1, cost=Decimal("1e-999999")))

    assert len(render(summary, "json")) < 10_000


def test_a_report_reads_back_as_the_summary_that_it_was(summaries: list[Summary]) -> None:
    """Down to the usages, so that its tokens can be priced again."""
    for summary in summaries:
        again = loads(render(summary, "json"))

        assert again.totals == replace(summary.totals, unpriced_models=again.totals.unpriced_models)
        assert again.groups == summary.largest
        assert again.models == summary.models
        assert again.run == summary.run
        assert again.vcs == summary.vcs
        assert render(replace(again, checks=summary.checks, notices=summary.notices), "json") == render(summary, "json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '{"schema": "token-meter/report/v3", "kind": "report"}',
        '{"schema": "token-meter/report/v2", "kind": "diff"}',
        '{"schema": "token-meter/report/v2", "kind": "report"}',
        '{"schema": "token-meter/report/v2", "kind": "report", "totals": {"tokens": {}, "cost": "1", "spent": 0}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:50],
)
def test_what_is_no_report_is_an_error_that_says_so(text: str) -> None:
    """Never a traceback from the depths, never an empty report."""
    with pytest.raises(LedgerError, match=r"base\.json"):
        loads(text, "base.json")


@pytest.mark.parametrize("key", ["cost", "calls", "duration_s"])
@pytest.mark.parametrize("number", ["1e400", "-1e9999999", "9" * 4000, "NaN", "Infinity"], ids=lambda text: text[:9])
def test_a_number_that_nobody_can_mean_is_no_report(key: str, number: str) -> None:
    """It would be shown in thousands of digits, or not at all."""
    data = json.loads(render(summary_of(row()), "json"))
    data["totals"][key] = "NUMBER"

    with pytest.raises(LedgerError, match="is not a whole"):
        loads(json.dumps(data).replace('"NUMBER"', number))


def test_money_is_exact_in_any_decimal_context() -> None:
    """Nor do limits of many digits, which are no money, stop a report."""
    with localcontext() as context:
        context.prec = 2

        summary = summary_of(row(prompt=123_000_000, completion=0), row(n=1, prompt=456_789, completion=0))
        summary = replace(summary, checks=check_limits(summary, [Limit.of("run", "tokens", "9" * 30)]))
        texts = [render(summary, kind) for kind in ("json", "github-output")]
        change = json.loads(render(compare(summary_of(), summary), "json"), parse_float=Decimal)["delta"]["total"]

    assert ['"cost": 123.456789' in texts[0], "cost=123.456789\n" in texts[1]] == [True, True]
    assert change == Decimal("123.456789")
    assert loads(texts[0]).checks[0].limit == int("9" * 30)


def test_a_summary_of_nothing_is_valid_and_costs_nothing() -> None:
    """No call is a true zero."""
    assert summarise([], book=FlatBook()).totals.cost == 0


def test_limits_and_warnings_come_back_from_json() -> None:
    """A later step that makes a page of a report shows what the run was told; a hostile status is no verdict."""
    summary = summary_of(row(), row(n=1, model="acme-7b"))
    summary = replace(
        summary, checks=check_limits(summary, [Limit.of("run", "calls", 1), Limit.of("test", "cost", "0.0001")])
    )
    text = render(summary, "json")

    back = loads(text)
    odd = loads(text.replace('"exceeded"', '"fine"'))

    assert back.checks == summary.checks
    assert back.notices == summary.notices
    assert {check.status for check in odd.checks} == {"unknown"}
    assert "was limited to 1 call but made 2 calls" in render(back, "html")
