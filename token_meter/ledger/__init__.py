"""The record of calls on disk: one JSON-lines file (a shard) for each process.

Who writes one may stand on an event loop, and imports nothing of what reads it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from token_meter.ledger._place import RUN_DIR_VARIABLE, find_shards, new_run_dir, run_dirs
from token_meter.ledger._write import Ledger

if TYPE_CHECKING:
    from token_meter.ledger._combine import combine
    from token_meter.ledger._line import COUNTS, Row, renamed
    from token_meter.ledger._read import RunFacts, RunReader, read_run

_READING = {
    "combine": "_combine", "COUNTS": "_line", "Row": "_line", "renamed": "_line",
    "RunFacts": "_read", "RunReader": "_read", "read_run": "_read",
}  # fmt: skip

__all__ = [
    "COUNTS",
    "RUN_DIR_VARIABLE",
    "Ledger",
    "Row",
    "RunFacts",
    "RunReader",
    "combine",
    "find_shards",
    "new_run_dir",
    "read_run",
    "renamed",
    "run_dirs",
]


def __getattr__(name: str) -> Any:
    """Import a name for readers when it is first asked for."""
    if name not in _READING:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(f"{__name__}.{_READING[name]}"), name)
