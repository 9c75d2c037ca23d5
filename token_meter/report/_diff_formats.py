"""`Diff` to table, Markdown, JSON and GitHub annotations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from token_meter._money import scale_of
from token_meter.report._age import prices_of
from token_meter.report._ci_formats import findings, github_lines, output_lines
from token_meter.report._formatting import change_text, command_data, cost_text, count_text, markdown, terminal
from token_meter.report._json import SCHEMA, check_data, dumps, totals_data, vcs_data
from token_meter.report._markdown import check_text, fitted, spent_line
from token_meter.report._summary import Summary, Totals, total_of
from token_meter.report._table import columns
from token_meter.report._view import DEFAULT_VIEW, View
from token_meter.report.diff import Change, Diff


def diff_table(diff: Diff, view: View = DEFAULT_VIEW) -> str:
    """Show what changed, the rules, and what was compared with what."""
    lines = [f"LLM cost: {diff.headline}", *([diff.like_for_like] if diff.like_for_like else []), ""]
    rows = list(diff.listed[: view.top])
    scale = scale_of_changes(rows)
    if rows:
        table = [[diff.head.what, "calls", "tokens", "base", "head", "change"], *(_cells(c, scale) for c in rows)]
        lines += [*columns(table, view.width), ""]
    hidden = len(diff.changes) - len(rows)
    if diff.base is not None and hidden:
        many = "" if hidden == 1 else "s"
        lines.append(
            f"{hidden:,} more {diff.head.what}{many}: {'unchanged or ' if diff.min_change or rows else ''}not shown"
        )
    lines += [f"{c.status.upper() if c.status != 'ok' else 'ok':8}  {terminal(c.text)}" for c in diff.checks]
    lines += [terminal(text) for text in footnotes(diff)]
    return "\n".join(lines) + "\n"


def diff_markdown(diff: Diff, view: View = DEFAULT_VIEW) -> str:
    """Write the pull request's comment: headline, changed rows, rules, and the two sides of the comparison."""
    marker = "".join(c for c in view.marker if c.isascii() and (c.isalnum() or c in "_.")) or "default"

    def written(rows: int) -> str:
        lines = [f"<!-- token-meter:{marker} -->", f"### LLM cost: **{_md(diff.headline)}**", ""]
        lines += [_md(diff.like_for_like), ""] if diff.like_for_like else []
        shown = diff.listed[:rows]
        if shown:
            lines += [f"| {diff.head.what} | calls | tokens | cost | change |", "|---|--:|--:|--:|--:|"]
            scale = scale_of_changes(shown)
            lines += [_md_row(c, scale) for c in shown]
            lines.append("")
        if hidden := len(diff.changes) - len(shown):
            lines += [f"{hidden:,} more without a listed change", ""]
        if diff.checks:
            lines += ["  \n".join(check_text(c) for c in diff.checks[:20]), ""]
        lines.append(spent_line(diff.head.totals))
        lines += ["", f"<sub>{' · '.join(markdown(text) for text in footnotes(diff))}</sub>"]
        return "\n".join(lines) + "\n"

    rows = len(diff.listed) if view.top is None else min(view.top, len(diff.listed))
    return fitted(written, rows, view.size_limit)


def diff_json(diff: Diff, view: View = DEFAULT_VIEW) -> str:
    """Write the comparison as JSON, `kind: diff`."""
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "diff",
        "tool": {"name": "token-meter", "version": diff.head.tool_version},
        "created": diff.head.created,
        "by": diff.head.by,
        "base": None if diff.base is None else {**_side(diff.base, diff.common_base), "age_commits": diff.age},
        "head": _side(diff.head, diff.common_head),
        "prices": diff.prices,
        "priced_by": diff.priced_by,
        "approximate": diff.approximate,
        "min_change": diff.min_change,
        "delta": None
        if diff.base is None
        else {
            "total": diff.total_change,
            "cost": diff.recorded_change,
            "usage": diff.usage_change,
            "price": diff.price_change,
        },
        "contexts": [
            {
                "id": c.id,
                "state": c.state,
                "comparable": c.comparable,
                "change": c.cost if c.comparable else None,
                "base": None if c.base is None else totals_data(c.base),
                "head": None if c.head is None else totals_data(c.head),
            }
            for c in diff.changes
        ],
        "rules": [check_data(c) for c in diff.checks],
        "status": diff.verdict.status,
        "headline": diff.verdict.headline,
    }
    return dumps(data)


