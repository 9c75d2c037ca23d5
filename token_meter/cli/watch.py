"""`token-meter watch`: what a ledger comes to, refreshed while programs write to it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from token_meter.cli._options import config_from, examples, wrapped
from token_meter.cli._reading import seconds_since

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from token_meter.config import Config
    from token_meter.ledger import RunFacts, RunReader
    from token_meter.ledger._line import Row
    from token_meter.report import Summary

_ERRORS = 3
_WINDOW_S = 300.0
_NO_TAG = "(no tag)"
_SHARE = 5  # a ledger that takes a second to read is read every five


@click.command(
    "watch",
    epilog=examples("watch", "watch ledger/ --since 24h", "watch -- python app.py"),
)
@click.argument("words", nargs=-1, metavar="[DIR] [-- COMMAND ARGS...]", type=click.UNPROCESSED)
@click.option("--every", metavar="S", type=float, default=1.0, help="Seconds between two views.  [default: 1]")
@click.option("--since", metavar="WHEN", help="Calls since then, of all runs: 2026-11-20, 2026-11-20T08:00, 7d, 12h.")
@click.option("--once", is_flag=True, help="Show it once, and end.")
@click.option("--prices", metavar="FILE", help="Private prices, TOML or JSON.")
@click.option("--config", metavar="FILE", help="The pyproject.toml to read.")
@wrapped
def command(words: tuple[str, ...], every: float, since: str | None, once: bool, **given: Any) -> None:
    """Show calls, tokens and dollars of the latest run in DIR as they come, by model and by tag.

    With a COMMAND, it is metered as `token-meter run` does, and shown until it ends; its output stands above. Needs
    `pip install 'token-meter[watch]'`. Ctrl-C ends it.
    """
    if not every >= 0.1:
        msg = f"--every must be at least 0.1 seconds, not {every:g}"
        raise click.UsageError(msg)
    console = _console()
    place, command_line = _parted(words)
    config = config_from(given)
    watch = _Watch(place or config["data_dir"], config, None if since is None else seconds_since(since))
    if once:
        console.print(watch.view(console.width))
        return
    status = _live(console, watch, every, command_line, place)
    if not console.is_terminal:
        console.line()  # rich ends the last view with a line break in a terminal only
    sys.exit(status)


def _console() -> Console:
    try:
        from rich.console import Console
    except ImportError:
        msg = "watch needs rich: pip install 'token-meter[watch]'"
        raise click.ClickException(msg) from None
    return Console(highlight=False, markup=False, emoji=False)


def _parted(words: tuple[str, ...]) -> tuple[str | None, list[str]]:
    """The directory, which comes first where there is one, and the command."""
    import shutil

    if not words or Path(words[0]).is_dir():
        return (words[0] if words else None), list(words[1:])
    if shutil.which(words[0]) is None:
        msg = f"{words[0]!r} is no directory and no command; expected: token-meter watch [DIR] [-- COMMAND ARGS...]"
        raise click.UsageError(msg)
    return None, list(words)


def _live(console: Console, watch: _Watch, every: float, words: list[str], place: str | None) -> int:
    """Show it again and again, until Ctrl-C or the end of the command, whose exit code this returns."""
    from rich.live import Live
    from rich.text import Text

    child = _started(words, place) if words else None
    with Live(console=console, auto_refresh=False, transient=False) as live:
        if child is not None and child.stdout is not None:
            lines = child.stdout

            def pass_on() -> None:
                for line in lines:
                    shown = line.decode(errors="replace").rstrip("\r\n").rpartition("\r")[2]  # a progress bar's last
                    console.print(Text(shown))

            output = threading.Thread(target=pass_on, daemon=True)
            output.start()
        try:
            while True:
                began = monotonic()
                live.update(watch.view(console.width), refresh=True)
                pause = max(every, _SHARE * (monotonic() - began))
                if child is None:
                    threading.Event().wait(pause)
                    continue
                try:
                    status = child.wait(pause)
                except subprocess.TimeoutExpired:
                    continue
                output.join(5)
                lines.close()
                live.update(watch.view(console.width), refresh=True)
                return status
        except KeyboardInterrupt:
            if child is None:
                return 0
            return child.wait()  # the terminal has told it too


def _started(words: list[str], place: str | None) -> subprocess.Popen[bytes]:
    where = [] if place is None else ["--data-dir", place]
    return subprocess.Popen(
        [sys.executable, "-m", "token_meter", "run", "--quiet", *where, "--", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


class _Error(NamedTuple):
    """A call that failed."""

    at_s: float
    model: str
    what: str

    def __str__(self) -> str:
        return f"{datetime.fromtimestamp(self.at_s, UTC):%H:%M:%S}  {self.model}: {self.what}"


class _Noting:
    """The rows of a reader, of which the last that failed are noted; the reader's facts are theirs."""

    def __init__(self, reader: RunReader, errors: deque[_Error]) -> None:
        self._reader, self._errors = reader, errors

    @property
    def facts(self) -> RunFacts:
        """Whole when all rows have been read."""
        return self._reader.facts

    def __iter__(self) -> Iterator[Row]:
        from token_meter.report._formatting import visible

        for row in self._reader:
            call = row.call
            if call.error is not None or (call.status or 200) >= 400:
                what = " ".join(str(part) for part in (call.status, call.error) if part)
                self._errors.append(_Error(call.started_s, visible(call.model or call.api), visible(what)))
            yield row


