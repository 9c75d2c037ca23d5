"""Meters all calls of a process that belongs to a `token-meter run`, and writes them to the process's own shard.

The boot directory starts it before the program: it must be quick, silent, and harmless if something is missing.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from token_meter._meter import Meter
from token_meter.ci.losses import Unwritten
from token_meter.ledger import Ledger
from token_meter.types import Call

if TYPE_CHECKING:
    from token_meter.blind_spots import BlindSpot

_SPEND = "token-meter run, what live calls cost"
_active: _Part | None = None


class _Part:
    """This process's part of the run: a sink for its calls, and the meters that hold its limits."""

    def __init__(self, ledger: Ledger, settings: dict[str, Any]) -> None:
        self.ledger = ledger
        self.unwritten = Unwritten(ledger)
        self._settings = settings
        self._is_silent = False
        self._context = os.environ.get("TOKEN_METER_CONTEXT")

    def open(self) -> None:
        told = self._settings
        labels = told.get("labels") or None
        stops = told.get("on_exceed") != "warn"
        limits = {name: told[name] for name in ("max_cost", "max_tokens", "max_calls") if told.get(name)}
        from token_meter.ci.harness import name_limits

        common: dict[str, Any] = {
            "scope": "process", "prices": told.get("prices"), "warn_at": None,
            "on_unpriced": "ignore" if told.get("unpriced") == "ignore" else "warn",
        }  # fmt: skip
        if not limits or not stops:
            limits = {}
        elif told.get("unpriced") == "warn":
            common["on_unpriced"] = "ignore"  # the verdict reports it; the program must not see our warnings
        meters = [Meter("token-meter run", ledger=self, tags=labels, **limits, **common)]
        if stops and told.get("max_spend"):
            meters.append(Meter(_SPEND, max_cost=told["max_spend"], ledger=_Refusals(self), **common))
        if any(meter.budget is not None for meter in meters):
            self._share(meters)
            for meter in meters:
                name_limits(meter, "this run", told.get("options") or {}, is_spend=meter.name == _SPEND)
        for meter in meters:
            meter.is_quiet = True
            meter.__enter__()

    def _share(self, meters: list[Meter]) -> None:
        """Make the limits apply to all processes of the run together."""
        from token_meter.ci.run_budgets import RunBudget, RunStore, share

        store = RunStore(self.ledger.run_dir)
        for meter in meters:
            if meter.budget is not None and any(limit is not None for limit in meter.budget.account.limits):
                is_spend, limits = meter.name == _SPEND, meter.budget.account.limits
                name = "spend" if is_spend else "run"
                share(meter, RunBudget(name, limits, store, live_only=is_spend, failed=self.unwritten.say))

    def silence(self) -> None:
        """Stop writing calls, because the pytest plugin in this process writes them. Limits and refusals stay."""
        self._is_silent = True

    # The sink.

    def on_start(self, id: str, model: str | None) -> str:
        context = self._context or os.path.basename(sys.argv[0] if getattr(sys, "argv", None) else "") or "python"
        if not self._is_silent:
            self.ledger.start(id, model, context=context)
            self.unwritten.look()
        return context

    def on_end(self, call: Call, token: str) -> None:
        if not self._is_silent:
            self.unwritten.call(self.ledger.call(call, context=token))

    def on_discard(self, id: str) -> None:
        if not self._is_silent:
            self.ledger.note("drop", id=id)

    def on_refused(self, field: str) -> None:
        self.ledger.note("run", refused=field)
        self.unwritten.look()

    def on_blind_spot(self, spot: BlindSpot) -> None:
        if not self._is_silent:
            self.ledger.note("blind", **spot._asdict())

    def close(self) -> None:
        self.ledger.close()
        self.unwritten.settle()


class _Refusals:
    """The sink of the meter for the cost of live calls. It writes refusals only; the other sink writes the calls."""

    def __init__(self, part: _Part) -> None:
        self._part = part

    def on_start(self, id: str, model: str | None) -> None:
        """Do nothing: the other sink writes it."""

    def on_end(self, call: Call, token: None) -> None:
        """Do nothing: the other sink writes it."""

    def on_discard(self, id: str) -> None:
        """Do nothing: the other sink writes it."""

    def on_refused(self, field: str) -> None:
        self._part.on_refused("spent")

    def close(self) -> None:
        """Do nothing: the part closes its own ledger."""


def start() -> None:
    """Take part in the run that the environment names, once a process."""
    global _active
    if _active is not None:
        return
    ledger = Ledger.from_environment()
    if ledger is None:
        return
    settings = json.loads(os.environ.get("TOKEN_METER_RUN_CONFIG") or "{}")
    _active = _Part(ledger, settings)
    _active.open()
    atexit.register(_active.close)


def silence() -> None:
    """Leave the writing of calls to the pytest plugin."""
    if _active is not None:
        _active.silence()