def diff_github(diff: Diff, view: View = DEFAULT_VIEW) -> str:
    """Write workflow commands for exceeded rules, and one notice with the headline."""
    found = findings(diff.checks, diff.head.groups, ())
    text = f"LLM cost: {diff.headline}" + (f"; {diff.like_for_like}" if diff.like_for_like else "")
    return "".join([*github_lines(found), f"::notice title=token_meter::{command_data(text)}\n"])


def diff_github_output(diff: Diff, view: View = DEFAULT_VIEW) -> str:
    """Write step outputs for `$GITHUB_OUTPUT`; without a base there is no `delta`, and the status is `unknown`."""
    common = {} if diff.base is None else {"delta": diff.total_change, "delta_like_for_like": diff.usage_change}
    return output_lines(diff.head, diff.verdict.status, **common)


def scale_of_changes(changes: Iterable[Change]) -> int | None:
    """The decimal places of the columns of a comparison: both sides and their difference."""
    rows = list(changes)
    sums = [side.known_cost() for c in rows for side in (c.base, c.head) if side is not None]
    return scale_of([*sums, *(c.cost for c in rows if c.comparable)])


def _cells(c: Change, places: int | None) -> list[str]:
    side = c.head or c.base or Totals()
    calls = f"{side.calls:,}" + (f" ({c.calls:+,})" if c.state == "changed" and c.calls else "")
    return [
        c.id,
        calls,
        count_text(side.tokens.total_tokens),
        "-" if c.base is None else cost_text(c.base, places=places),
        "-" if c.head is None else cost_text(c.head, places=places),
        c.shown(places),
    ]


def _md_row(c: Change, places: int | None) -> str:
    _, calls, tokens, _, head, change = _cells(c, places)
    sign = "🔺 " if c.comparable and c.cost > 0 else "🔻 " if c.comparable and c.cost < 0 else ""
    return (
        f"| {markdown(c.id)} | {calls} | {tokens} | {_md(head)} | {sign if c.state == 'changed' else ''}{_md(change)} |"
    )


def _md(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("~", "\\~")


def footnotes(diff: Diff) -> list[str]:
    """The notes: the base, whether its ledger is complete, and the parts of a change."""
    base = diff.base
    if base is None:
        return ["no base: nothing was compared", f"prices {prices_of(diff.head)}"]
    commit = base.vcs.commit[:12] if base.vcs is not None and base.vcs.commit else "without a commit"
    age = "" if diff.age is None else f" ({diff.age} commit{'' if diff.age == 1 else 's'} old)"
    notes = [f"base {commit}{age}{'' if base.run.complete else ', not complete'}"]
    if diff.price_change is not None and diff.usage_change is not None:
        split = f"usage {_signed(diff.usage_change)}, prices {_signed(diff.price_change)}"
        notes.append(f"{split}{' (approximate)' if diff.approximate else ''}")
    elif base.prices != diff.head.prices:
        notes.append(f"prices differ: base {base.prices}; head {diff.head.prices}")
    gone = [c for c in diff.changes if c.state == "gone"]
    if gone:
        cost = cost_text(total_of(c.base for c in gone if c.base is not None))
        why = "removed, deselected or not reached" if diff.head.run.complete else "the head's run is not complete"
        notes.append(f"{len(gone)} only in the base ({cost}): {why}")
    if not diff.head.run.complete:
        notes.append("the head's ledger is not complete")
    notes.append(f"prices {prices_of(replace(diff.head, prices=diff.priced_by))}")
    return notes


def _signed(change: Any) -> str:
    return "+$0" if change == 0 else change_text(change)


def _side(summary: Summary, common: Totals) -> dict[str, Any]:
    return {
        "created": summary.created,
        "vcs": vcs_data(summary.vcs),
        "complete": summary.run.complete,
        "prices": summary.prices,
        "totals": totals_data(summary.totals),
        "common": totals_data(common),
    }
