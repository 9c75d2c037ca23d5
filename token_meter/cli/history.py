"""`token-meter history`: the sums of the last runs."""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import click

from token_meter.cli._options import config_from, wrapped


@click.command("history")
@click.option("--last", metavar="N", type=click.IntRange(1), default=20, show_default=True, help="How many runs.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(last: int, as_json: bool, **given: Any) -> None:
    """Show the last runs of `token-meter run` and of pytest, the oldest first: cost, calls, commit.

    Exits with 1 when there is none.
    """
    from token_meter.exceptions import LedgerError
    from token_meter.report import history
    from token_meter.report._formatting import cost_text, exact, scale_of_sums
    from token_meter.report._table import columns

    data_dir = config_from(given)["data_dir"]
    points = history(data_dir, last)
    if not points:
        file = os.path.join(data_dir, "history.jsonl")
        msg = f"no run in {file!r}; run something first: token-meter run COMMAND, or pytest"
        raise LedgerError(msg)
    if as_json:
        rows = [
            {
                **p._asdict(),
                "cost": exact(p.totals.known_cost()) or None,
                "spent": exact(p.totals.known_cost(spent=True)) or None,
            }
            for p in points
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    table = [["command", "when (UTC)", "commit", "calls", "spent", "cost"]]
    spent, cost = (scale_of_sums((p.totals for p in points), spent=spent) for spent in (True, False))
    for p in points:
        sums = (f"{p.calls:,}", cost_text(p.totals, spent=True, places=spent), cost_text(p.totals, places=cost))
        table.append([p.command, p.created[:16].replace("T", " "), p.commit[:7] or "-", *sums])
    for line in columns(table, shutil.get_terminal_size((80, 24)).columns):
        click.echo(line)
