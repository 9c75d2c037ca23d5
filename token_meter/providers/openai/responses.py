"""Responses: the answer is the body itself, or in a stream the field `response` of some events."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.asked import asked_lives, asked_sound
from token_meter.providers.openai.response_items import finished, growing
from token_meter.providers.openai.tool_usage import MARK, left_tools, with_tools
from token_meter.providers.sockets import SocketDialect, SocketPlace
from token_meter.providers.usage import usage_of
from token_meter.wire.format import ContentPart, Format, UsageLocation
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import text_of

STATUSES = {
    "completed": "complete",
    "incomplete": "incomplete",
    "cancelled": "incomplete",
    "failed": "failed",
    "queued": "pending",
    "in_progress": "pending",
}


def _locate_usage(event: Object) -> UsageLocation:
    inner = event.get("response")
    # A body is the response itself and has no `type`. An event without `response` has no usage.
    holder = inner if isinstance(inner, dict) else {} if "type" in event else event
    usage = holder.get("usage")
    return UsageLocation(usage if isinstance(usage, dict) else None, holder)


def _answer(event: Object) -> Iterator[ContentPart]:
    return finished(_locate_usage(event).holder)


def _finish(event: Object) -> str | None:
    holder = _locate_usage(event).holder
    why, status = holder.get("incomplete_details"), text_of(holder.get("status"))
    reason = text_of(why.get("reason")) if isinstance(why, dict) else ""
    return reason or (status if STATUSES.get(status, "pending") != "pending" else None)


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.openai import counting

    return counting.RESPONSES


def open_socket(place: SocketPlace) -> SocketDialect:
    """Loaded with the first connection: most programs open none."""
    from token_meter.providers.openai.realtime.dialect import Dialect

    return Dialect(place)


RESPONSES = Api(
    "responses",
    Format(
        usage=usage_of,
        locate_usage=_locate_usage,
        complete=with_tools,
        stream_parts=growing,
        body_parts=_answer,
        finish=_finish,
        terminal=frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"}),
        statuses=STATUSES,
        keys=("usage", "model", "service_tier", "status", "tool_usage"),
        deep_keys=(b'"svg_usage"', MARK),
        fees=left_tools,
        fee_marks=(b'"response.output_item.done"',),
    ),
    paths=("responses",),
    rules=_rules,
    retrieves=(("GET", "responses/{}"), ("POST", "responses/{}/cancel")),
    sockets=("responses",),
    socket=open_socket,
    asked_fees=(asked_lives, asked_sound),
    is_chat=True,
    may_run_in_background=True,
)
