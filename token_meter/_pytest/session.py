"""One pytest session: its ledger, the run's limits, xdist, the end of the run.

All numbers are read from the shards, so that the calls of a crashed worker count as well.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from contextvars import Context
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from token_meter._pytest.attribution import CurrentTest, Paying
from token_meter._pytest.lazy_start import Waiting
from token_meter._pytest.settings import wrong_marker
from token_meter.config import Config

if TYPE_CHECKING:
    from token_meter._meter import Meter
    from token_meter._pytest.outcome import SessionReport
    from token_meter.ci.losses import Missing
    from token_meter.ci.run_budgets import RunBudget
    from token_meter.report import Limit

T = TypeVar("T")
_RUN_DIR, _HOST, _SHARD = "token_meter_run_dir", "token_meter_host", "token_meter_shard"
_MISSING = "token_meter_missing"


class Session:
    """The plugin object of a session.

    Before a library is imported that can make a call, nothing is metered and almost nothing is loaded.
    """

    def __init__(self, config: pytest.Config, settings: Config) -> None:
        self.config = config
        self.settings = settings
        self._worker: dict[str, Any] | None = getattr(config, "workerinput", None)
        self.is_worker = self._worker is not None
        self.paying = Paying(config, settings, self._fail)
        self.ending: SessionReport | None = None
        self.problems: list[str] = []
        self._waiting = Waiting(self.start)
        self._not_started = [True]  # popped by the start: once, also between threads
        self._meters: list[Meter] = []
        self._session: pytest.Session | None = None
        self._is_ours = False  # the reason for an early end of the run
        self.missing: Missing | None = None  # calls that no shard has, of this process and of workers
        self._budgets: list[RunBudget] = []
        self._limits: list[Limit] = []
        self._environment: dict[str, str | None] = {}
        self._undo: list[Callable[[], object]] = []

    @property
    def now(self) -> CurrentTest:
        """The test or fixture that owns calls started now."""
        return self.paying.now

    @cached_property
    def is_remote(self) -> bool:
        """Whether this is a worker on another host than its controller."""
        from token_meter.ledger._place import host_name

        return self._worker is not None and self._worker.get(_HOST, host_name()) != host_name()

    @cached_property
    def run_dir(self) -> Path:
        """The directory of the run's shards."""
        from token_meter.ledger._place import new_run_dir, run_dirs

        if self.is_remote:  # the controller's path does not exist there
            return Path(tempfile.mkdtemp(prefix="token_meter-"), "runs", "remote")
        if self._worker is not None and _RUN_DIR in self._worker:
            return Path(self._worker[_RUN_DIR])
        if told := os.environ.get("TOKEN_METER_RUN_DIR"):
            return Path(told)
        data_dir = self.config.rootpath / self.settings["data_dir"]
        earlier = run_dirs(data_dir)[-1:] if self.config.getoption("meter_append") else []
        return earlier[0] if earlier else new_run_dir(data_dir)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self.config.pluginmanager.register(self.paying, "token_meter_paying")
        if "token_meter._subprocess" in sys.modules:
            from token_meter._subprocess import silence

            silence()
        if self.settings["budget.on_exceed"] == "stop":
            self._limit()
        if self.settings["subprocess"]:
            from token_meter.ci import harness as _run

            for name, value in _run.environment_of(self.run_dir, self.settings).items():
                self._environment[name] = os.environ.get(name)
                os.environ[name] = value
        self._waiting.start()

    def start(self) -> None:
        """Start to meter. Never raises, because an import in the user's code may be the caller."""
        try:
            self._not_started.pop()
        except IndexError:
            return
        try:
            self._start()
        except Exception as error:  # noqa: BLE001 - the observer never harms the observed
            self.problems.append(f"nothing is metered: {type(error).__name__}: {error}")

    def _start(self) -> None:
        from token_meter._defaults import set_by_host
        from token_meter._meter import Meter
        from token_meter.ci import harness as _run
        from token_meter.ci.losses import Unwritten
        from token_meter.ledger import Ledger

        settings, paying = self.settings, self.paying
        worker = None if self._worker is None else str(self._worker.get("workerid"))
        ledger = paying.ledger = Ledger(self.run_dir, worker=worker, lazy=True)
        paying.unwritten = Unwritten(ledger)
        book = paying.book = _run.book_of(settings["prices"]) if settings["prices"] else None
        if book is not None:
            self._undo.append(partial(set_by_host, set_by_host(book)))  # the meters of the tests use it too
        limits = {n: settings[f"budget.{n}"] for n in ("max_cost", "max_tokens", "max_calls")} if self._limits else {}
        common: dict[str, Any] = {"scope": "process", "prices": book, "on_unpriced": "ignore", "warn_at": None}
        meters = [Meter("pytest", ledger=paying, tags=settings["labels"] or None, **limits, **common)]
        if self._limits:
            spend = settings["budget.max_spend"]
            if spend is not None:
                meters.append(Meter("pytest, what live calls cost", max_cost=spend, **common))
            from token_meter.ci.run_budgets import share

            for meter, budget in zip([m for m in meters if m.budget is not None], self._budgets, strict=True):
                share(meter, budget)
        named = _run.names_of_limits(settings, "budget.", of_pytest=True)
        for meter in meters:
            _run.name_limits(meter, "this run of pytest", named, is_spend="live" in str(meter.name))
            meter.is_quiet = True
            _apart(meter.__enter__)
            self._meters.append(meter)

    def _limit(self) -> None:
        """Make a worker skip its queued tests when a limit of the run is used up."""
        from token_meter.ci import harness as _run

        settings = self.settings
        self._limits = _run.limits_of(_run.budget_settings(settings), "run", "stop")
        if self._limits:
            from token_meter.ci.run_budgets import budgets_of, count_earlier

            self._budgets = budgets_of(_run.budget_settings(settings), self.run_dir, self._not_shared)
            if self.config.getoption("meter_append") and not self.is_worker:
                from token_meter.ledger import RunReader, find_shards

                earlier = find_shards([self.run_dir]) if self.run_dir.is_dir() else []
                if earlier:
                    count_earlier(self._budgets, RunReader(earlier), _run.book_of(settings["prices"]))
            self.config.pluginmanager.register(_Stopper(self), "token_meter_stopper")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            wrong = wrong_marker(item) if item.get_closest_marker("token_budget") is not None else None
            if wrong is not None and not self.is_worker:
                raise pytest.UsageError(wrong)
            if wrong is not None:  # xdist would turn it into an internal error; the worker fails the test instead
                self.paying.wrong[item.nodeid] = wrong

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Close the meter. In the process that reports, read all shards and judge the run. Also called on Ctrl-C."""
        if self._session is None:
            return
        self._session = None
        self._waiting.stop()
        for meter in reversed(self._meters):
            _apart(meter.__exit__, None, None, None)
        self.paying.leave()
        while self._undo:
            self._undo.pop()()
        for name, value in self._environment.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)
        ledger = self.paying.ledger
        shard = None if ledger is None else ledger.shard
        if ledger is not None:
            if shard is not None and not self.is_worker:
                ledger.note("run", exit_status=int(session.exitstatus))
            ledger.close()
            if ledger.problem:
                self.problems.append(f"ledger not written: {ledger.problem}")
        if self.paying.unwritten is not None:
            self._miss(self.paying.unwritten.settle())
        if self.settings["subprocess"] and not self.is_worker:
            from token_meter.ci.losses import missed_by_children

            self._miss(missed_by_children(self.run_dir))
        if self.is_worker:
            self._send(shard if shard is not None and self.is_remote else None)
        elif self._has_something_to_say():
            from token_meter._pytest.outcome import SessionReport

            self.ending = _apart(SessionReport, self)
            if self.ending.fails and (session.exitstatus in (0, 5) or self._is_ours):
                session.exitstatus = 1

    def _has_something_to_say(self) -> bool:
        option = self.config.getoption
        asked = self.settings["report.formats"] or option("meter_table") or self.problems or self.missing
        compared = option("meter_compare") is not None or option("meter_fail_on")
        return bool(asked or compared) or ("run_dir" in self.__dict__ and self.run_dir.is_dir())

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Turn an interruption into a failure if xdist has made it from our own stop."""
        self._is_ours = str(excinfo.value).startswith("token_meter: ")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.ending is not None:
            _apart(self.ending.show, terminalreporter)

    # The run's limits.

    def _fail(self, text: str) -> None:
        if self._session is not None:
            self._session.shouldfail = f"token_meter: {text}"

    def _not_shared(self, why: str) -> None:
        if self.paying.unwritten is not None:
            self.paying.unwritten.say(why)

    def stop_if_over(self) -> bool:
        """End the session when a limit of the run is used up, in any of its processes."""
        if not self._budgets:
            return False
        over = next(filter(None, (budget.over() for budget in self._budgets)), None)
        refused = self.paying.refused_field
        if over is None and refused is None:
            return False
        why = f"the limit on {refused}" if refused != "price" else "a model without a price"
        self._fail(f"the run is over its limit on {over}" if over is not None else f"refused by {why}")
        return True

    # xdist.

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker the directory of the run."""
        from token_meter.ledger._place import host_name

        node.workerinput[_RUN_DIR] = str(self.run_dir)
        node.workerinput[_HOST] = host_name()

    def _miss(self, missing: Missing) -> None:
        """Add calls that no shard has."""
        if missing:
            self.missing = missing if self.missing is None else self.missing.plus(missing)

    def _send(self, shard: Path | None) -> None:
        """Send to the controller the whole shard of a worker on another host, else only calls that no shard has."""
        output: dict[str, Any] = getattr(self.config, "workeroutput", {})
        if self.missing is not None:
            output[_MISSING] = [list(self.missing.reasons), self.missing.lost, list(self.missing.lines)]
        if shard is not None:
            output[_SHARD] = shard.read_text(encoding="utf-8")
            shutil.rmtree(self.run_dir.parent.parent, ignore_errors=True)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Store the shards that a worker on another host has sent, and keep the calls that no shard has."""
        output = getattr(node, "workeroutput", {})
        if told := output.get(_MISSING):
            from token_meter.ci.losses import Missing

            reasons, lost, lines = told
            self._miss(Missing(tuple(reasons), lost, tuple(lines)))
        text = output.get(_SHARD)
        if text:
            from token_meter.ci.losses import unkept
            from token_meter.exceptions import LedgerError
            from token_meter.ledger._place import make_run_dir, new_shard

            try:
                make_run_dir(self.run_dir)
                new_shard(self.run_dir).write_text(text, encoding="utf-8")
            except (OSError, LedgerError) as error:
                self._miss(unkept(error, text.encode().splitlines(keepends=True)))


def _apart(function: Callable[..., T], *args: Any) -> T:
    """Call in a new context: a test's context must not keep a meter of the process, nor its decimal context apply."""
    return Context().run(function, *args)


class _Stopper:
    """Skips the tests that a worker still has in its queue when the run's budget is used up."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        if self._session.stop_if_over():
            pytest.skip("token_meter: the run's budget is used up")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        try:
            return (yield)
        finally:
            self._session.stop_if_over()
