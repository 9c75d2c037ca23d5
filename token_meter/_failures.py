"""Failures of ours: counted by place, logged once for each, and never the caller's."""

from __future__ import annotations

import logging
import sys

_log = logging.getLogger("token_meter")

internal_errors: dict[str, int] = {}
"""How often something of ours failed, by place; each cost a count at most, never a call."""


def internal_error(where: str) -> None:
    """Count the exception that is being handled; log it once a place, without its text, which may quote a body."""
    count = internal_errors.get(where, 0)
    internal_errors[where] = count + 1
    if count == 0:
        kind = sys.exc_info()[0]
        _log.warning("token_meter: internal error in %s (%s); the call itself is untouched", where, kind)
