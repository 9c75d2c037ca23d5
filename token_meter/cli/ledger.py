"""`token-meter ledger`: keeps the record of a service in bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from token_meter.cli._options import Listing, config_from, examples, wrapped
from token_meter.exceptions import ConfigError


def _size(count: int) -> str:
    """Bytes as people read them; a little is not nothing."""
    if count < 1_000:
        return f"{count} bytes"
    return f"{count / 1e3:,.1f} kB" if count < 1_000_000 else f"{count / 1e6:,.1f} MB"


@click.group("ledger", cls=Listing)
def command() -> None:
    """Remove what a long-running service recorded long ago."""


@command.command("prune", epilog=examples("ledger prune --older-than 90d", "ledger prune DIR --older-than 2026-09-01"))
@click.argument("data_dir", required=False, metavar="[DIR]")
@click.option("--older-than", "older_than", required=True, metavar="WHEN", help="90d, 36h, or a date: 2026-09-01.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def prune(data_dir: str | None, older_than: str, dry_run: bool, **given: Any) -> None:
    """Remove the files of a data directory whose last call is older, and the runs that are then empty.

    A service writes a file a day (UTC), so that whole days go. What a process still writes stays, and so does every
    file that token-meter did not write. Budgets, history.jsonl and last.json stay.
    """
    from token_meter.cli._reading import seconds_since
    from token_meter.ledger._prune import prune as remove_old
    from token_meter.report._formatting import counted

    place = Path(data_dir or config_from(given)["data_dir"])
    if not place.is_dir():
        msg = f"no data directory at {str(place)!r}"
        raise ConfigError(msg)
    done = remove_old(place, seconds_since(older_than, "--older-than"), is_rehearsal=dry_run)
    verb = "would remove" if dry_run else "removed"
    files, runs = counted(done.files, "file"), counted(done.runs, "run")
    click.echo(f"{verb} {files} ({_size(done.bytes)}) and {runs} from {place}")
    if done.foreign:
        click.echo(f"kept {counted(done.foreign, 'file')} that token-meter did not write", err=True)
