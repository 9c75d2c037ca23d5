"""`Summary` to a badge: a small SVG of what a run cost, coloured by its limits. No name from outside is in it."""

from __future__ import annotations

from token_meter.report._formatting import cost_text
from token_meter.report._summary import Summary
from token_meter.report._view import DEFAULT_VIEW, View

_LABEL = "LLM cost"
_COLOURS = {"ok": "#2e7d32", "warn": "#8a6100", "unknown": "#8a6100", "exceeded": "#b3261e"}
_NO_LIMIT = "#33658a"
_WORST_FIRST = ("exceeded", "unknown", "warn", "ok")
_SIGN = 6.6  # pixels of a sign at 11 pixels
_SVG = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="20" role="img" aria-label="{label}: {said}">
<title>{label}: {said}</title>
<clipPath id="r"><rect width="{whole}" height="20" rx="3"/></clipPath>
<g clip-path="url(#r)"><rect width="{left}" height="20" fill="#444"/>\
<rect x="{left}" width="{right}" height="20" fill="{colour}"/></g>
<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">\
<text x="{label_at:g}" y="14" textLength="{label_length:g}">{label}</text>\
<text x="{said_at:g}" y="14" textLength="{said_length:g}">{said}</text></g>
</svg>
"""


def render_badge(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write the badge: green where all limits hold, red where one is exceeded, amber where one cannot be judged."""
    said = cost_text(summary.totals).replace(">=", "≥ ").replace("<", "&lt; ")
    length = _SIGN * len(said.replace("&lt;", "<"))
    left, right = round(_SIGN * len(_LABEL)) + 12, round(length) + 12
    statuses = {check.status for check in summary.checks}
    worst = next((status for status in _WORST_FIRST if status in statuses), None)
    return _SVG.format(
        label=_LABEL, said=said, whole=left + right, left=left, right=right,
        colour=_COLOURS[worst] if worst else _NO_LIMIT,
        label_at=left / 2, label_length=left - 12, said_at=left + right / 2, said_length=length,
    )  # fmt: skip
