"""`Summary` to a terminal table of 80 columns, or more on a wide terminal."""

from __future__ import annotations

from collections.abc import Sequence

from token_meter.report._age import prices_of
from token_meter.report._formatting import cells, cost_sentence, cost_text, count_text, scale_of_sums, terminal
from token_meter.report._summary import Group, Summary, Totals
from token_meter.report._view import DEFAULT_VIEW, View, selected

_WIDE = 110
_NAME = 40


def render_table(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Show the groups, the total, the cost of live calls, and the notices."""
    groups, rest, others = selected(summary, view)
    wide = view.width >= _WIDE
    headers = [summary.what, "calls", "tokens", *(["cached", "reasoning", "spent"] if wide else []), "cost"]
    compared = bool(view.changes)
    if compared:
        headers.append("vs base")
    sums = [*(g.totals for g in groups), rest, summary.totals]
    scales = scale_of_sums(sums), scale_of_sums(sums, spent=True)
    rows = [
        [_name(g), *_cells(g.totals, wide, scales), *([view.changes.get(g.id, "")] if compared else [])] for g in groups
    ]
    if rest is not None:
        word = summary.what if others == 1 else f"{summary.what}s"
        rows.append([f"{others} more {word}", *_cells(rest, wide, scales), *([""] if compared else [])])
    total = ["total", *_cells(summary.totals, wide, scales), *([view.changes.get("total", "")] if compared else [])]
    lines = columns([headers, *rows], view.width, footer=total)
    return "\n".join([*lines, *_below(summary, view.width)]) + "\n"


def columns(rows: Sequence[Sequence[str]], width: int, footer: Sequence[str] | None = None) -> list[str]:
    """Align *rows*: the first column to the left, cut if necessary, the others to the right."""
    rows = [[row[0], *map(terminal, row[1:])] for row in rows]
    every = [*rows, footer] if footer is not None else rows
    widths = [max(cells(row[i]) for row in every) for i in range(len(every[0]))]
    first = max(12, width - sum(widths[1:]) - 2 * (len(widths) - 1))
    widths[0] = max(cells(terminal(row[0], first)) for row in every)
    fill = first if widths[0] > first - 12 else widths[0]

    def line(row: Sequence[str]) -> str:
        name = terminal(row[0], first)
        left = name + " " * max(0, fill - cells(name))
        right = "".join("  " + " " * (w - cells(c)) + c for c, w in zip(row[1:], widths[1:], strict=True))
        return (left + right).rstrip()

    lines = [line(row) for row in rows]
    if footer is not None:
        lines += ["-" * (fill + sum(widths[1:]) + 2 * (len(widths) - 1)), line(footer)]
    return lines


def _name(group: Group) -> str:
    name = group.id
    if group.type == "fixture" and group.processes > 1:
        name += f" x{group.processes} workers"
    return f"{name} (attempts {group.attempts})" if group.attempts > 1 else name


def _cells(totals: Totals, wide: bool, scales: tuple[int | None, int | None]) -> list[str]:
    more = [
        count_text(totals.tokens.cached_tokens),
        count_text(totals.tokens.reasoning_tokens),
        cost_text(totals, spent=True, places=scales[1]),
    ]
    cost = cost_text(totals, places=scales[0])
    return [f"{totals.calls:,}", count_text(totals.tokens.total_tokens), *(more if wide else []), cost]


def _below(summary: Summary, width: int) -> list[str]:
    totals = summary.totals
    kinds = [f"{totals.live:,} live call{'' if totals.live == 1 else 's'}"]
    kinds += [f"{n:,} {word}" for n, word in ((totals.replayed, "replayed"), (totals.mocked, "mocked")) if n]
    kinds += [f"{totals.failed:,} failed"] if totals.failed else []
    lines = [f"spent {cost_text(totals, spent=True)} ({', '.join(kinds)})"]
    if totals.open:
        lines += _wrapped(f"cost {cost_sentence(totals, _NAME)}", width)
    if len(summary.models) > 1:
        scale = scale_of_sums(m.totals for m in summary.models[:4])
        best = [f"{terminal(m.kind.model, _NAME)} {cost_text(m.totals, places=scale)}" for m in summary.models[:4]]
        more = len(summary.models) - len(best)
        lines += _wrapped("models " + ", ".join(best) + (f" and {more} more" if more > 0 else ""), width)
    checks = [[f"budget  {terminal(c.text)}", c.status.upper() if c.status != "ok" else "ok"] for c in summary.checks]
    lines += [f"{text}  {status}" for text, status in checks]
    for notice in summary.notices:
        lines += _wrapped(f"warning: {notice.text}", width)
    as_model = f" as {summary.as_model}" if summary.as_model else ""
    lines += _wrapped(f"prices {prices_of(summary)}{as_model}", width)
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Wrap at blanks, and escape the start of each line, as that of a text."""
    lines: list[str] = []
    for word in terminal(text).split():
        if lines and cells(lines[-1]) + 1 + cells(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(f"  {word}" if lines else word)
    return lines
