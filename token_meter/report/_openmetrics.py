"""`Summary` to OpenMetrics text, as GitLab's metrics report and Prometheus read it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from token_meter.report._formatting import exact, label_value
from token_meter.report._summary import Summary, Totals
from token_meter.report._view import DEFAULT_VIEW, View

_MOST_SERIES = 2_000  # every series is a row in GitLab's widget


def render_openmetrics(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write the totals and the models; the groups too when the report is by test."""
    totals = summary.totals
    lines = _family("cost_usd", "List price of the tokens; left out where no part of it is known.")
    lines += _value("cost_usd", totals.known_cost())
    lines += _family("cost_is_lower_bound", "1 where a part of the cost is not known.")
    lines.append(f"token_meter_cost_is_lower_bound {1 if totals.open else 0}")
    lines += _family("spent_usd", "List price of the live calls only; left out where no part of it is known.")
    lines += _value("spent_usd", totals.known_cost(spent=True))
    lines += _family("spent_is_lower_bound", "1 where a part of what was spent is not known.")
    lines.append(f"token_meter_spent_is_lower_bound {1 if totals.live_open else 0}")
    lines += _family("calls", "API calls.")
    lines.append(f"token_meter_calls {totals.calls}")
    lines += _family("unpriced_calls", "API calls whose price is not known.")
    lines.append(f"token_meter_unpriced_calls {totals.unpriced}")
    lines += _family("partly_priced_calls", "API calls of whose price only a part is known.")
    lines.append(f"token_meter_partly_priced_calls {totals.partly_priced}")
    lines += _family("tokens", "Tokens by kind; a kind that was not reported is left out.")
    lines += [
        f'token_meter_tokens{{kind="{kind}"}} {count}'
        for kind, count in totals.tokens._asdict().items()
        if count is not None
    ]
    lines += _each("model", [(m.kind.model, m.totals) for m in summary.models])
    if summary.by == "test":
        lines += _each("test", [(g.id, g.totals) for g in summary.largest[:_MOST_SERIES]])
    return "\n".join([*lines, "# EOF"]) + "\n"


def _each(what: str, rows: Sequence[tuple[str, Totals]]) -> list[str]:
    """The cost of each, and how many of its calls make that a lower bound."""
    names = [(f'{what}="{label_value(name)}"', totals) for name, totals in rows]
    lines = _family(f"{what}_cost_usd", f"List price of the tokens by {what}; one without any price is left out.")
    for label, totals in names:
        lines += _value(f"{what}_cost_usd{{{label}}}", totals.known_cost())
    lines += _family(f"{what}_unpriced_calls", f"API calls by {what} whose price is not known, where there are any.")
    lines += [f"token_meter_{what}_unpriced_calls{{{label}}} {t.unpriced}" for label, t in names if t.unpriced]
    lines += _family(
        f"{what}_partly_priced_calls", f"API calls by {what} that are priced in part, where there are any."
    )
    lines += [
        f"token_meter_{what}_partly_priced_calls{{{label}}} {t.partly_priced}" for label, t in names if t.partly_priced
    ]
    return lines


def _value(series: str, amount: Decimal | None) -> list[str]:
    return [] if amount is None else [f"token_meter_{series} {exact(amount)}"]


def _family(name: str, help_text: str) -> list[str]:
    return [f"# TYPE token_meter_{name} gauge", f"# HELP token_meter_{name} {help_text}"]
