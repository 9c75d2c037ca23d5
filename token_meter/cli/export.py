"""`token-meter export`: a ledger for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from token_meter.cli._options import config_from, examples, wrapped
from token_meter.cli._reading import period_of
from token_meter.exceptions import ConfigError, LedgerError

_NOT_WRITTEN = (".tsv", ".json", ".jsonl", ".xlsx", ".xls")
"""Names of files that no export is."""


@click.command(
    "export", epilog=examples("export --to calls", "export LEDGER --to costs.csv --format focus --since 2026-11-01")
)
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option(
    "--to", "to", required=True, metavar="DEST", help="A directory for parquet; a file for focus, *.csv or *.parquet."
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["parquet", "focus"]),
    default="parquet",
    show_default=True,
    help="Every call, a file for each UTC day; or costs by day and model in the columns of FOCUS 1.2.",
)
@click.option("--since", metavar="WHEN", help="Calls since then: 2026-11-20, 2026-11-20T08:00, 7d, 12h.")
@click.option("--until", metavar="WHEN", help="Calls before then.")
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(paths: tuple[str, ...], to: str, kind: str, since: str | None, until: str | None, **given: Any) -> None:
    """Export all runs of the data directory, or PATHS. The ledger stays; the same export again replaces itself.

    Parquet needs DuckDB: pip install 'token-meter[lake]'.
    """
    from token_meter.ci.harness import book_of
    from token_meter.lake import NotEqualError, export_focus, export_parquet
    from token_meter.ledger import find_shards
    from token_meter.report._formatting import counted

    config = config_from(given)
    since_s, until_s = period_of(since, until)
    shards = find_shards(paths or (config["data_dir"],), None, since_s)
    if not shards:
        msg = "no recorded calls to export"
        raise LedgerError(msg)
    target, book = Path(to), book_of(config["prices"])
    _check_name(to, target.suffix.lower(), kind)
    if target.is_dir() is (kind == "focus") and target.exists():
        msg = f"{to!r} is {'a directory' if target.is_dir() else 'a file'}; --format {kind} needs the other"
        raise ConfigError(msg)
    try:
        if kind == "focus":
            calls, days, skipped = export_focus(shards, target, since_s, until_s, book)
            told = f"{counted(calls, 'call')} of {counted(days, 'day')}"
        else:
            files, calls, facts = export_parquet(shards, target, since_s, until_s, book)
            told, skipped = f"{counted(calls, 'call')} in {counted(files, 'file')}", facts.skipped_records
    except NotEqualError as why:
        msg = f"this ledger cannot be exported as it is: {why}"
        raise LedgerError(msg) from None
    click.echo(f"wrote {to}: {told}")
    if skipped:
        click.echo(f"left out {counted(skipped, 'line')} that cannot be read", err=True)


def _check_name(to: str, suffix: str, kind: str) -> None:
    """Refuse a name that promises another kind of file than the one that would be written.

    Raises:
        ConfigError: the name ends so.
    """
    if kind == "focus" and suffix in _NOT_WRITTEN:
        msg = f"--format focus writes *.csv or *.parquet, not {to!r}"
        raise ConfigError(msg)
    if kind == "parquet" and suffix in (".csv", *_NOT_WRITTEN):
        msg = (
            f"{to!r} is the name of a file, and --format parquet writes a directory; "
            "costs by day as a file: --format focus; calls as CSV: token-meter query 'select * from calls' --csv"
        )
        raise ConfigError(msg)
