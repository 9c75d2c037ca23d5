"""Options that commands share, and the conversion of errors to exit codes."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from token_meter.exceptions import BudgetStoreError, ConfigError, LedgerError

if TYPE_CHECKING:
    from token_meter.config import Config
    from token_meter.report import View

F = TypeVar("F", bound=Callable[..., Any])


def _precision(context: click.Context, _parameter: click.Parameter, places: int | None) -> None:
    from token_meter._money import PLACES

    if places is not None:
        before = PLACES.set(places)
        context.call_on_close(lambda: PLACES.reset(before))


def _no_color(context: click.Context, _parameter: click.Parameter, is_set: bool) -> None:
    if is_set or os.environ.get("NO_COLOR"):
        context.color = False


class Listing(click.Group):
    """A group whose help shows the whole first sentence of each command, where click cuts it at 45 characters."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(limit=200)) for name, command in sorted(self.commands.items())]
            )


class _By(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.4 only
    """What a report is grouped by."""

    name = "WHAT"

    def convert(self, value: str, parameter: click.Parameter | None, context: click.Context | None) -> str:
        from token_meter.report import check_by

        try:
            return check_by(value)
        except ConfigError as error:
            self.fail(str(error), parameter, context)


def _both(context: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> str:
    """`--by day --by model` is `--by day,model`."""
    return _By().convert(",".join(given), parameter, context)


_SECTIONS: dict[str, list[Callable[[Any], Any]]] = {
    "budget": [
        click.option("--max-cost", metavar="USD", help="Limit on the list price of all tokens."),
        click.option("--max-spend", metavar="USD", help="Limit on what live calls cost (replays are free)."),
        click.option("--max-tokens", metavar="N", help="Limit on tokens."),
        click.option("--max-calls", metavar="N", help="Limit on calls."),
        click.option(
            "--on-exceed", type=click.Choice(["warn", "fail", "stop"]),
            help="Over a limit: warn prints a warning; fail and stop exit with 3, and `run` refuses the call.",
        ),
        click.option("--unpriced", type=click.Choice(["ignore", "warn", "fail"]),
                     help="How to treat a call without a price."),
    ],
    "run": [
        click.option("--label", "labels", metavar="KEY=VALUE", multiple=True, help="Label all calls; repeatable."),
        click.option("--append", is_flag=True, help="Add to the latest run instead of beginning a new one."),
        click.option("--exit-code", metavar="N", type=click.IntRange(0, 255), default=3, show_default=True,
                     help="Exit code for an exceeded limit."),
        click.option("--data-dir", metavar="DIR", help="Where runs are kept.  [default: .token_meter]"),
        click.option("-q", "--quiet", is_flag=True, help="Print no report, only what was exceeded."),
    ],
    "view": [
        click.option("--by", metavar="WHAT", type=_By(), default=("test",), multiple=True, callback=_both,
                     help="A row for each test, model, file, process, day, tag, tag:NAME (each value of the label "
                     "NAME=VALUE), or label (the whole set of tags); two of them: day,tag:NAME.  [default: test]"),
        click.option("--sort", metavar="[-]KEY", help="cost, tokens, calls or name; - for the largest first."),
        click.option("--top", metavar="N", help="How many rows to show."),
        click.option("--min-cost", metavar="USD", help="Sum up smaller rows in one."),
        click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON."),
        click.option("--precision", metavar="N", type=click.IntRange(0, 9), expose_value=False, callback=_precision,
                     help="Decimal places of dollars.  [default: 4, and 2 from $10 on; more for small sums]"),
        click.option("--no-color", is_flag=True, expose_value=False, callback=_no_color,
                     help="No colours in a terminal (NO_COLOR does the same)."),
        click.option("--config", metavar="FILE", help="The pyproject.toml to read."),
    ],
}  # fmt: skip

formats_option = click.option(
    "-f", "--format", "formats", metavar="TYPE[:DEST]", multiple=True,
    help="A report: table, json, md, html, csv, ...; with :DEST to a file; ci for what this CI host reads; repeatable.",
)  # fmt: skip


def examples(*lines: str) -> str:
    """The examples at the end of a command's help."""
    return "\b\nExamples:\n" + "\n".join(f"  token-meter {line}" for line in lines)


def options(*sections: str) -> Callable[[F], F]:
    """Add the options of *sections* to a command."""

    def add(function: F) -> F:
        for section in reversed(sections):
            for option in reversed(_SECTIONS[section]):
                function = option(function)
        return function

    return add


def wrapped(function: F) -> F:
    """Convert our errors to one line and an exit code: 2 for a usage error, 1 for input that cannot be read."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except ConfigError as error:
            raise click.UsageError(str(error)) from None
        except (LedgerError, BudgetStoreError) as error:
            raise click.ClickException(str(error)) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            msg = f"{error.filename or 'a file'}: {error.strerror}"
            raise click.ClickException(msg) from None

    return call  # type: ignore[return-value]  # the same signature


def config_from(given: dict[str, Any]) -> Config:
    """The settings, overridden by the command line."""
    from token_meter.config import LIMITS, find_pyproject, load_config

    labels = dict(_label(text) for text in given.get("labels") or ())
    path = given.get("config") or os.environ.get("TOKEN_METER_CONFIG") or find_pyproject()
    mine = {
        "prices": given.get("prices"),
        "data_dir": given.get("data_dir"),
        "unpriced": given.get("unpriced"),
        "labels": labels or None,
        "report.sort": given.get("sort"),
        "report.top": given.get("top"),
        "budget.on_exceed": given.get("on_exceed"),
        "diff.fail_on": list(given.get("fail_on") or ()),
        "diff.warn_on": list(given.get("warn_on") or ()),
        "diff.min_change": given.get("min_change"),
        "diff.if_no_base": given.get("if_no_base"),
        **{f"budget.{name}": given.get(name) for name in LIMITS},
    }
    try:
        return load_config(path, given=mine)
    except ConfigError as error:
        text = str(error)
        for key in mine:  # the message names the option as the user wrote it
            text = text.replace(f"the command line: {key} ", f"--{key.rpartition('.')[2].replace('_', '-')} ")
        raise ConfigError(text) from None


def targets(formats: tuple[str, ...], config: Config, *, compared: bool = False) -> list[str]:
    """The reports to write: from the command line, else the settings, else the table.

    Raises:
        ConfigError: one of them is unknown. Called before anything runs.
    """
    from token_meter.report import FORMATS, expanded, parse_target

    wanted = list(formats) or (config["report.formats"] or [] if not compared else []) or ["table"]
    wanted = expanded(wanted, compared=compared)
    for text in wanted:
        target = parse_target(text)
        if compared and FORMATS[target.format].diff is None:
            able = ", ".join(name for name, f in FORMATS.items() if f.diff is not None)
            msg = f"a comparison cannot be written as {target.format}; it can as {able}"
            raise ConfigError(msg)
    return wanted


def view_of(given: dict[str, Any], config: Config, *, with_history: bool = False) -> View:
    """The view for the options; *with_history* adds the runs of the data directory."""
    from token_meter._money import parse_usd
    from token_meter.report import View, history

    least = given.get("min_cost")
    top = config["report.top"]
    return View(
        sort=config["report.sort"],
        top=View().top if top is None else top,
        min_cost=None if least is None else parse_usd(least, name="--min-cost"),
        width=shutil.get_terminal_size((80, 24)).columns,
        history=history(config["data_dir"]) if with_history else (),
    )


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        msg = f"--label must be KEY=VALUE, not {text!r}"
        raise ConfigError(msg)
    return key.strip(), value.strip()
