"""`token-meter query`: SQL over a ledger."""

from __future__ import annotations

import csv
import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from token_meter.cli._options import config_from, examples, wrapped
from token_meter.exceptions import ConfigError, LedgerError


@click.command(
    "query",
    epilog=examples(
        'query "select day, count(*) from calls group by day"',
        'query "select tag, count(*) from tags group by tag" DIR --csv',
    ),
)
@click.argument("sql")
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--csv", "kind", flag_value="csv", help="Write CSV.")
@click.option("--json", "kind", flag_value="json", help="Write JSON, one object a line.")
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(sql: str, paths: tuple[str, ...], kind: str | None, **given: Any) -> None:
    """Ask all runs of the data directory, PATHS, or a directory of exported Parquet, with the views calls, tags and
    costs_by_day.

    Needs DuckDB: pip install 'token-meter[lake]'.
    """
    from token_meter.ci.harness import book_of
    from token_meter.lake import NotEqualError, query
    from token_meter.ledger import find_shards
    from token_meter.report._formatting import terminal

    config = config_from(given)
    if paths and os.path.exists(sql):  # unlike a Path, no error for a question that is longer than a name may be
        msg = f"the question comes first, then {sql!r}: token-meter query SQL {sql}"
        raise ConfigError(msg)
    places = paths or (config["data_dir"],)
    parquet = sorted(file for place in places for file in Path(place).glob("**/*.parquet"))
    try:
        names, rows = query(sql, [] if parquet else find_shards(places, None), parquet, book_of(config["prices"]))
    except NotEqualError as why:
        msg = f"this ledger cannot be asked as it is: {why}"
        raise LedgerError(msg) from None
    if kind == "json":
        for row in rows:
            click.echo(json.dumps(dict(zip(names, row, strict=True)), default=str))
    elif kind == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
    else:
        table = [names, *([terminal(str(cell), 60) if cell is not None else "" for cell in row] for row in rows)]
        widths = [max(len(row[n]) for row in table) for n in range(len(names))]
        for shown in table:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(shown, widths, strict=True)).rstrip())
