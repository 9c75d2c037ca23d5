"""`token-meter clean`: removes recorded runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from token_meter.cli._options import config_from, wrapped


@click.command("clean")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(**given: Any) -> None:
    """Remove all recorded runs and their history, and nothing else: files that token-meter did not write stay."""
    from token_meter.ledger._place import remove_runs
    from token_meter.report._formatting import counted

    data_dir = Path(config_from(given)["data_dir"])
    removed, kept = remove_runs(data_dir)
    for name, sign in (("last.json", b'"token-meter/report/'), ("history.jsonl", b'"unpriced":')):
        path = data_dir / name
        if path.is_file() and not path.is_symlink() and sign in path.read_bytes()[:4096]:
            path.unlink()
    click.echo(f"removed {counted(removed, 'run')} from {data_dir}")
    if kept:
        click.echo(f"kept {counted(kept, 'file')} that token-meter did not write", err=True)
