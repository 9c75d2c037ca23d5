"""Assigns calls to tests, their attempts and phases, and to fixtures of a wider scope.

The current test is stored for the whole process and read when a call starts, because context variables alone would
lose the calls of threads and pools.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from decimal import localcontext
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from token_meter._money import EXACT
from token_meter._pytest.settings import limits_of_test
from token_meter.config import Config
from token_meter.exceptions import BudgetExceededError

if TYPE_CHECKING:
    from token_meter._pytest.testmeter import TestMeter
    from token_meter.blind_spots import BlindSpot
    from token_meter.ci.losses import Unwritten
    from token_meter.ledger import Ledger
    from token_meter.types import Call

_OPEN = {("unknown", "warn"), ("unknown", "fail")}
"""A limit on the cost of calls without a price, and the settings under which that is told."""
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_PLUGIN = os.path.join(_PACKAGE, "_pytest", "")
PROPERTIES = ("cost_usd", "spent_usd", "calls", "prompt_tokens", "completion_tokens", "unpriced_calls",
              "partly_priced_calls")  # fmt: skip


class CurrentTest:
    """The test or fixture that owns calls started now. Fields are computed on first use: most tests make no call."""

    __slots__ = ("_context", "_is_nobody", "_item", "_meter", "_paying", "attempt", "is_over", "phase")

    def __init__(
        self, paying: Paying, item: pytest.Item | None, *, context: str | None = None, phase: str | None = None,
        attempt: int = 1,
    ) -> None:  # fmt: skip
        self.phase = phase
        self.attempt = attempt
        self.is_over = False
        self._paying = paying
        self._item = item
        self._context = context
        self._is_nobody: bool | None = None
        self._meter: TestMeter | None = None

    @property
    def context(self) -> str | None:
        """Its name in reports; `None` outside tests."""
        if self._context is None and self._item is not None:
            self._context = self._paying.context_of(self._item)
        return self._context

    @property
    def is_nobody(self) -> bool:
        """Whether the test is marked `no_meter`, so that its calls are not recorded."""
        if self._is_nobody is None:
            self._is_nobody = self._item is not None and self._item.get_closest_marker("no_meter") is not None
        return self._is_nobody

    @property
    def meter(self) -> TestMeter:
        """The test's meter."""
        if self._meter is None:
            from token_meter._pytest.testmeter import TestMeter

            self._meter = TestMeter(self._paying.book)
        return self._meter

    @property
    def has_calls(self) -> bool:
        """Whether a call of the test has ended."""
        return self._meter is not None and bool(self._meter.calls)


