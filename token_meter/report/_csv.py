"""`Summary` to CSV: one row per context and model, text cells escaped for spreadsheets."""

from __future__ import annotations

import csv
import io

from token_meter.report._formatting import csv_cell, exact
from token_meter.report._summary import Summary, Tokens
from token_meter.report._view import DEFAULT_VIEW, View

HEADER = ("context", "type", "model", "calls", *Tokens._fields, "cost_usd", "spent_usd", "unpriced_calls",
          "partly_priced_calls")  # fmt: skip


def render_csv(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write every group; an unknown count or cost is an empty cell, never 0."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(HEADER)
    for group in summary.largest:
        for line in group.models:
            t = line.totals
            counts = ["" if n is None else n for n in t.tokens]
            money = [exact(t.known_cost()), exact(t.known_cost(spent=True))]
            row = [csv_cell(group.id), group.type, csv_cell(line.kind.model), t.calls, *counts, *money]
            writer.writerow([*row, t.unpriced, t.partly_priced])
    return out.getvalue()
