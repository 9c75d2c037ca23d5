"""The table of formats, and the parser of `TYPE[:DEST]` for all commands. Writes files, but does not print."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from token_meter._money import exactly
from token_meter._text import suggestion
from token_meter.exceptions import ConfigError
from token_meter.ledger._place import replaced
from token_meter.report import _diff_formats as faces
from token_meter.report._badge import render_badge
from token_meter.report._ci_formats import (
    render_github,
    render_github_output,
)
from token_meter.report._commit_info import ci_host
from token_meter.report._csv import render_csv
from token_meter.report._format import Format, Formats
from token_meter.report._html import render_html
from token_meter.report._html_diff import diff_html
from token_meter.report._json import render_json
from token_meter.report._junit import render_junit
from token_meter.report._markdown import SUMMARY_LIMIT, render_markdown
from token_meter.report._openmetrics import render_openmetrics
from token_meter.report._summary import Summary
from token_meter.report._table import render_table
from token_meter.report._view import DEFAULT_VIEW, View
from token_meter.report.diff import Diff

BUILT_IN: dict[str, Format] = {
    "table": Format(render_table, "for a terminal", faces.diff_table, everything=False),
    "json": Format(render_json, "everything, by docs/report.schema.json", faces.diff_json),
    "md": Format(render_markdown, "for a pull request's comment, at most 60,000 bytes", faces.diff_markdown),
    "summary": Format(
        render_markdown, "for a job summary, at most 900 KiB", faces.diff_markdown, size_limit=SUMMARY_LIMIT
    ),
    "csv": Format(render_csv, "one row per context and model"),
    "html": Format(render_html, "one page for a browser (needs the extra [html])", diff_html),
    "openmetrics": Format(render_openmetrics, "for GitLab's metrics report and Prometheus"),
    "badge": Format(render_badge, "an SVG for a README: the cost, coloured by the limits"),
    "junit": Format(render_junit, "one test case per limit"),
    "github": Format(render_github, "workflow commands: annotations", faces.diff_github),
    "github-output": Format(render_github_output, "step outputs, for $GITHUB_OUTPUT", faces.diff_github_output),
}
FORMATS = Formats(BUILT_IN)
"""All formats by name: those of this table, then those of installed packages. A dotted path is a name too."""
_ALIASES = {"term": "table", "markdown": "md"}


_HOSTS: dict[str | None, tuple[str, ...]] = {
    "github": ("github", "summary-append:$GITHUB_STEP_SUMMARY", "github-output-append:$GITHUB_OUTPUT"),
    "gitlab": ("table", "openmetrics:metrics.txt", "gitlab-codequality:gl-code-quality-report.json"),
    "azure": ("azure",),
    "buildkite": ("buildkite",),
}


class Target(NamedTuple):
    """The format and destination of one report: `TYPE[:DEST]`; by default, the command's own output."""

    format: str
    destination: str | None = None
    append: bool = False
    top: int | None = None
    everything: bool = False


def expanded(
    texts: Iterable[str], environment: Mapping[str, str] | None = None, *, compared: bool = False
) -> list[str]:
    """Replace `ci` by the formats that this CI host reads; by the table where no CI host is known.

    With *compared*, only formats that can show a comparison.
    """
    env = os.environ if environment is None else environment
    found: list[str] = []
    for text in texts:
        if text.strip() != "ci":
            found.append(text)
            continue
        here: list[str] = []
        for target in _HOSTS.get(ci_host(env), ()):
            kind, dollar, variable = target.partition("$")
            if compared and FORMATS[parse_target(target).format].diff is None:
                continue
            if not dollar:
                here.append(target)
            elif path := env.get(variable):
                here.append(kind + path)
        found += here or ["table"]
    return found


def parse_target(text: str) -> Target:
    """Read `json:report.json`, `md`, `md-append:$FILE`, `term:20`, `term-all`, ….

    Raises:
        ConfigError: the type is unknown; the message names the nearest one.
    """
    kind, _, destination = text.strip().partition(":")
    append = kind.endswith("-append")
    kind = kind.removesuffix("-append")
    everything = kind == "term-all"
    name = "table" if everything else _ALIASES.get(kind, kind)
    if name not in FORMATS:
        hint = suggestion(kind, [*FORMATS, *_ALIASES, "term-all", "ci"])
        msg = f"report {text!r}: {kind!r} is none of {', '.join(FORMATS)}{hint}"
        raise ConfigError(msg)
    if name == "table" and destination.isascii() and destination.isdigit():
        return Target(name, None, append, int(destination))
    if append and not destination:
        msg = f"report {text!r}: -append needs a file, as in md-append:summary.md"
        raise ConfigError(msg)
    return Target(name, destination or None, append, None, everything)


@exactly
def render(what: Summary | Diff, target: Target | str, view: View = DEFAULT_VIEW) -> str:
    """Write a summary or a comparison in a target's format.

    Raises:
        ConfigError: the format is unknown, cannot show a comparison, or needs something that is not installed.
    """
    target = parse_target(target) if isinstance(target, str) else target
    chosen = FORMATS[target.format]
    view = replace(view, size_limit=chosen.size_limit)
    if target.top is not None:
        view = replace(view, top=target.top)
    elif target.everything or (chosen.everything and view.top == DEFAULT_VIEW.top):
        view = replace(view, top=None)
    if isinstance(what, Summary):
        return chosen.render(what, view)
    if chosen.diff is None:
        able = ", ".join(name for name, f in FORMATS.items() if f.diff is not None)
        msg = f"a comparison cannot be written as {target.format}; it can as {able}"
        raise ConfigError(msg)
    return chosen.diff(what, view)


def write(text: str, path: str | os.PathLike[str], *, append: bool = False, is_ours: bool = False) -> None:
    """Write a report to a file: whole or not at all, unless it is appended. With *is_ours*, only this user can read it.

    Raises:
        OSError: it cannot be written.
    """
    target = Path(path)
    data = text.encode("utf-8", "backslashreplace")
    target.parent.mkdir(parents=True, exist_ok=True)
    if append:
        with open(target, "ab") as out:
            out.write(data)
        return
    if target.exists() and not target.is_file():  # /dev/stdout, a pipe
        target.write_bytes(data)
        return
    with replaced(target, is_ours=is_ours) as out:
        out.write(data)
