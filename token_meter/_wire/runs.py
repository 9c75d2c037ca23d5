"""Runs of assistants: usage on the run once it is over; its steps repeat it and do not count."""

from __future__ import annotations

from token_meter._wire._flavour import Flavour, Place
from token_meter._wire._json import Object

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


def _place(event: Object) -> Place:
    if event.get("object") != "thread.run":
        return Place(None, {})
    usage = event.get("usage")
    return Place(usage if isinstance(usage, dict) else None, event)


RUNS = Flavour(
    "runs",
    paths=("threads/runs", "threads/{}/runs"),
    retrieves=(
        ("GET", "threads/{}/runs/{}"),
        ("POST", "threads/{}/runs/{}/cancel"),
        ("POST", "threads/{}/runs/{}/submit_tool_outputs"),
    ),
    place=_place,
    terminal=frozenset(f"thread.run.{status}" for status, kind in STATUSES.items() if kind != "pending"),
    statuses=STATUSES,
    keys=("usage", "model", "status", "object"),
)
