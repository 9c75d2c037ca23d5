"""Runs of assistants: a finished run reports its usage. Its steps repeat parts of it and are not counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import objects

STATUSES = {
    "completed": "complete",
    "incomplete": "incomplete",
    "cancelled": "incomplete",
    "expired": "failed",
    "failed": "failed",
    "queued": "pending",
    "in_progress": "pending",
    "requires_action": "pending",
    "cancelling": "pending",
}


def _locate_usage(event: Object) -> UsageLocation:
    if event.get("object") != "thread.run":
        return UsageLocation(None, {})
    usage = event.get("usage")
    return UsageLocation(usage if isinstance(usage, dict) else None, event)


def _offered(events: Sequence[Object]) -> dict[str, Any]:
    """Code may have run, in a session that is billed: a run names its tools, and its steps only say which it used."""
    kinds = {tool.get("type") for event in events for tool in objects(event.get("tools"))}
    return {"code_interpreter": None} if "code_interpreter" in kinds else {}


RUNS = Api(
    "runs",
    Format(
        usage=usage_of,
        locate_usage=_locate_usage,
        terminal=frozenset(f"thread.run.{status}" for status, kind in STATUSES.items() if kind != "pending"),
        statuses=STATUSES,
        keys=("usage", "model", "status", "object"),
        fees=_offered,
        fee_marks=(b'"code_interpreter"',),
    ),
    paths=("threads/runs", "threads/{}/runs"),
    retrieves=(
        ("GET", "threads/{}/runs/{}"),
        ("POST", "threads/{}/runs/{}/cancel"),
        ("POST", "threads/{}/runs/{}/submit_tool_outputs"),
    ),
    runs_in_background=True,
)
