"""Passes single calls to a sink, such as a ledger.

A sink is called when a call starts, so that it can return a token that describes this moment, such as the running
test. It gets the token back with the finished call, which may end in another thread.
"""

from __future__ import annotations

import os
from typing import Any

from token_meter.blind_spots import BlindSpot
from token_meter.context.ports import Sink
from token_meter.exceptions import ConfigError
from token_meter.ledger import Ledger
from token_meter.types import Call

_ledgers: dict[str, Ledger] = {}
"""The ledger of this process in each data directory: its meters share it, so that a service has one that grows."""
_METHODS = ("on_start", "on_end", "on_discard", "on_refused", "close")


class LedgerSink:
    """Writes a meter's calls to a ledger."""

    def __init__(self, ledger: Ledger, *, is_ours: bool) -> None:
        self.ledger = ledger
        self._is_ours = is_ours

    def __eq__(self, other: object) -> bool:
        """Two meters, one in the other, with the same ledger write a call once."""
        return isinstance(other, LedgerSink) and other.ledger is self.ledger

    def __hash__(self) -> int:
        return id(self.ledger)

    def on_start(self, id: str, model: str | None) -> None:
        self.ledger.start(id, model)

    def on_end(self, call: Call, token: Any) -> None:
        self.ledger.call(call)

    def on_discard(self, id: str) -> None:
        self.ledger.note("drop", id=id)

    def on_refused(self, field: str) -> None:
        """Note nothing: the program has been told, and a service that refuses a customer's call has not failed."""

    def on_blind_spot(self, spot: BlindSpot) -> None:
        self.ledger.note("blind", **spot._asdict())

    def close(self) -> None:
        if self._is_ours:
            self.ledger.close()


def _ledger_in(data_dir: str) -> Ledger:
    found = _ledgers.get(data_dir)
    if found is None or found.is_refused:  # such as by a run that was removed meanwhile
        found = _ledgers[data_dir] = Ledger.create(data_dir, lazy=True, rotates=True)
    return found


def sink_of(given: Any) -> Sink:
    """Return the sink for a data directory, a ledger or a sink.

    Raises:
        ConfigError: it is none of these.
    """
    if isinstance(given, str | os.PathLike):
        return LedgerSink(_ledger_in(os.path.abspath(given)), is_ours=True)
    if isinstance(given, Ledger):
        return LedgerSink(given, is_ours=False)
    if not all(callable(getattr(given, name, None)) for name in _METHODS):
        msg = f"ledger must be a directory, a Ledger or a sink of calls, not {given!r}"
        raise ConfigError(msg)
    sink: Sink = given
    return sink
