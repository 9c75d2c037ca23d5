"""The tables of `token-meter watch`: sub-totals and shared budgets, in the columns of one terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from token_meter.report._formatting import cells, cost_text, scale_of_sums, visible

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_ROWS = 8
_HEAD = ("calls", "failed", "tokens", "cost")
_STYLES = ("", "red", "", "bold")
_NAME = (12, 34)  # the narrowest and the widest column of names
_GAP, _BAR = 2, 16


class Section(NamedTuple):
    """Sub-totals under one heading: a row for each of the largest, and how many more there are."""

    heading: str
    rows: Sequence[tuple[str, ...]]
    more: int


def section(heading: str, parts: Iterable[tuple[str, Any]]) -> Section:
    """The largest sub-totals."""
    ordered = sorted(parts, key=lambda part: (-part[1].cost, -part[1].total_tokens, part[0]))
    shown = ordered[:_ROWS]
    places = scale_of_sums(totals for _, totals in shown)
    rows = [
        (
            visible(name), f"{totals.calls:,}", f"{totals.failed:,}" if totals.failed else "",
            f"{totals.total_tokens:,}", cost_text(totals, places=places),
        )
        for name, totals in shown
    ]  # fmt: skip
    return Section(heading, rows, len(ordered) - len(shown))


def tables(sections: Sequence[Section], width: int) -> list[RenderableType]:
    """A table for each section. Their columns stand in line; names are cut, and numbers never."""
    rows = [row for part in sections for row in part.rows]
    widths = [max([len(head), *(len(row[i]) for row in rows)]) for i, head in enumerate(_HEAD, start=1)]
    room = width - sum(widths) - _GAP * len(widths)
    names = max(_NAME[0], min(_NAME[1], room, max([18, *(cells(row[0]) for row in rows)])))
    found: list[RenderableType] = []
    for part in sections:
        table = _table(part.heading, names)
        for head, column, style in zip(_HEAD, widths, _STYLES, strict=True):
            table.add_column(head, justify="right", no_wrap=True, width=column, style=style)
        for row in part.rows:
            table.add_row(*row)
        if part.more:
            table.add_row(f"… and {part.more:,} more")
        found.append(table)
    return found


def bars(budgets: Iterable[Any]) -> list[RenderableType]:
    """Shared budgets: how much of each is spent; no table where none has a limit."""
    from rich.progress_bar import ProgressBar

    from token_meter.budget.amounts import shown

    table = _table("budget", 18)
    table.add_column("", width=_BAR)
    table.add_column("spent", no_wrap=True)
    for budget in list(budgets)[:_ROWS]:
        for field in ("cost", "tokens", "calls"):
            limit, spent = getattr(budget.limits, field), getattr(budget.spent, field) or 0
            if limit:
                share = float(spent / limit)
                colour = "red" if share >= 0.9 else "yellow" if share >= 0.7 else "green"
                bar = ProgressBar(1.0, min(1.0, share), width=_BAR, complete_style=colour, finished_style=colour)
                table.add_row(visible(budget.name), bar, f"{shown(field, spent)} of {shown(field, limit)}")
    return [table] if table.row_count else []


def _table(heading: str, names: int) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    table.add_column(heading, min_width=names, max_width=max(names, _NAME[1]) if heading == "budget" else names,
                     no_wrap=True, overflow="ellipsis")  # fmt: skip
    return table
