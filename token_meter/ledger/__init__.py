"""The record of calls on disk: one JSON-lines file (a shard) for each process."""

from __future__ import annotations

from token_meter.ledger._combine import combine
from token_meter.ledger._line import COUNTS, Row, renamed
from token_meter.ledger._place import RUN_DIR_VARIABLE, find_shards, new_run_dir, run_dirs
from token_meter.ledger._read import RunFacts, RunReader, read_run
from token_meter.ledger._write import Ledger

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
