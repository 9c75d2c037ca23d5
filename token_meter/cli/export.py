"""`token-meter export`: a ledger for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from token_meter.cli._options import config_from, examples, wrapped
from token_meter.cli._reading import by_engine, seconds_since
from token_meter.exceptions import LedgerError


@click.command(
    "export", epilog=examples("export --to calls", "export LEDGER --to costs.csv --format focus --since 2026-11-01")
)
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--to", "to", required=True, metavar="DEST", help="A directory for parquet, a file for focus.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "focus"]),
    default="parquet",
    show_default=True,
    help="Every call, a file for each UTC day; or costs by day and model in the columns of FOCUS 1.2 (CSV).",
)
@click.option("--since", metavar="WHEN", help="Calls since then: 2026-11-20, 2026-11-20T08:00, 7d, 12h.")
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(paths: tuple[str, ...], to: str, kind: str, since: str | None, **given: Any) -> None:
    """Export all runs of the data directory, or PATHS. The ledger stays; the same export again replaces itself.

    Parquet needs DuckDB: pip install 'token-meter[lake]'.
    """
    from token_meter.ci.harness import book_of
    from token_meter.lake import NotEqualError, export_focus, export_parquet
    from token_meter.ledger import find_shards, read_run
    from token_meter.report import summarise, write
    from token_meter.report._formatting import counted

    config = config_from(given)
    since_s = None if since is None else seconds_since(since)
    shards = find_shards(paths or (config["data_dir"],), None, since_s)
    if not shards:
        msg = "no recorded calls to export"
        raise LedgerError(msg)
    if kind == "focus":
        more: dict[str, Any] = {"by": "day", "book": book_of(config["prices"])}
        reader, summary = by_engine("auto", shards, since_s, more)
        if summary is None:
            reader = read_run(shards, last=None, since_s=since_s)
            summary = summarise(reader, **more)
        write(export_focus(summary), to)
        click.echo(f"wrote {to}: {counted(summary.totals.calls, 'call')} of {counted(len(summary.groups), 'day')}")
        skipped = reader.facts.skipped_records
    else:
        try:
            days, calls, facts = export_parquet(shards, Path(to), since_s)
        except NotEqualError as why:
            msg = f"this ledger cannot be exported as it is: {why}"
            raise LedgerError(msg) from None
        click.echo(f"wrote {to}: {counted(calls, 'call')} in {counted(days, 'file')}")
        skipped = facts.skipped_records
    if skipped:
        click.echo(f"left out {counted(skipped, 'line')} that cannot be read", err=True)
