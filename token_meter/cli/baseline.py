"""`token-meter baseline`: the committed report that a project compares with."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import click

from token_meter.cli._options import Listing, config_from, options, view_of, wrapped
from token_meter.cli._reading import read

FILE = ".token-meter-baseline.json"


@click.group("baseline", cls=Listing)
def command() -> None:
    """Keep a report in the repository to compare with. Only sensible with cassettes: live calls vary."""


@command.command("update")
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option("--file", "file", default=FILE, show_default=True, metavar="FILE", help="The committed file.")
@options("view")
@wrapped
def update(paths: tuple[str, ...], file: str, **given: Any) -> None:
    """Write the latest run, or PATHS, as the baseline.

    It holds no times and no commit, so that it changes only when costs do.
    """
    from token_meter.report import Run, load, render, write
    from token_meter.report._formatting import cost_text, counted

    config = config_from(given)
    now = read(paths or (config["data_dir"],), given["by"], config)
    before = load(file) if os.path.exists(file) else None
    groups = tuple(
        replace(g, totals=replace(g.totals, duration_s=0.0), models=tuple(_timeless(m) for m in g.models))
        for g in sorted(now.groups, key=lambda g: g.id)
    )
    fixed = replace(
        now, checks=(), groups=groups, models=tuple(_timeless(m) for m in now.models), created="", vcs=None, run=Run(),
        totals=replace(now.totals, duration_s=0.0),
    )  # fmt: skip
    write(render(fixed, "json"), file)
    click.echo(f"wrote {file}: {cost_text(now.totals)} in {counted(now.totals.calls, 'call')}")
    if before is not None and not now.totals.open and now.totals.cost < before.totals.cost:
        click.echo(f"note: it fell from {cost_text(before.totals)}; commit it to keep what was saved", err=True)


@command.command("show")
@click.option("--file", "file", default=FILE, show_default=True, metavar="FILE", help="The committed file.")
@options("view")
@wrapped
def show(file: str, **given: Any) -> None:
    """Show the baseline."""
    from token_meter.exceptions import LedgerError
    from token_meter.report import load, render

    if not os.path.exists(file):
        msg = f"no baseline at {file!r}; make one from the latest run: token-meter baseline update"
        raise LedgerError(msg)
    click.echo(render(load(file), "table", view_of(given, config_from(given))), nl=False)


def _timeless(line: Any) -> Any:
    return replace(line, totals=replace(line.totals, duration_s=0.0))
