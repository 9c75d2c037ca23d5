"""`Summary` to the formats of CI hosts: annotations, code quality, logging commands. Nothing is sent to a host."""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any, NamedTuple

from token_meter.report._formatting import (
    azure_data,
    azure_property,
    command_data,
    command_property,
    cost_sentence,
    counted,
    exact,
    visible,
)
from token_meter.report._markdown import render_markdown
from token_meter.report._summary import Check, Group, Notice, Summary
from token_meter.report._view import DEFAULT_VIEW, View

_GITHUB_SHOWS = 9  # GitHub shows ten of each kind and step; the tenth says how many are missing
_WORST = ("ok", "warn", "unknown", "exceeded")
_LEVEL = {"exceeded": "error", "warn": "warning", "unknown": "warning"}


class Finding(NamedTuple):
    """One annotation, for any host."""

    level: str
    title: str
    text: str
    file: str | None
    line: int | None
    key: str


def findings(checks: tuple[Check, ...], groups: tuple[Group, ...], notices: tuple[Notice, ...]) -> list[Finding]:
    """List the annotations, errors first. Their `key` does not depend on amounts."""
    places = {g.id: (g.file, g.line) for g in groups}
    found = []
    for check in checks:
        if check.status in _LEVEL:
            file, line = places.get(check.culprit or check.scope, (None, None))
            title = f"LLM budget: {check.rule or check.field}"
            key = f"{check.scope}|{check.field}|{check.rule}|{check.culprit}"
            found.append(Finding(_LEVEL[check.status], title, check.text, file, line, key))
    found += [Finding("warning", "token_meter", n.text, None, None, f"{n.code}|{n.model or ''}") for n in notices]
    return sorted(found, key=lambda f: f.level != "error")


def _of(summary: Summary) -> list[Finding]:
    return findings(summary.checks, summary.largest, summary.notices)


def render_github(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write workflow commands: the worst nine of each kind, and one with the number of others."""
    headline = f"LLM cost: {cost_sentence(summary.totals)} in {counted(summary.totals.calls, 'call')}"
    return "".join([*github_lines(_of(summary)), f"::notice title=token_meter::{command_data(headline)}\n"])


def github_lines(found: list[Finding]) -> list[str]:
    """Write findings as workflow commands."""
    lines = []
    for level in ("error", "warning"):
        some = [f for f in found if f.level == level]
        for f in some[:_GITHUB_SHOWS]:
            where = f"file={command_property(f.file)}," if f.file else ""
            where += f"line={f.line}," if f.file and f.line else ""
            lines.append(f"::{level} {where}title={command_property(f.title)}::{command_data(f.text)}\n")
        if len(some) > _GITHUB_SHOWS:
            lines.append(f"::{level} title=token_meter::and {len(some) - _GITHUB_SHOWS} more\n")
    return lines


def render_github_output(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write step outputs for `$GITHUB_OUTPUT`: numbers and one word, but no names from outside."""
    return output_lines(summary, max((c.status for c in summary.checks), key=_WORST.index, default="ok"))


def output_lines(
    summary: Summary, status: str, delta: Decimal | None = None, delta_like_for_like: Decimal | None = None
) -> str:
    """Write the outputs; *delta* is a comparison's change in US dollars, and that of what both sides have.

    Unknown values are empty.
    """
    t = summary.totals
    tokens = t.known_tokens
    outputs = {
        "cost": exact(t.known_cost()),
        "cost_is_lower_bound": "true" if t.open else "false",
        "spent": exact(t.known_cost(spent=True)),
        "spent_is_lower_bound": "true" if t.live_open else "false",
        "tokens": "" if tokens is None else str(tokens),
        "calls": str(t.calls),
        "unpriced": str(t.unpriced),
        "partly_priced": str(t.partly_priced),
        "delta": exact(delta),
        "delta_like_for_like": exact(delta_like_for_like),
        "status": status,
    }
    return "".join(f"{name}={value}\n" for name, value in outputs.items())


def render_gitlab_codequality(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write GitLab's code quality report. Fingerprints do not depend on amounts, so that reruns match."""
    rows: list[dict[str, Any]] = [
        {
            "description": visible(f.text),
            "check_name": f"token_meter/{f.level}",
            "fingerprint": hashlib.sha256(f.key.encode("utf-8", "surrogatepass")).hexdigest(),
            "severity": "major" if f.level == "error" else "minor",
            "location": {"path": visible(f.file or "token_meter"), "lines": {"begin": f.line or 1}},
        }
        for f in _of(summary)
    ]
    return json.dumps(rows, indent=1) + "\n"


def render_azure(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write Azure logging commands, which must be printed to the step's stdout."""
    lines = []
    for f in _of(summary):
        where = f"sourcepath={azure_property(f.file)};linenumber={f.line or 1};" if f.file else ""
        lines.append(f"##vso[task.logissue type={f.level};{where}]{azure_data(f'{f.title}: {f.text}')}\n")
    headline = f"LLM cost: {cost_sentence(summary.totals)} in {counted(summary.totals.calls, 'call')}"
    return "".join([*lines, f"##[section]{azure_data(headline)}\n"])


def render_buildkite(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write the Markdown that `buildkite-agent annotate` takes."""
    return render_markdown(summary, view)


def render_benchmark(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write github-action-benchmark's `customSmallerIsBetter` array. A model without a price has no bar."""
    rows: list[tuple[str, str, str]] = []
    totals = summary.totals
    if (cost := totals.known_cost()) is not None:
        rows.append(("LLM cost", "USD", exact(cost)))
    rows.append(("LLM calls", "calls", str(totals.calls)))
    if totals.tokens.total_tokens is not None:
        rows.append(("LLM tokens", "tokens", str(totals.tokens.total_tokens)))
    rows += [
        (f"LLM cost of {visible(m.kind.model)}", "USD", exact(cost))
        for m in summary.models
        if (cost := m.totals.known_cost()) is not None
    ]
    note = f', "extra": {json.dumps(cost_sentence(totals))}' if totals.open or totals.estimated else ""
    text = (f'{{"name": {json.dumps(name)}, "unit": "{unit}", "value": {value}{note}}}' for name, unit, value in rows)
    return "[\n " + ",\n ".join(text) + "\n]\n"
