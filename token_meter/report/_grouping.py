"""What rows a call belongs to, by what a report is grouped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import product
from typing import Any

from token_meter.ledger import Row
from token_meter.report._by import By, joined
from token_meter.report._summary import GroupType

OUTSIDE = "(outside tests)"
OTHER = "(other)"
EVERY_CALL = "\0every call"
"""The group that each call is in once, where the others overlap."""


def file_of(context: str) -> str | None:
    return context.partition("::")[0] if "::" in context else None


def _label(row: Row) -> str:
    return joined(row.call.tags) or "(no label)"


def day_of(row: Row) -> str:
    return datetime.fromtimestamp(row.call.started_s, UTC).strftime("%Y-%m-%d")


def keys_of(by: By) -> Callable[[Row], Iterable[str]]:
    """What rows a call belongs to: one; or one for each of its tags, and that of every call."""
    first, comma, second = by.partition(",")
    if comma:
        outer, inner = keys_of(first), keys_of(second)
        return lambda row: _pairs(outer(row), inner(row))
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


def _pairs(outer: Iterable[str], inner: Iterable[str]) -> list[str]:
    """Each row of the one with each of the other; what holds every call is that of both."""
    firsts, seconds = list(outer), list(inner)
    if EVERY_CALL not in (firsts[-1], seconds[-1]):
        return [joined(pair) for pair in product(firsts, seconds)]
    some = ([key for key in keys if key != EVERY_CALL] for keys in (firsts, seconds))
    return [*map(joined, product(*some)), EVERY_CALL]


_KEYS: Mapping[By, Callable[[Row], str]] = {
    "test": lambda row: row.context or OUTSIDE,
    "model": lambda row: row.call.model or "(no model)",
    "file": lambda row: file_of(row.context or "") or row.context or OUTSIDE,
    "label": _label,
    "process": lambda row: row.process or "(unknown)",
    "day": day_of,
}


def needs_of(by: By) -> frozenset[str]:
    """What the rows of a report depend on, apart from what most calls share: `tags`, `process` and `day`."""
    kinds = {part.partition(":")[0] for part in by.split(",")}
    return frozenset(kinds & {"process", "day"} | ({"tags"} if kinds & {"tag", "label"} else set()))


def type_of(by: By, name: str) -> GroupType:
    if by != "test":
        kind: Any = by.partition(",")[0].partition(":")[0]
        group_type: GroupType = kind
        return group_type
    if name.startswith("fixture:"):
        return "fixture"
    if name in (OUTSIDE, OTHER):
        return "outside"
    return "test" if "::" in name else "script"
