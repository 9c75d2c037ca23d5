"""`Summary` to OpenMetrics text, as GitLab's metrics report and Prometheus read it."""

from __future__ import annotations

from token_meter.report._formatting import exact, is_known, label_value
from token_meter.report._summary import Summary
from token_meter.report._view import DEFAULT_VIEW, View

_MOST_SERIES = 2_000  # every series is a row in GitLab's widget


def render_openmetrics(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write the totals and the models; the groups too when the report is by test."""
    totals = summary.totals
    lines = _family("cost_usd", "List price of the tokens; a lower bound while unpriced calls are above 0.")
    lines += [f"token_meter_cost_usd {exact(totals.cost)}"] if is_known(totals) else []
    lines += _family("spent_usd", "List price of the live calls only.")
    lines += [f"token_meter_spent_usd {exact(totals.spent)}"] if is_known(totals, spent=True) else []
    lines += _family("calls", "API calls.")
    lines.append(f"token_meter_calls {totals.calls}")
    lines += _family("unpriced_calls", "API calls whose price is not known.")
    lines.append(f"token_meter_unpriced_calls {totals.unpriced}")
    lines += _family("tokens", "Tokens by kind; a kind that was not reported is left out.")
    lines += [
        f'token_meter_tokens{{kind="{kind}"}} {count}'
        for kind, count in totals.tokens._asdict().items()
        if count is not None
    ]
    lines += _family("model_cost_usd", "List price of the tokens by model; models without any price are left out.")
    lines += [
        f'token_meter_model_cost_usd{{model="{label_value(m.kind.model)}"}} {exact(m.totals.cost)}'
        for m in summary.models
        if is_known(m.totals)
    ]
    if summary.by == "test":
        lines += _family("test_cost_usd", "List price of the tokens by test.")
        lines += [
            f'token_meter_test_cost_usd{{test="{label_value(g.id)}"}} {exact(g.totals.cost)}'
            for g in summary.largest[:_MOST_SERIES]
            if is_known(g.totals)
        ]
    return "\n".join([*lines, "# EOF"]) + "\n"


def _family(name: str, help_text: str) -> list[str]:
    return [f"# TYPE token_meter_{name} gauge", f"# HELP token_meter_{name} {help_text}"]
