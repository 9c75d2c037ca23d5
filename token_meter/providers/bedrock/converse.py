"""Bedrock's conversations, whole and streamed: one format for the models of every vendor."""

from __future__ import annotations

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.asked import asked_lives
from token_meter.providers.bedrock.content import executed, finish, finished, growing
from token_meter.providers.bedrock.guardrails import GUARD_MARKS, asked_guard, guarded
from token_meter.providers.bedrock.usage import tier_of, usage_of
from token_meter.wire.format import Format, UsageLocation, located
from token_meter.wire.framing import aws_events, aws_marks
from token_meter.wire.json_scan import Object


def _locate_usage(event: Object) -> UsageLocation:
    """The usage of a whole answer, or of the last event. No answer names its model: the path does."""
    usage, tier, speed = event.get("usage"), event.get("serviceTier"), event.get("performanceConfig")
    holder: Object = {}
    if isinstance(tier, dict) or isinstance(speed, dict):
        kind = tier.get("type") if isinstance(tier, dict) else None
        holder["service_tier"] = tier_of(kind, speed.get("latency") if isinstance(speed, dict) else None)
    return located((usage if isinstance(usage, dict) else None, holder))


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.bedrock import counting

    return counting.CONVERSE


CONVERSE = Api(
    "converse",
    Format(
        usage=usage_of,
        locate_usage=_locate_usage,
        stream_parts=growing,
        body_parts=finished,
        finish=finish,
        terminal=frozenset({"metadata", "error"}),
        keys=("usage",),
        optional_keys=("serviceTier", "performanceConfig"),
        framing=aws_events,
        frame_marks=aws_marks("metadata"),
        fees=lambda events: {**executed(events), **guarded(events)},
        fee_marks=(b"server_tool_use", *GUARD_MARKS),
    ),
    paths=("model/{model}/converse", "model/{model}/converse-stream"),
    asked_fees=(asked_lives, asked_guard),
    is_chat=True,
    needs_sign=True,
    rules=_rules,
)