class _Watch:
    """Reads a ledger again, and draws it."""

    def __init__(self, place: str, config: Config, since_s: float | None) -> None:
        self._place, self._config, self._since_s = place, config, since_s
        self._began = time()
        self._samples: deque[tuple[float, Decimal]] = deque()
        self._errors: deque[_Error] = deque(maxlen=_ERRORS)

    def view(self, width: int) -> RenderableType:
        """What the ledger comes to now, in *width* columns."""
        from rich.console import Group
        from rich.text import Text

        from token_meter.cli._watch_tables import section, tables

        summary = self._read()
        if summary is None:
            return Text(f"token-meter watch {self._place}: no calls yet", style="bold")
        sections = [section("model", ((line.kind.model, line.totals) for line in summary.models))]
        if any(group.id != _NO_TAG for group in summary.groups):
            sections.append(section("tag", ((group.id, group.totals) for group in summary.groups)))
        parts = [*tables(sections, width), *self._budgets()]
        if self._errors:
            errors = "\n".join(map(str, self._errors))
            parts.append(Text(errors, style="red", no_wrap=True, overflow="ellipsis"))
        return Group(self._headline(summary), *(one for part in parts for one in ("", part)))

    def _read(self) -> Summary | None:
        from token_meter.ci.harness import book_of
        from token_meter.exceptions import LedgerError
        from token_meter.ledger import read_run
        from token_meter.report import summarise

        self._errors.clear()
        try:
            rows = read_run(
                self._place, merge=False, last=None if self._since_s is not None else 1, since_s=self._since_s
            )
            noting = _Noting(rows, self._errors)
            summary = summarise(noting, by="tag", book=book_of(self._config["prices"]))
        except LedgerError:
            return None
        return summary if summary.totals.calls else None

    def _headline(self, summary: Summary) -> RenderableType:
        from rich.text import Text

        from token_meter.report._formatting import cost_sentence, counted, visible

        totals, run = summary.totals, summary.run
        calls = counted(totals.calls, "call") + (f", {totals.failed:,} failed" if totals.failed else "")
        state = f"{counted(run.running_processes, 'process', 'es')} running" if run.running_processes else "ended"
        return Text.assemble(
            (f"token-meter watch {visible(self._place)}", "bold"), f"  {datetime.now(UTC):%H:%M:%S} UTC, {state}\n",
            f"{calls}  {totals.total_tokens:,} tokens  ", (cost_sentence(totals, 20), "bold"), self._an_hour(totals),
        )  # fmt: skip

    def _an_hour(self, totals: Any) -> str:
        """The pace of the last five minutes, as far as they have been watched."""
        from token_meter._money import format_usd

        now, cost = monotonic(), totals.known_cost()
        if cost is None:
            return ""
        self._samples.append((now, cost))
        while now - self._samples[0][0] > _WINDOW_S:
            self._samples.popleft()
        began, before = self._samples[0]
        if now - began < 1:
            return ""
        return f"  {format_usd((cost - before) * 3600 / Decimal(str(now - began)))} an hour"

    def _budgets(self) -> list[RenderableType]:
        """The shared budgets of the default store, where there is one."""
        from token_meter._defaults import default_store
        from token_meter.budget.shared import client_of
        from token_meter.budget.stored import StoredBudgets
        from token_meter.cli._watch_tables import bars
        from token_meter.exceptions import TokenMeterError

        store = default_store()
        if str(store).startswith("sqlite:///") and not Path(str(store).removeprefix("sqlite:///")).exists():
            return []
        try:
            budgets = list(StoredBudgets(client_of(store).store))
        except TokenMeterError:
            return []
        return bars(budgets)
