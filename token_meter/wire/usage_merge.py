"""Two reports of one answer's usage as one. It knows no counts by name."""

from __future__ import annotations

from token_meter.wire.json_scan import Object


def merge(older: Object, newer: Object) -> Object:
    """Two reports of one answer as one: the last value that is not null wins, field by field, never a sum."""
    both = dict(older)
    for key, value in newer.items():
        if isinstance(value, dict) and isinstance(both.get(key), dict):
            both[key] = merge(both[key], value)
        elif value is not None or key not in both:
            both[key] = value
    return both


def latest(older: Object, newer: Object) -> Object:
    """The newer report alone, where each one states all that is known."""
    return newer
