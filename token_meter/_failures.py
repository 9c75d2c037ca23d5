"""Counts our own failures by place, and logs each once. They never reach the caller."""

from __future__ import annotations

import logging
import sys

_log = logging.getLogger("token_meter")

internal_errors: dict[str, int] = {}
"""Failures of token_meter by place. Each has lost at most the count of a call, never the call itself."""


def internal_error(where: str) -> None:
    """Count the current exception; log it once for each *where*, without its text, which may quote a body."""
    count = internal_errors.get(where, 0)
    internal_errors[where] = count + 1
    if count == 0:
        kind, _, trace = sys.exc_info()
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        at = trace and (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        _log.warning("token_meter: internal error in %s (%s, %s); the call itself is untouched", where, kind, at)
