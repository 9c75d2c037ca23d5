"""`Summary` to one self-contained HTML page: no script, no network, light and dark. Needs the extra `[html]`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from token_meter.report import _html_parts as _page
from token_meter.report._age import prices_of
from token_meter.report._formatting import cost_sentence, cost_text, count_text, scale_of_sums, visible
from token_meter.report._history import Point
from token_meter.report._html_parts import OTHER_TONE, TONES, Cell, count_cell, money_cell
from token_meter.report._summary import ZERO, Group, ModelLine, Summary, Totals, total_of
from token_meter.report._view import DEFAULT_VIEW, View, selected

_MOST_ROWS = 2_000
_HEIGHT = 56  # of the history, in the template too


def render_html(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write the page with the rows of *view*, at most 2,000.

    Raises:
        ConfigError: Jinja2 is not installed.
    """
    totals = summary.totals
    sentence = cost_sentence(totals)
    return _page.write_page(
        label=f"LLM cost as if by {visible(summary.as_model)}" if summary.as_model else "LLM cost",
        headline=money_cell(cost_text(totals)).text,
        why=f"lower bound: {visible(sentence.partition('(')[2].removesuffix(')'))}" if totals.open else "",
        about=about(summary),
        cards=_cards(summary),
        checks_title="Limits",
        checks=_page.judged(summary.checks),
        notices=[visible(n.text) for n in summary.notices],
        history=_history(view.history, summary.run.id),
        tables=_tables(summary, view) if summary.groups else [],
        facts=facts(summary),
    )


def _tables(summary: Summary, view: View) -> list[dict[str, Any]]:
    tones = {m.kind.model: tone for m, tone in zip(summary.models, TONES, strict=False)}
    found = [_by_group(summary, view, tones)]
    return found if summary.by == "model" else [*found, _by_model(summary, tones)]


def about(summary: Summary) -> str:
    """The command, the commit and the time of a run."""
    vcs = summary.vcs
    parts = [" ".join(summary.run.command)[:200]]
    if vcs is not None:
        parts += [vcs.branch or "", (vcs.commit or "")[:12] + (" (dirty)" if vcs.commit and vcs.dirty else "")]
    parts += [f"{key}={value}" for key, value in sorted(summary.run.labels.items())]
    parts.append(summary.created.replace("T", " ").removesuffix("Z") + (" UTC" if summary.created else ""))
    return visible(" · ".join(part for part in parts if part))


def facts(summary: Summary) -> list[tuple[str, str]]:
    """The foot of the page: prices, completeness of the ledger, version."""
    run, vcs = summary.run, summary.vcs
    found = [("prices", prices_of(summary))]
    if run.processes:
        found.append(("processes", f"{run.processes:,}"))
    if run.duration_s is not None:
        found.append(("duration", f"{run.duration_s:,.1f} s"))
    if not run.complete:
        found.append(("record", "not complete"))
    if vcs is not None and vcs.run_url:
        found.append(("CI run", vcs.run_url))
    found.append(("made by", f"token-meter {summary.tool_version}"))
    return [(name, visible(value)) for name, value in found]


def _cards(summary: Summary) -> list[tuple[str, str, str]]:
    t = summary.totals
    tokens = t.tokens
    kinds = [f"{n:,} {word}" for n, word in ((t.live, "live"), (t.replayed, "replayed"), (t.mocked, "mocked")) if n]
    cards = [
        ("spent in this run", money_cell(cost_text(t, spent=True)).text, ""),
        ("calls", f"{t.calls:,}", ", ".join(kinds)),
        ("prompt tokens", count_text(tokens.prompt_tokens), _of_them(tokens.cached_tokens, "cached")),
        ("completion tokens", count_text(tokens.completion_tokens), _of_them(tokens.reasoning_tokens, "reasoning")),
    ]
    odd = (
        (t.failed, "failed"), (t.unpriced, "unpriced"), (t.partly_priced, "partly priced"), (t.estimated, "estimated"),
        (t.unmeasured, "unmeasured"),
    )  # fmt: skip
    return cards + [(f"{word} calls", f"{n:,}", "") for n, word in odd if n]


def _of_them(count: int | None, word: str) -> str:
    return f"{count:,} {word}" if count else ""