class Paying:
    """A plugin object that follows the tests, and the sink of the process's meter once there is one."""

    def __init__(self, config: pytest.Config, settings: Config, fail: Callable[[str], None]) -> None:
        self.ledger: Ledger | None = None
        self.unwritten: Unwritten | None = None
        self.book: Any = None
        self.outside = CurrentTest(self, None)
        self.now = self.outside
        self.refused_field: str | None = None
        self.wrong: dict[str, str] = {}  # the mistakes in the markers of a test, by its id
        self._config = config
        self._settings = settings
        self._redacts = bool(settings["report.redact_params"])
        self._tells_children = bool(settings["subprocess"])
        self._fail = fail
        self._attempts: dict[str, int] = {}

    def note(self, kind: str, **facts: Any) -> None:
        """Write a fact to the ledger, if there is one."""
        if self.ledger is not None:
            self.ledger.note(kind, **facts)
        if self.unwritten is not None:
            self.unwritten.look()

    # The sink.

    def on_start(self, id: str, model: str | None) -> CurrentTest:
        now = self.now
        if self.ledger is not None and not now.is_nobody:
            self.ledger.start(id, model, context=now.context, phase=now.phase, attempt=now.attempt)
        return now

    def on_end(self, call: Call, token: CurrentTest) -> None:
        if self.ledger is None or token.is_nobody:
            return
        line = self.ledger.call(
            call, context=token.context, phase=token.phase, attempt=token.attempt, late=token.is_over
        )
        if self.unwritten is not None:
            self.unwritten.call(line)
        if token.context is not None:
            token.meter.add(call)

    def on_discard(self, id: str) -> None:
        self.note("drop", id=id)

    def on_refused(self, field: str) -> None:
        self.refused_field = field
        self.note("run", refused=field)

    def on_blind_spot(self, spot: BlindSpot) -> None:
        self.note("blind", **spot._asdict())

    def close(self) -> None:
        """Do nothing: the session closes its shard itself, after it has written the run's notes."""

    # One test.

    def leave(self) -> None:
        """Note that no test is running any more."""
        self.now.is_over = True
        self.now = self.outside

    def context_of(self, item: pytest.Item) -> str:
        """The name of a test in reports."""
        named = self._config.hook.pytest_token_meter_context(item=item)
        name = str(named) if named else item.nodeid
        return f"{name.partition('[')[0]}[...]" if self._redacts and "[" in name else name

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.now.is_over = True
        attempt = self._attempts[item.nodeid] = self._attempts.get(item.nodeid, 0) + 1
        now = self.now = CurrentTest(self, item, phase="setup", attempt=attempt)
        if self._tells_children and not now.is_nobody:
            os.environ["TOKEN_METER_CONTEXT"] = str(now.context)
        if item.nodeid in self.wrong:
            pytest.fail(self.wrong[item.nodeid], pytrace=False)

    def pytest_runtest_logfinish(self) -> None:
        self.leave()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        now = self.now
        now.phase = "call"
        result = yield
        if now.has_calls:
            with localcontext(EXACT):  # the test may change the decimal context
                bad = self._judge(item, now)
            if bad:
                pytest.fail("\n".join(bad), pytrace=False)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        now = self.now
        now.phase = "teardown"
        try:
            return (yield)
        finally:
            if now.has_calls:
                _attach(item, now)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        now = self.now
        if report.when == "call" and now.has_calls:
            path, line, _ = report.location
            self.note(
                "context", id=now.context, outcome=report.outcome, file=path, line=(line or 0) + 1, attempts=now.attempt
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[Any]) -> None:
        """Let our frames be hidden in the traceback of what only passed through us; `--full-trace` shows them."""
        if call.excinfo is not None:
            _mark_our_frames(call.excinfo.value)

    def _judge(self, item: pytest.Item, now: CurrentTest) -> list[str]:
        """Put on record which limits of a test do not hold, or cannot be judged; return why it fails."""
        from token_meter.report import check, short_reason

        totals = now.meter.totals()
        limits = limits_of_test(item, self._settings)
        found = [check(limit, str(now.context), totals, culprit=now.context) for limit in limits]
        unpriced = self._settings["unpriced"]
        notable = [c for c in found if c.status in ("exceeded", "warn") or (c.status, unpriced) in _OPEN]
        told = [[c.field, str(c.limit), str(c.actual), c.status, c.text] for c in notable]
        self.note("context", id=now.context, checks=told)
        stops = {limit.field for limit in limits if limit.on_exceed == "stop"}
        if any(c.field in stops and c.status == "exceeded" for c in notable):
            self._fail(notable[0].text)
        fatal = {"exceeded", "unknown"} if unpriced == "fail" else {"exceeded"}
        return [short_reason(limit, totals) for limit, c in zip(limits, found, strict=True) if c.status in fatal]

    # Calls of a fixture with a wider scope are assigned to the fixture, not to the first test that uses it.

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        if fixturedef.scope == "function":
            return (yield)
        name = f"fixture:{fixturedef.argname}[{fixturedef.scope}]"
        before = self.now
        held: list[CurrentTest] = []

        def leave() -> None:
            if held:
                self.now = held.pop()

        def enter() -> None:
            held.append(self.now)
            self.now = CurrentTest(self, None, context=name, phase="teardown")

        fixturedef.addfinalizer(leave)  # finalizers run last to first: this one after the fixture's own
        self.now = CurrentTest(self, None, context=name, phase="setup")
        try:
            return (yield)
        finally:
            self.now = before
            fixturedef.addfinalizer(enter)


def _mark_our_frames(error: BaseException) -> None:
    """Mark the modules of our frames, as pytest wants it: it finds each frame's `__tracebackhide__` there."""
    for frame in _our_frames(error):
        frame.f_globals["__tracebackhide__"] = _only_passed_through


def _only_passed_through(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether an exception is not our own mistake, or is a refusal, which is about the user's limit."""
    frames = [frame for frame, _ in walk_tb(excinfo.value.__traceback__)]
    return isinstance(excinfo.value, BudgetExceededError) or not frames or not _is_ours(frames[-1])


def _our_frames(error: BaseException | None) -> Iterator[FrameType]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield from (frame for frame, _ in walk_tb(error.__traceback__) if _is_ours(frame))
        error = error.__cause__ or error.__context__


def _is_ours(frame: FrameType) -> bool:
    """Whether a frame is of the package, but not of this plugin, whose verdicts have no other frames."""
    file = frame.f_code.co_filename
    return file.startswith(_PACKAGE) and not file.startswith(_PLUGIN)


def _attach(item: pytest.Item, now: CurrentTest) -> None:
    """Store the sums of all attempts in the user properties, which JUnit, json-report and xdist read."""
    ours = tuple(f"token_meter.{name}" for name in PROPERTIES)
    before: dict[str, Any] = {name: value for name, value in item.user_properties if name in ours}
    totals = now.meter.totals()
    cost, spent = totals.known_cost(), totals.known_cost(spent=True)
    sums = (
        None if cost is None else float(cost), None if spent is None else float(spent), totals.calls,
        totals.tokens.prompt_tokens or 0, totals.tokens.completion_tokens or 0, totals.unpriced,
        totals.partly_priced,
    )  # fmt: skip
    item.user_properties[:] = [pair for pair in item.user_properties if pair[0] not in ours]
    for name, value in zip(ours, sums, strict=True):
        known = [n for n in (before.get(name), value) if n is not None]
        if known:  # a cost of which nothing is known is no property, rather than 0
            item.user_properties.append((name, round(sum(known), 9)))
