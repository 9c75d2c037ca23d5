"""`Diff` to one self-contained HTML page, with the same template as a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from token_meter.report import _html_parts as _page
from token_meter.report._diff_formats import footnotes, scale_of_changes
from token_meter.report._formatting import change_text, cost_text, count_text, percent_text, visible
from token_meter.report._html import about, facts
from token_meter.report._html_parts import Cell, count_cell, money_cell
from token_meter.report._summary import ZERO, Totals, total_of
from token_meter.report._view import DEFAULT_VIEW, View
from token_meter.report.diff import Change, Diff

_MOST_ROWS = 2_000


def diff_html(diff: Diff, view: View = DEFAULT_VIEW) -> str:
    """Write the page: the change, the rules, and each group's change.

    Raises:
        ConfigError: Jinja2 is not installed.
    """
    change = diff.total_change
    headline = "unknown" if change is None else change_text(change) if change else "no change"
    if diff.base is None or not diff.has_common:
        headline = "no base" if diff.base is None else f"no {diff.head.what} in common"
    listed = diff.listed[: min(_MOST_ROWS, len(diff.listed) if view.top is None else view.top)]
    hidden = len(diff.changes) - len(listed)
    notes = footnotes(diff)
    return _page.write_page(
        label="Change of LLM cost",
        headline=headline,
        why="",
        note=visible(diff.like_for_like or ""),
        about=about(diff.head),
        cards=_cards(diff),
        checks_title="Rules",
        checks=_page.judged(diff.checks),
        notices=[f"{hidden:,} more {diff.head.what}{'' if hidden == 1 else 's'} without a change worth a row"]
        if hidden and not listed
        else [],
        history=None,
        tables=[_changes(diff, listed, hidden)] if listed else [],
        facts=[
            ("base", visible(" · ".join(notes[:-1]).removeprefix("base "))),
            *facts(replace(diff.head, prices=diff.priced_by)),
        ],
    )


def _cards(diff: Diff) -> list[tuple[str, str, str]]:
    t = diff.head.totals
    spent = ("spent in this run", money_cell(cost_text(t, spent=True)).text, "")
    calls = ("calls", f"{t.calls:,}", f"{t.live:,} live")
    if diff.base is None:
        return [("this run", money_cell(cost_text(t)).text, ""), spent, calls]
    before, after = diff.total_base, diff.total_head
    percent = percent_text(diff.total_change, before.cost) if diff.total_change else None
    cards = [
        ("before", money_cell(cost_text(before)).text, ""),
        ("now", money_cell(cost_text(after)).text, percent or ""),
    ]
    if diff.price_change is not None:
        cards.append(("change of prices", change_text(diff.price_change) if diff.price_change else "none", ""))
    new = [c for c in diff.changes if c.state == "new" and c.head is not None]
    if new:
        cost = total_of(c.head for c in new if c.head is not None)
        cards.append((f"new {diff.head.what}s", f"{len(new):,}", cost_text(cost)))
    return [*cards, spent, calls]


def _changes(diff: Diff, listed: tuple[Change, ...], hidden: int) -> dict[str, Any]:
    most = max((abs(c.cost) for c in listed if c.comparable), default=ZERO)
    scale = scale_of_changes(listed)
    rows = [_row(c, most, scale) for c in listed]
    if hidden:
        more = {
            "name": [f"{hidden:,} more"],
            "main": Cell("=", "none"),
            "bar": [],
            "share": "",
            "cells": [Cell("")] * 4,
        }
        rows.append(more)
    headers = [diff.head.what, "change", "", "calls", "tokens", "before", "now"]
    return {"title": f"By {diff.head.what}", "headers": headers, "rows": rows, "total": None, "legend": []}


def _row(change: Change, most: Any, places: int | None) -> dict[str, Any]:
    side = change.head or change.base or Totals()
    file, name = _page.filed(change.id)
    comparable = change.comparable and change.state in ("changed", "same")
    base = change.base
    percent = percent_text(change.cost, base.cost) if comparable and base is not None and change.cost else None
    calls = f"{side.calls:,}" + (f" ({change.calls:+,})" if change.state == "changed" and change.calls else "")
    return {
        "file": file,
        "name": name,
        "main": Cell(change_text(change.cost, places) if comparable and change.cost else change.shown(places)),
        "bar": _page.signed(change.cost, most) if change.comparable else [],
        "share": percent or "",
        "cells": [
            Cell(calls),
            count_cell(count_text(side.tokens.total_tokens)),
            money_cell("-" if base is None else cost_text(base, places=places)),
            money_cell("-" if change.head is None else cost_text(change.head, places=places)),
        ],
    }
