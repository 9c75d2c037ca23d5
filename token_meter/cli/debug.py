"""`token-meter debug`: settings and their origin, recorded data, versions."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from token_meter.cli._options import config_from, wrapped
from token_meter.transports.callers import CALLERS

_PACKAGES = (
    "token-meter", *sorted(CALLERS - {"vcr"}), "vcrpy", "genai-prices", "tiktoken", "click", "pytest", "pytest-xdist",
    "jinja2",
)  # fmt: skip


@click.command("debug")
@click.argument("topics", nargs=-1, type=click.Choice(["config", "data", "sys"]))
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(topics: tuple[str, ...], **given: Any) -> None:
    """Show settings and where each comes from (config), recorded runs (data), and versions (sys).

    Without a topic, all three.
    """
    for topic in topics or ("config", "data", "sys"):
        click.echo(f"-- {topic}")
        _TOPICS[topic](given)


def _config(given: dict[str, Any]) -> None:
    from token_meter.config import KEYS, find_pyproject

    config = config_from(given)
    click.echo(f"file: {given.get('config') or find_pyproject() or 'none'}")
    for key in KEYS:
        value, origin = config.setting(key)
        click.echo(f"{key:24} {'-' if value is None else str(value):30} {origin}")


def _data(given: dict[str, Any]) -> None:
    from token_meter.ledger import read_run, run_dirs
    from token_meter.report._formatting import counted

    data_dir = config_from(given)["data_dir"]
    runs = run_dirs(data_dir)
    click.echo(f"{os.path.abspath(data_dir)}: {len(runs)} run{'' if len(runs) == 1 else 's'}")
    for run in runs[-5:]:
        reader = read_run(run)
        calls = sum(row.calls for row in reader)
        facts = reader.facts
        state = "complete" if facts.is_complete else f"not complete ({facts.in_flight} in flight)"
        click.echo(f"{run.name}: {counted(calls, 'call')}, {counted(facts.processes, 'process', 'es')}, {state}")


def _sys(given: dict[str, Any]) -> None:
    click.echo(f"python {platform.python_version()} {sys.executable}")
    click.echo(f"platform {platform.platform()}")
    for name in _PACKAGES:
        try:
            click.echo(f"{name} {version(name)}")
        except PackageNotFoundError:
            click.echo(f"{name} not installed")
    from token_meter._defaults import default_book

    click.echo(f"prices {default_book().version}")


_TOPICS = {"config": _config, "data": _data, "sys": _sys}
