"""What a command reads: which runs of a data directory, or which report. It knows no command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from token_meter.cli._options import F
from token_meter.exceptions import ConfigError, LedgerError

if TYPE_CHECKING:
    from pathlib import Path

    from token_meter.config import Config

_LONG = 60_000_000
"""Bytes of a ledger from which on an engine is started."""
_MORE = "; more: --last N, --since DATE, --all"

period_options = (
    click.option(
        "--last", metavar="N", type=click.IntRange(1), help="The last N runs of a data directory, not just one."
    ),
    click.option("--all", "every_run", is_flag=True, help="All runs of a data directory."),
    click.option(
        "--since", metavar="WHEN", help="Calls since then, of all runs: 2026-11-20, 2026-11-20T08:00, 7d, 12h."
    ),
    click.option("--until", metavar="WHEN", help="Calls before then, of all runs."),
)


def period(function: F) -> F:
    """Add the options that say which runs of a data directory are meant."""
    for option in reversed(period_options):
        function = option(function)
    return function


def read(
    paths: tuple[str, ...],
    by: Any,
    config: Config,
    *,
    as_model: str | None = None,
    priced_later: bool = False,
    last: int | None = None,
    every_run: bool = False,
    since: str | None = None,
    until: str | None = None,
    engine: str = "python",
) -> Any:
    """One report, or the records of several shards and directories, as a summary.

    A report is finished: *as_model*, prices and another *by* are refused for it. Prices pass if it is *priced_later*.

    Raises:
        LedgerError: there is nothing to read.
        ConfigError: a report cannot be read as it was asked for.
    """
    from dataclasses import replace
    from pathlib import Path

    from token_meter.ci.harness import book_of, checks_on_record
    from token_meter.ledger import find_shards, read_run
    from token_meter.report import find_vcs, load, summarise

    book = book_of(config["prices"])
    is_report = len(paths) == 1 and not Path(paths[0]).is_dir() and not paths[0].endswith(".jsonl")
    if is_report:
        if not Path(paths[0]).exists() and not paths[0].startswith("git:") and paths[0] != "-":
            msg = f"no ledger or report at {paths[0]!r}; run something first: token-meter run COMMAND, or pytest"
            raise LedgerError(msg)
        anew = {"--as-model": as_model is not None, "--prices": not priced_later and is_typed("prices")}
        for option, is_asked in anew.items():
            if is_asked:
                msg = f"{paths[0]!r} is a finished report and cannot be priced again; give its ledger with {option}"
                raise ConfigError(msg)
        if last is not None or every_run or since is not None or until is not None:
            msg = f"{paths[0]!r} is a finished report; --last, --all, --since, --until choose what of a ledger is read"
            raise ConfigError(msg)
        summary = load(paths[0], by=by, book=book)
        if is_typed("by") and by != summary.by:
            msg = f"{paths[0]!r} is grouped by {summary.by}, which cannot become --by {by}; give its ledger"
            raise ConfigError(msg)
        return summary
    for path in paths:
        if path.endswith(".json"):
            msg = f"{path!r} is a finished report; give it alone, or give ledgers (*.jsonl, directories)"
            raise LedgerError(msg)
    if last is not None and every_run:
        msg = "--last and --all exclude each other"
        raise ConfigError(msg)
    since_s, until_s = period_of(since, until)
    runs = None if every_run or ((since or until) is not None and last is None) else last or 1
    if not find_shards(paths, runs, since_s):
        where = ", ".join(map(repr, paths))
        if find_shards(paths, None):
            which = f"the last {last} runs" if last and last > 1 else "the latest run"
            msg = f"{which} in {where} recorded no call{_MORE if _has('last') else ''}"
            if since is not None:
                msg = f"no calls since {since} in {where}"
            raise LedgerError(msg)
        msg = f"no recorded calls in {where}; run something first: token-meter run COMMAND, or pytest"
        raise LedgerError(msg)
    if runs == 1 and last is None:
        _tell_of_other_runs(paths)
    more: dict[str, Any] = {"by": by, "book": book, "as_model": as_model, "vcs": find_vcs(), "labels": config["labels"]}
    rows, summary = by_engine(engine, find_shards(paths, runs, since_s), since_s, until_s, more)
    if summary is None:
        rows = read_run(paths, last=runs, since_s=since_s, until_s=until_s)
        summary = summarise(rows, **more)
    _check_tags(by, summary, paths, runs, since_s)
    summary = replace(summary, checks=tuple(checks_on_record(rows.facts)))
    run = summary.run
    if run.skipped_records and not run.processes and not summary.totals.calls:
        msg = f"no records of token-meter in {', '.join(map(repr, paths))}: no line can be read"
        raise LedgerError(msg)
    return summary


def _check_tags(by: str, summary: Any, paths: tuple[str, ...], runs: int | None, since_s: float | None) -> None:
    """Say which tags there are, where no call has the one that was asked for.

    Raises:
        ConfigError: a report by it would have one row.
    """
    for name in (part.partition(":")[2] for part in by.split(",") if part.startswith("tag:")):
        nothing = f"(no {name})"
        if summary.groups and all(nothing in summary.keys_of(group) for group in summary.groups):
            from token_meter._text import suggestion
            from token_meter.ledger import read_run

            names: dict[str, None] = {}
            for row in read_run(paths, last=runs, since_s=since_s):
                names.update((tag.partition("=")[0], None) for tag in row.call.tags if "=" in tag)
            if name in names:
                continue
            known = f"calls have {', '.join(sorted(names)[:20])}" if names else "no call has a tag NAME=VALUE"
            msg = f"no call has a tag {name}=...{suggestion(name, tuple(names))}; {known}"
            raise ConfigError(msg)


def period_of(since: str | None, until: str | None) -> tuple[float | None, float | None]:
    """The bounds of a period, in seconds since the epoch.

    Raises:
        ConfigError: one is no moment, or the period is empty.
    """
    since_s = None if since is None else seconds_since(since)
    until_s = None if until is None else seconds_since(until, "--until")
    if since_s is not None and until_s is not None and since_s >= until_s:
        msg = f"no call can start since {since} and before {until}"
        raise ConfigError(msg)
    return since_s, until_s


def by_engine(
    engine: str, shards: list[Path], since_s: float | None, until_s: float | None, more: dict[str, Any]
) -> tuple[Any, Any]:
    """The reader and the summary by DuckDB; the summary is `None` where the plain reader is to read.

    `auto` takes the engine where it is installed and the ledger is so long that it is worth a start of it.
    """
    if engine == "python" or (engine == "auto" and sum(shard.stat().st_size for shard in shards) < _LONG):
        return None, None
    from token_meter.lake import EngineReader, NotEqualError, is_installed
    from token_meter.report import summarise

    if engine == "auto" and not is_installed():
        return None, None
    reader = EngineReader(shards, since_s=since_s, until_s=until_s)
    try:
        return reader, summarise(reader, **more)
    except NotEqualError as why:
        if engine == "duckdb":
            click.echo(f"token-meter: read without the engine: {why}", err=True)
        return None, None


def _tell_of_other_runs(paths: tuple[str, ...]) -> None:
    """Say which run of a data directory is read where there are several."""
    from token_meter.ledger import run_dirs

    for path in paths:
        runs = run_dirs(path)
        if len(runs) > 1:
            more = _MORE if _has("last") else ""
            click.echo(f"token-meter: the latest of {len(runs):,} runs in {path!r}, {runs[-1].name}{more}", err=True)


def seconds_since(text: str, option: str = "--since") -> float:
    """Read `2026-11-20`, `2026-11-20T08:00` (UTC where it does not say), `7d` or `12h` as seconds since the epoch.

    Raises:
        ConfigError: it is none of these.
    """
    import re
    import time
    from datetime import UTC, datetime

    from token_meter._text import is_digits

    if ago := re.fullmatch(r"([0-9]{1,6})([dh])", text):
        return time.time() - int(ago[1]) * (86_400 if ago[2] == "d" else 3_600)
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        msg = f"{option} must be a date such as 2026-11-20, a time such as 2026-11-20T08:00, 7d or 12h, not {text!r}"
        msg += f"; say of which unit: {text}d are days" if is_digits(text) else ""
        raise ConfigError(msg) from None


def _has(name: str) -> bool:
    """Whether the command has the option: `diff` compares one run, and cannot be told to read more."""
    context = click.get_current_context(silent=True)
    return context is not None and name in context.params


def is_typed(name: str) -> bool:
    """Whether the option was typed; a default or a setting is not meant for one report."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
