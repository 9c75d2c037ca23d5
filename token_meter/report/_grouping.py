"""What rows a call belongs to, by what a report is grouped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from token_meter.ledger import Row
from token_meter.report._summary import By, GroupType

OUTSIDE = "(outside tests)"
OTHER = "(other)"
EVERY_CALL = "\0every call"
"""The group that each call is in once, where the others overlap."""


def file_of(context: str) -> str | None:
    return context.partition("::")[0] if "::" in context else None


def _label(row: Row) -> str:
    return ", ".join(row.call.tags) or "(no label)"


def day_of(row: Row) -> str:
    return datetime.fromtimestamp(row.call.started_s, UTC).strftime("%Y-%m-%d")


def keys_of(by: By) -> Callable[[Row], Iterable[str]]:
    """What rows a call belongs to: one; or one for each of its tags, and that of every call."""
    if by == "tag":
        return lambda row: [*(row.call.tags or ("(no tag)",)), EVERY_CALL]
    kind, _, name = by.partition(":")
    if kind == "tag":
        start = f"{name}="
        return lambda row: [
            next((tag[len(start) :] for tag in reversed(row.call.tags) if tag.startswith(start)), f"(no {name})")
        ]
    key = _KEYS[by]
    return lambda row: (key(row),)


_KEYS: Mapping[By, Callable[[Row], str]] = {
    "test": lambda row: row.context or OUTSIDE,
    "model": lambda row: row.call.model or "(no model)",
    "file": lambda row: file_of(row.context or "") or row.context or OUTSIDE,
    "label": _label,
    "process": lambda row: row.process or "(unknown)",
    "day": day_of,
}


def type_of(by: By, name: str) -> GroupType:
    if by != "test":
        kind: Any = by.partition(":")[0]
        group_type: GroupType = kind
        return group_type
    if name.startswith("fixture:"):
        return "fixture"
    if name in (OUTSIDE, OTHER):
        return "outside"
    return "test" if "::" in name else "script"
