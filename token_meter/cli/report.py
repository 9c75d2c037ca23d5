"""`token-meter report`: shows a ledger or a report again."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from token_meter.cli._options import config_from, examples, formats_option, options, targets, view_of, wrapped
from token_meter.cli._reading import period, read
from token_meter.cli.budget import budgets_of


@click.command(
    "report",
    epilog=examples(
        "report --by model",
        "report --since 7d --by day",
        "report --since 2026-11-01 --by day,tag:customer",
        "report --as-model gpt-4o-mini",
        "report -f md:comment.md -f json:report.json --max-cost 0.50",
    ),
)
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@period
@options("view", "budget")
@formats_option
@click.option("-o", "--output", metavar="FILE", help="Write the report to FILE.")
@click.option("--json", "as_json", is_flag=True, help="The same as -f json.")
@click.option("--as-model", metavar="MODEL", help="What the same tokens would cost with MODEL (or PROVIDER:MODEL).")
@click.option(
    "--engine",
    type=click.Choice(["auto", "python", "duckdb"]),
    default="auto",
    show_default=True,
    help="Who reads long ledgers; the figures are the same. duckdb: pip install 'token-meter[lake]'.",
)
@click.option("--store", metavar="ADDRESS", help="Show the shared budgets of this store too; `default`: of your own.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@wrapped
def command(
    paths: tuple[str, ...],
    formats: tuple[str, ...],
    output: str | None,
    as_json: bool,
    as_model: str | None,
    last: int | None,
    every_run: bool,
    since: str | None,
    until: str | None,
    engine: str,
    store: str | None,
    **given: Any,
) -> None:
    """Show what calls cost: of the latest run, or of PATHS (*.jsonl files, run or data directories, JSON reports).

    Exits with 3 when a limit is exceeded, and with 1 when there is nothing to read.
    """
    from token_meter.ci import harness as _run
    from token_meter.report import check_limits
    from token_meter.report._formatting import counted

    config = config_from(given)
    wanted = targets(("json", *formats) if as_json else formats, config)
    if output is not None:
        wanted = [f"{wanted[0]}:{output}", *wanted[1:]]
    view = view_of(given, config, with_history=not paths)
    summary = read(
        paths or (config["data_dir"],),
        given["by"],
        config,
        as_model=as_model,
        last=last,
        every_run=every_run,
        since=since,
        until=until,
        engine=engine,
    )
    limits = _run.limits_of(_run.budget_settings(config), "run", config["budget.on_exceed"])
    now = check_limits(summary, limits)
    lost = summary.run.lost_records
    if lost:
        now = tuple(_run.doubted(check, f"{counted(lost, 'record')} not written") for check in now)
    judged = {(check.scope, check.field) for check in now}
    checks = [*now, *(check for check in summary.checks if (check.scope, check.field) not in judged)]
    verdict = _run.verdict_of(checks, config, is_doubtful=bool(lost and limits))
    summary = replace(summary, checks=verdict.checks)
    if store is not None:
        from token_meter.report._shared_budgets import lines_of

        lines, notices = lines_of(budgets_of(None if store == "default" else store))
        summary = replace(summary, checks=(*summary.checks, *lines), notices=(*summary.notices, *notices))
    _run.deliver(summary, wanted, view, lambda text: click.echo(text, nl=False))
    if verdict.exit_code:
        click.echo(verdict.headline, err=True)
    sys.exit(verdict.exit_code)
