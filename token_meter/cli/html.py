"""`token-meter html`: a report as one page for a browser."""

from __future__ import annotations

import os
from typing import Any

import click

from token_meter.cli._options import config_from, examples, options, view_of, wrapped
from token_meter.cli._reading import period, read


@click.command("html", epilog=examples("html", "html job-*/.token_meter -o cost.html"))
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@period
@options("view")
@click.option("-o", "--output", metavar="FILE", help="The file to write.  [default: token-meter.html]")
@click.option("-d", "--directory", metavar="DIR", help="Write DIR/index.html instead.")
@click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]")
@wrapped
def command(paths: tuple[str, ...], output: str | None, directory: str | None, **given: Any) -> None:
    """Write the latest run, or PATHS, as one HTML file: no script, no network, light and dark."""
    from token_meter.report import render, write

    if output and directory:
        msg = "-o names a file and -d a directory; give one of them"
        raise click.UsageError(msg)
    config = config_from(given)
    target = os.path.join(directory, "index.html") if directory else output or "token-meter.html"
    which = {name: given[name] for name in ("last", "every_run", "since", "until")}
    summary = read(paths or (config["data_dir"],), given["by"], config, **which)
    write(render(summary, "html", view_of(given, config, with_history=not paths)), target)
    click.echo(f"wrote {target}")
