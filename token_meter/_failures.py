"""Counts our own failures by place, and logs each once. They never reach the caller."""

from __future__ import annotations

import logging
import sys
from traceback import extract_tb

_log = logging.getLogger("token_meter")

internal_errors: dict[str, int] = {}
"""Failures of token_meter by place. Each has lost at most the count of a call, never the call itself."""


def internal_error(where: str) -> None:
    """Count the current exception; log it once for each *where*, without its text, which may quote a body."""
    internal_errors[where] = internal_errors.get(where, 0) + 1
    if internal_errors[where] == 1:
        kind, _, trace = sys.exc_info()
        place = [f"{at.filename}:{at.lineno}" for at in extract_tb(trace)[-1:]]
        _log.warning("token_meter: internal error in %s (%s, %s); the call is untouched", where, kind, *place or "-")
