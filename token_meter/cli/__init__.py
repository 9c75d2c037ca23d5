"""The command `token-meter`. Each subcommand is imported when it is called, so that `--help` stays fast."""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module

import click

import token_meter

_COMMANDS = {
    "run": "meter a command and every Python process that it starts",
    "report": "show what calls cost: of the latest run, or of files",
    "watch": "the same, refreshed while programs run",
    "reconcile": "compare a ledger with the provider's bill, and say why they differ",
    "diff": "compare two reports, and fail on rules",
    "export": "a ledger as Parquet by day, or its costs as FOCUS",
    "query": "SQL over a ledger or its export",
    "combine": "put the records of many jobs in one file",
    "html": "write a report for a browser",
    "history": "what the last runs came to",
    "count": "tokens and price of a text before it is sent",
    "budget": "budgets that processes and machines share",
    "prices": "what models cost, where that comes from, and your own rates",
    "baseline": "a report in the repository to compare with",
    "debug": "settings and where they come from, recorded runs, versions",
    "clean": "remove recorded runs",
    "ledger": "remove what a long-running service recorded long ago",
    "demo": "see it in a minute, without a key: a program, metered, next to its bill",
    "simulator": "a server on this machine that plays OpenAI, with a bill",
}


class _Lazy(click.Group):
    """A group whose commands are modules of this package, imported on demand."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"token_meter.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from token_meter._text import suggestion

            msg = f"no such command {args[0]!r}{suggestion(args[0], _COMMANDS)}"
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


_FIRST = """\b
First steps:
  token-meter demo                   see it in a minute, without a key
  token-meter run python app.py      meter a program, without a change to it
  token-meter report --by model      what it cost
"""


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_FIRST)
@click.version_option(token_meter.__version__, prog_name="token-meter")
def main() -> None:
    """Tell what the LLM calls of Python programs cost, exactly."""
    _stumble_at_no_character()


def _stumble_at_no_character() -> None:
    """Write redirected output in UTF-8, even where Windows would use a code page, because names may hold anything."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_told = stream.isatty() or os.environ.get("PYTHONIOENCODING")
            stream.reconfigure(encoding=None if is_told else "utf-8", errors="backslashreplace")
