"""`token-meter clean`: removes recorded runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click

from token_meter.cli._options import config_from, wrapped


@click.command("clean")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(**given: Any) -> None:
    """Remove all recorded runs and their history, and nothing else."""
    data_dir = Path(config_from(given)["data_dir"])
    runs = data_dir / "runs"
    n = sum(1 for path in runs.iterdir() if path.is_dir()) if runs.is_dir() and not runs.is_symlink() else 0
    if n:
        shutil.rmtree(runs)
    for name in ("last.json", "history.jsonl"):
        (data_dir / name).unlink(missing_ok=True)
    click.echo(f"removed {n} run{'' if n == 1 else 's'} from {data_dir}")