def _by_group(summary: Summary, view: View, tones: Mapping[str, str]) -> dict[str, Any]:
    groups, rest, others = selected(summary, view)
    shown, hidden = groups[:_MOST_ROWS], groups[_MOST_ROWS:]
    if hidden:
        rest = total_of([*(g.totals for g in hidden), *([rest] if rest is not None else [])])
        others += len(hidden)
    compared = bool(view.changes)
    by_model = summary.by == "model"
    scales = _scales([*(group.totals for group in shown), rest, summary.totals])
    rows = []
    for group in shown:
        row = _row(group.id, group.totals, summary.totals, _parts(group.models, tones), scales)
        if by_model:
            row["tone"] = tones.get(group.id, OTHER_TONE)
        else:
            row["file"], row["name"] = _page.filed(group.id)
        row["notes"] = _notes(group)
        if compared:
            row["cells"].insert(0, Cell(view.changes.get(group.id, "")))
        rows.append(row)
    if rest is not None:
        row = _row(f"{others:,} more", rest, summary.totals, [(OTHER_TONE, rest.cost)], scales)
        if compared:
            row["cells"].insert(0, Cell(""))
        rows.append(row)
    total = _row("total", summary.totals, summary.totals, [], scales)
    headers = _headers(summary.what)
    if compared:
        total["cells"].insert(0, Cell(view.changes.get("total", "")))
        headers.insert(3, "vs base")
    legend = [] if by_model or len(summary.models) < 2 else _legend(summary.models, tones)
    return {"title": f"By {summary.what}", "headers": headers, "rows": rows, "total": total, "legend": legend}


def _by_model(summary: Summary, tones: Mapping[str, str]) -> dict[str, Any]:
    rows = []
    scales = _scales([*(line.totals for line in summary.models[:_MOST_ROWS]), summary.totals])
    for line in summary.models[:_MOST_ROWS]:
        tone = tones.get(line.kind.model, OTHER_TONE)
        rows.append(
            {**_row(line.kind.model, line.totals, summary.totals, [(tone, line.totals.cost)], scales), "tone": tone}
        )
    total = _row("total", summary.totals, summary.totals, [], scales)
    return {"title": "By model", "headers": _headers("model"), "rows": rows, "total": total, "legend": []}


def _headers(first: str) -> list[str]:
    return [first, "cost", "share", "calls", "prompt", "cached", "completion", "reasoning", "spent"]


def _scales(sums: Sequence[Totals | None]) -> tuple[int | None, int | None]:
    """The decimal places of the columns for what calls cost, and for what was spent."""
    return scale_of_sums(sums), scale_of_sums(sums, spent=True)


def _row(
    name: str,
    t: Totals,
    whole: Totals,
    parts: Iterable[tuple[str, Decimal]],
    scales: tuple[int | None, int | None],
) -> dict[str, Any]:
    tokens = t.tokens
    counts = (tokens.prompt_tokens, tokens.cached_tokens, tokens.completion_tokens, tokens.reasoning_tokens)
    share = t.cost / whole.cost * 100 if whole.cost > 0 else ZERO
    return {
        "name": _page.broken(name),
        "main": money_cell(cost_text(t, places=scales[0])),
        "bar": _page.stacked(parts, whole.cost),
        "share": "" if not t.cost else f"{share:.0f}%" if share >= 1 else "<1%",
        "cells": [
            Cell(f"{t.calls:,}"),
            *(count_cell(count_text(count)) for count in counts),
            money_cell(cost_text(t, spent=True, places=scales[1])),
        ],
    }


def _parts(models: Sequence[ModelLine], tones: Mapping[str, str]) -> list[tuple[str, Decimal]]:
    sizes: dict[str, Decimal] = {}
    for line in models:
        tone = tones.get(line.kind.model, OTHER_TONE)
        sizes[tone] = sizes.get(tone, ZERO) + line.totals.cost
    return sorted(sizes.items())


def _legend(models: Sequence[ModelLine], tones: Mapping[str, str]) -> list[tuple[str, str]]:
    named = [(tones[m.kind.model], visible(m.kind.model)) for m in models if m.kind.model in tones and m.totals.cost]
    others = any(m.kind.model not in tones and m.totals.cost for m in models)
    return [*named, (OTHER_TONE, "other models")] if others else named


def _notes(group: Group) -> list[tuple[str, str]]:
    notes = [("failed", "failed")] if group.outcome == "failed" else []
    if group.attempts > 1:
        notes.append(("", f"{group.attempts} attempts"))
    if group.type == "fixture" and group.processes > 1:
        notes.append(("", f"{group.processes} workers"))
    return notes


def _history(points: Sequence[Point], run: str | None) -> dict[str, Any] | None:
    if len(points) < 2:
        return None
    titles = [visible(p.title) for p in points]
    sums = sorted((p.totals for p in points if p.totals.known_cost() is not None), key=lambda t: t.cost)
    span = f"{cost_text(sums[0])} to {cost_text(sums[-1])} a run" if sums else "unpriced"
    text = f"{span} since {points[0].created[:10]}"
    is_here = points[-1].run == run
    return {
        "title": f"The last {len(points)} runs",
        "bars": _page.columns([p.cost for p in points], titles, _HEIGHT, is_last_ours=is_here),
        "text": visible(f"{text}; the last one is this run" if is_here else text),
    }
