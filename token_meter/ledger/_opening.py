"""The first line of a process's shard: which process it is. It knows no file."""

from __future__ import annotations

import os
import sys
import time

from token_meter.ledger import _line
from token_meter.ledger._place import host_name


def opening_line(run: str, worker: str | None) -> bytes:
    """Say who writes, and since when."""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    return _line.record(
        "open",
        run=run,
        host=host_name(),
        pid=os.getpid(),
        ppid=os.getppid(),
        argv0=_line.cut(program),
        worker=worker,
        ts=round(time.time(), 6),
    )
