"""`Summary` to Markdown for a pull request's comment or a job summary.

To keep within a host's limit, whole rows are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from token_meter.report._age import prices_of
from token_meter.report._formatting import cost_sentence, cost_text, count_text, markdown, scale_of_sums
from token_meter.report._summary import Check, Group, Summary, Totals
from token_meter.report._view import DEFAULT_VIEW, View, selected

COMMENT_LIMIT = 60_000
SUMMARY_LIMIT = 900 * 1024
MARKS = {"ok": "✅", "warn": "⚠️", "exceeded": "❌", "unknown": "❔"}


def render_markdown(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write headline, table, checks and details; the first line is the marker of a sticky comment."""

    def written(rows: int) -> str:
        return _write(summary, replace(view, top=rows if view.top is None else min(rows, view.top)))

    return fitted(written, len(summary.groups), view.size_limit)


def fitted(written: Callable[[int], str], rows: int, limit: int) -> str:
    """Write as many rows as fit into *limit* bytes."""
    text = written(rows)
    while len(text.encode("utf-8", "replace")) > limit and rows > 0:
        rows = min(rows - 1, rows * limit // max(1, len(text.encode("utf-8", "replace"))))
        text = written(rows)
    return text


def _write(summary: Summary, view: View) -> str:
    groups, rest, others = selected(summary, view)
    marker = "".join(c for c in view.marker if c.isascii() and (c.isalnum() or c in "_.")) or "default"
    lines = [f"<!-- token-meter:{marker} -->", f"### LLM cost: **{_md_cost(summary.totals)}**", ""]
    lines += [f"| {summary.what} | calls | tokens | cost |", "|---|--:|--:|--:|"]
    scale = scale_of_sums([*(g.totals for g in groups), rest, summary.totals])
    lines += [_row(markdown(_name(g)), g.totals, scale) for g in groups]
    if rest is not None:
        lines.append(_row(f"*{others:,} more*", rest, scale))
    lines += [_row("**total**", summary.totals, scale), ""]
    if summary.checks:
        lines += [" · ".join(check_text(c) for c in summary.checks[:10]), ""]
    lines += [spent_line(summary.totals), ""]
    lines += [f"> ⚠️ {code_text(n.text)}" for n in summary.notices[:10]]
    if summary.notices:
        lines.append("")
    lines += ["<details><summary>Models</summary>", "", "| model | calls | tokens | cost |", "|---|--:|--:|--:|"]
    scale = scale_of_sums(m.totals for m in summary.models[:50])
    lines += [_row(markdown(m.kind.model), m.totals, scale) for m in summary.models[:50]]
    lines += ["", "</details>", "", f"<sub>{_footer(summary)}</sub>"]
    return "\n".join(lines) + "\n"


def check_text(check: Check) -> str:
    """Write one check on one line."""
    return f"{MARKS[check.status]} {code_text(check.text)}"


def code_text(text: str) -> str:
    """Write a sentence that may contain names from outside as one code span, where Markdown has no effect."""
    return markdown(text)


def _md_cost(totals: Totals) -> str:
    sentence = cost_sentence(totals)
    return markdown(sentence) if totals.open else sentence.replace("<", "&lt;").replace("~", "\\~")


def _name(group: Group) -> str:
    name = group.id
    return f"{name} (attempts {group.attempts})" if group.attempts > 1 else name


def _row(name: str, totals: Totals, places: int | None) -> str:
    cost = cost_text(totals, places=places).replace("<", "&lt;").replace(">", "&gt;").replace("~", "\\~")
    return f"| {name} | {totals.calls:,} | {count_text(totals.tokens.total_tokens)} | {cost} |"


def spent_line(t: Totals) -> str:
    """The cost of this run's live calls, and the numbers of live, replayed and mocked calls."""
    cost = cost_text(t, spent=True).replace("<", "&lt;").replace(">", "&gt;").replace("~", "\\~")
    return f"spent in this run: {cost} ({t.live:,} live, {t.replayed:,} replayed, {t.mocked:,} mocked)"


def _footer(summary: Summary) -> str:
    parts = [f"prices {markdown(prices_of(summary))}"]
    if summary.vcs is not None and summary.vcs.commit:
        parts.insert(0, f"commit {markdown(summary.vcs.commit[:12])}")
    if not summary.run.complete:
        parts.append("the ledger is not complete")
    return " · ".join(parts)
