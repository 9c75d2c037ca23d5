"""The view of a report: order, number of rows, width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from token_meter.exceptions import ConfigError
from token_meter.report._history import Point
from token_meter.report._summary import Group, Summary, Totals, total_of

SORTS = ("cost", "tokens", "calls", "name")


@dataclass(frozen=True, slots=True)
class View:
    """How to show a summary.

    Attributes:
        sort: `cost`, `tokens`, `calls` or `name`; a leading `-` puts the largest first.
        top: the number of rows; `None` for as many as the format allows.
        min_cost: US dollars; groups below it are summed up in one row.
        width: columns of the terminal.
        changes: a text for each group id, for a column `vs base`.
        marker: distinguishes sticky comments on the same pull request.
        size_limit: bytes that the host accepts; whole rows are left out to fit.
        history: the runs up to this one, oldest first.
    """

    sort: str = "-cost"
    top: int | None = 20
    min_cost: Decimal | None = None
    width: int = 80
    changes: Mapping[str, str] = field(default_factory=dict)
    marker: str = "default"
    size_limit: int = 60_000
    history: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        if self.sort.removeprefix("-") not in SORTS:
            msg = f"sort must be one of {', '.join(SORTS)}, with a - for the largest first, not {self.sort!r}"
            raise ConfigError(msg)
        if self.top is not None and (isinstance(self.top, bool) or self.top < 0):
            msg = f"top must be a number of rows, not {self.top!r}"
            raise ConfigError(msg)


DEFAULT_VIEW = View()


def selected(summary: Summary, view: View) -> tuple[list[Group], Totals | None, int]:
    """Return the groups to show in order, the sum of the others (`None` without any), and their number."""
    word = view.sort.removeprefix("-")
    groups = sorted(summary.groups, key=lambda g: g.id)
    if word == "name":
        groups.sort(key=lambda g: g.id, reverse=view.sort.startswith("-"))
    else:
        groups.sort(key=lambda g: _sizes(word, g.totals), reverse=view.sort.startswith("-"))
    shown = [g for g in groups if view.min_cost is None or g.totals.cost >= view.min_cost or g.totals.open]
    if view.top is not None and len(shown) > view.top:
        shown = shown[: view.top]
    kept = {g.id for g in shown}
    rest = [g.totals for g in groups if g.id not in kept]
    return shown, total_of(rest) if rest else None, len(rest)


def _sizes(word: str, totals: Totals) -> tuple[Decimal | int, ...]:
    sizes: dict[str, Decimal | int] = {"cost": totals.cost, "tokens": totals.total_tokens, "calls": totals.calls}
    return (sizes[word], totals.total_tokens, totals.calls)
