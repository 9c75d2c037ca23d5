"""Responses: the answer is the body itself, or stands under `response` in a stream's events."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter._wire._beside import with_tools
from token_meter._wire._flavour import Flavour, Piece, Place
from token_meter._wire._items import finished, growing
from token_meter._wire._json import Object
from token_meter._wire._shapes import text_of

STATUSES = {
    "completed": "complete",
    "incomplete": "incomplete",
    "cancelled": "incomplete",
    "failed": "failed",
    "queued": "pending",
    "in_progress": "pending",
}


def _place(event: Object) -> Place:
    inner = event.get("response")
    # A body is the response itself and has no `type`; an event without a response says nothing of it.
    holder = inner if isinstance(inner, dict) else {} if "type" in event else event
    usage = holder.get("usage")
    return Place(usage if isinstance(usage, dict) else None, holder)


def _answer(event: Object) -> Iterator[Piece]:
    return finished(_place(event).holder)


def _finish(event: Object) -> str | None:
    holder = _place(event).holder
    why, status = holder.get("incomplete_details"), text_of(holder.get("status"))
    reason = text_of(why.get("reason")) if isinstance(why, dict) else ""
    return reason or (status if STATUSES.get(status, "pending") != "pending" else None)


RESPONSES = Flavour(
    "responses",
    paths=("responses",),
    retrieves=(("GET", "responses/{}"), ("POST", "responses/{}/cancel")),
    sockets=("responses",),
    place=_place,
    complete=with_tools,
    pieces=growing,
    answer=_answer,
    finish=_finish,
    terminal=frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"}),
    statuses=STATUSES,
    keys=("usage", "model", "service_tier", "status", "tool_usage"),
    deep_key=b'"svg_usage"',
)
