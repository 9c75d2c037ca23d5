"""The end of a run under pytest: reads the run, asks `report` for the verdict, compares, writes and shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from token_meter._money import scale_of
from token_meter.ci import harness as _run
from token_meter.ci.losses import NOTHING_MISSING
from token_meter.exceptions import LedgerError, TokenMeterError
from token_meter.report import (
    View,
    commits_between,
    compare,
    expanded,
    history,
    load,
    parse_target,
    remember,
    render,
    tone_of,
    write,
)

if TYPE_CHECKING:
    import pytest

    from token_meter.ci.losses import Missing
    from token_meter.config import Config
    from token_meter.report import Diff


class EndedSession(Protocol):
    """An ended session, as far as its report uses it."""

    config: pytest.Config
    settings: Config
    problems: list[str]
    missing: Missing | None

    @property
    def run_dir(self) -> Path:
        """The directory of the run's shards."""


class SessionReport:
    """The result of the run."""

    def __init__(self, session: EndedSession) -> None:
        config, settings = session.config, session.settings
        self._settings = settings
        self._wants_table = bool(config.getoption("meter_table"))
        asked = config.getoption("meter_report")
        self._formats = [] if asked == [""] else expanded(settings["report.formats"] or ())
        self._problems = session.problems
        args = tuple(str(arg) for arg in config.invocation_params.args)
        self._missing = (session.missing or NOTHING_MISSING).with_marks(session.run_dir)
        self._problems += [
            f"ledger not written: {why}" for why in self._missing.reasons if not any(why in p for p in self._problems)
        ]
        self.summary, self.verdict = _run.finish(
            session.run_dir, settings, command=("pytest", *args), missing=self._missing
        )
        self._data_dir = session.run_dir.parent.parent
        self.diff = self._compare(config)
        config.hook.pytest_token_meter_report(report=self)
        self._write()

    @property
    def fails(self) -> bool:
        """Whether the run must fail."""
        return bool(self.verdict.exit_code or (self.diff is not None and self.diff.verdict.exit_code))

    def _compare(self, config: Any) -> Diff | None:
        settings = self._settings
        asked = config.getoption("meter_compare")
        base = settings["diff.base"]
        if asked is None and not settings["diff.fail_on"] and base is None:
            return None
        try:
            before = load(base if base is not None else self._data_dir / "last.json")
        except LedgerError:
            before = None
        age = None
        if before is not None and before.vcs is not None and self.summary.vcs is not None:
            age = commits_between(before.vcs.commit, self.summary.vcs.commit)
        return compare(
            before, self.summary, book=_run.book_of(settings["prices"]), fail_on=settings["diff.fail_on"],
            warn_on=settings["diff.warn_on"], min_change=settings["diff.min_change"],
            if_no_base=settings["diff.if_no_base"], age=age,
        )  # fmt: skip

    def _view(self, width: int = 80) -> View:
        top = self._settings["report.top"]
        changes: Mapping[str, str] = {}
        if self.diff is not None and self.diff.base is not None:
            scale = scale_of(c.cost for c in self.diff.changes if c.comparable)
            changes = {c.id: c.shown(scale) for c in self.diff.changes}
        return View(
            sort=self._settings["report.sort"], top=View().top if top is None else top, width=width, changes=changes,
            history=history(self._data_dir),
        )  # fmt: skip

    def _write(self) -> None:
        """Write the history and the reports to files. A failure is shown in the terminal."""
        if self.summary.totals.calls:
            try:
                remember(self.summary, self._data_dir)
                write(render(self.summary, "json"), self._data_dir / "last.json", is_ours=True)
            except OSError as error:
                self._problems.append(f"{error.filename or self._data_dir} not written: {error.strerror}")
        for text in self._formats:
            target = parse_target(text)
            if target.destination is not None:
                try:
                    write(render(self.summary, target, self._view()), target.destination, append=target.append)
                except (OSError, TokenMeterError) as error:
                    self._problems.append(f"report {text} not written: {error}")

    def show(self, terminal: Any) -> None:
        """Print one line, or the requested reports."""
        shown = [text for text in self._formats if parse_target(text).destination is None]
        has_table = any(parse_target(text).format == "table" for text in shown)
        if self._wants_table and not has_table:
            shown, has_table = ["table", *shown], True
        totals = self.summary.totals
        if self._wants_table and not totals.calls and not self._missing:
            terminal.write_line("token_meter: no LLM call was seen")
        elif totals.calls:
            if shown:
                terminal.section("token usage")
                width = max(80, terminal._tw.fullwidth)
                for text in shown:
                    _show(terminal, text, render(self.summary, text, self._view(width)))
            else:
                terminal.write_line(_one_line(totals))
        if self.diff is not None:
            terminal.write_line(f"token_meter: {self.diff.headline}")
            if self.diff.like_for_like:
                terminal.write_line(f"token_meter: {self.diff.like_for_like}")
            for check in self.diff.checks:
                if check.status != "ok":
                    terminal.write_line(f"token_meter: {check.status.upper()}: {check.text}")
        if self.verdict.text and not (has_table and totals.calls):
            for line in self.verdict.text.splitlines():
                terminal.write_line(f"token_meter: {line}")
        for problem in self._problems:
            terminal.write_line(f"token_meter: {problem}")


def _show(terminal: Any, kind: str, text: str) -> None:
    """Print a report. Problems in a table are coloured if pytest's `--color` allows it."""
    if parse_target(kind).format != "table":
        terminal.write(text)
        return
    for line in text.splitlines():
        tone = tone_of(line)
        terminal.line(line, **({tone: True} if tone else {}))


def _one_line(totals: Any) -> str:
    from token_meter.report._formatting import cost_text

    n = totals.calls
    parts = [f"{cost_text(totals, spent=True)} spent"]
    parts += [f"{count} {word}" for count, word in ((totals.replayed, "replayed"), (totals.mocked, "mocked")) if count]
    return (
        f"token_meter: {n:,} call{'' if n == 1 else 's'}, {cost_text(totals)} ({', '.join(parts)})"
        " — --meter for the table"
    )
