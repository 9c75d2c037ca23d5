"""`Summary` to JSON v2, as specified in docs/report.schema.json.

Keys are never renamed inside v2; `_load` reads v1 too.
Money is a JSON number with exact digits, which `parse_float=Decimal` preserves.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from token_meter.report._formatting import exact
from token_meter.report._summary import Check, Group, ModelLine, Run, Summary, Totals, Vcs
from token_meter.report._view import DEFAULT_VIEW, View

SCHEMA = "token-meter/report/v2"
READABLE = frozenset({SCHEMA, "token-meter/report/v1"})
"""The versions that are read."""


def render_json(summary: Summary, view: View = DEFAULT_VIEW) -> str:
    """Write the whole summary; *view* does not hide groups."""
    return dumps(summary_data(summary))


def dumps(data: Any) -> str:
    """Write JSON in ASCII with Decimals as numbers, digit for digit, which `json` cannot do.

    `##` is escaped, because a CI's log reader would take it for a command.
    """
    return _written(data, "").replace("##", "#\\u0023") + "\n"


def _written(value: Any, indent: str) -> str:
    deeper = indent + " "
    if isinstance(value, Decimal):
        return exact(value)
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        pairs = (f"{deeper}{json.dumps(str(k))}: {_written(v, deeper)}" for k, v in value.items())
        return "{\n" + ",\n".join(pairs) + f"\n{indent}}}"
    if isinstance(value, list | tuple):
        if not value:
            return "[]"
        if all(isinstance(v, str | int | None) for v in value):
            return json.dumps(list(value))
        return "[\n" + ",\n".join(deeper + _written(v, deeper) for v in value) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def summary_data(summary: Summary) -> dict[str, Any]:
    """The summary as data for JSON; money stays `Decimal`."""
    return {
        "schema": SCHEMA,
        "kind": "report",
        "tool": {"name": "token-meter", "version": summary.tool_version},
        "created": summary.created,
        "by": summary.by,
        "as_model": summary.as_model,
        "run": _run(summary.run),
        "vcs": vcs_data(summary.vcs),
        "prices": {
            "version": summary.prices,
            "currency": "USD",
            "overrides": summary.overrides,
            "digest": summary.digest,
            **({"as_of": summary.prices_as_of} if summary.prices_as_of else {}),
        },
        "totals": totals_data(summary.totals),
        "models": [model_data(m) for m in summary.models],
        "contexts": [_group(g, summary.keys_of(g)) for g in summary.largest],
        "budgets": [check_data(c) for c in summary.checks],
        "warnings": [
            {
                k: v
                for k, v in (("code", n.code), ("text", n.text), ("model", n.model), ("calls", n.calls))
                if v is not None
            }
            for n in summary.notices
        ],
    }


def totals_data(totals: Totals) -> dict[str, Any]:
    """Sums as data for JSON."""
    return {
        "calls": totals.calls,
        "live": totals.live,
        "replayed": totals.replayed,
        "mocked": totals.mocked,
        "failed": totals.failed,
        "unpriced": totals.unpriced,
        "partly_priced": totals.partly_priced,
        "estimated": totals.estimated,
        "unmeasured": totals.unmeasured,
        "late": totals.late,
        "retries": totals.retries,
        "live_unpriced": totals.live_unpriced,
        "live_partly_priced": totals.live_partly_priced,
        "live_estimated": totals.live_estimated,
        "tokens": totals.tokens._asdict(),
        "cost": totals.known_cost(),
        "cost_is_lower_bound": bool(totals.open),
        "spent": totals.known_cost(spent=True),
        "spent_is_lower_bound": bool(totals.live_open),
        "duration_s": round(totals.duration_s, 3),
    }


def model_data(line: ModelLine) -> dict[str, Any]:
    """A model's share as data for JSON; with `usages`, a later report can price the same tokens again."""
    kind = line.kind
    data: dict[str, Any] = {"model": kind.model, "priced": not line.totals.open, **totals_data(line.totals)}
    optional = {
        "request_model": kind.request_model,
        "response_model": kind.response_model,
        "provider": kind.provider,
        "host": kind.host,
        "api": kind.api,
        "service_tier": kind.tier,
        "processing": kind.processing,
        "price_source": line.source,
        "unpriced_reason": line.reason,
    }
    data.update({k: v for k, v in optional.items() if v is not None})
    if line.usages is not None:
        data["usages"] = [{"calls": n, **usage.to_dict()} for usage, n in line.usages]
    return data


def check_data(check: Check) -> dict[str, Any]:
    """A judged limit as data for JSON."""
    money = check.field in ("cost", "spent")
    data: dict[str, Any] = {
        "scope": check.scope,
        "field": check.field,
        "limit": check.limit if money else _plain(check.limit),
        "actual": check.known_actual if money else _plain(check.actual),
        "status": check.status,
        "text": check.text,
    }
    data.update({k: v for k, v in (("rule", check.rule), ("context", check.culprit)) if v is not None})
    return data


def vcs_data(vcs: Vcs | None) -> dict[str, Any] | None:
    """The commit as data for JSON."""
    if vcs is None:
        return None
    names = ("commit", "branch", "dirty", "merge_base", "ci", "run_url", "pr")
    return {name: getattr(vcs, name) for name in names}


def _plain(number: Decimal) -> int | Decimal:
    return int(number) if number == number.to_integral_value() else number


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "command": list(run.command),
        "exit_status": run.exit_status,
        "complete": run.complete,
        "began_s": run.began_s,
        "duration_s": None if run.duration_s is None else round(run.duration_s, 3),
        "processes": run.processes,
        "unclean_processes": run.unclean_processes,
        "running_processes": run.running_processes,
        "in_flight": run.in_flight,
        "in_flight_contexts": list(run.in_flight_contexts),
        "skipped_records": run.skipped_records,
        "lost_records": run.lost_records,
        "labels": dict(run.labels),
    }


def _group(group: Group, keys: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": group.id,
        **({"keys": keys} if len(keys) > 1 else {}),
        "type": group.type,
        "outcome": group.outcome,
        "attempts": group.attempts,
        "processes": group.processes,
        "file": group.file,
        "line": group.line,
        **totals_data(group.totals),
        "phases": dict(group.phases),
        "models": [model_data(m) for m in group.models],
    }
