"""Anthropic's messages: the input in the first event of a stream, the output in the last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from token_meter.estimate.rules import CountingRules
from token_meter.providers.anthropic.content import finish, finished, growing
from token_meter.providers.anthropic.usage import as_it_grows, usage_of
from token_meter.providers.api import Api
from token_meter.providers.asked import asked_lives, free_code
from token_meter.wire.format import Format, UsageLocation, located
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import objects, text_of


def _locate_usage(event: Object) -> UsageLocation:
    inner = event.get("message")
    holder = inner if isinstance(inner, dict) else event
    usage = holder.get("usage")
    if not isinstance(usage, dict):
        return UsageLocation(None, holder)
    terms = _terms(usage) if "inference_geo" in usage or "speed" in usage else None
    if event.get("type") != "message":  # a whole one has grown
        usage = as_it_grows(event, usage)
    return located((usage, holder if terms is None else {**holder, "service_tier": terms}))


def _terms(usage: Object) -> str | None:
    """The tier with what else the price depends on, `fast@us`; `None` where the tier says all.

    Source: `speed` and `inference_geo` of the SDK's types (anthropic 2.14); recorded answers have `not_available` too.
    """
    geo, tier = usage.get("inference_geo"), usage.get("service_tier")
    speed = usage.get("speed")
    if isinstance(speed, str) and speed != "standard":
        tier = speed[:32]
    if isinstance(geo, str) and geo not in ("", "global", "not_available"):
        return f"{tier if isinstance(tier, str) else 'standard'}@{geo[:32]}"
    return tier if isinstance(tier, str) and tier == speed else None


_WITHOUT_FEE = ("web_fetch", "tool_search", "advisor")
"""Tools that cost their tokens alone, or those of another model, which the usage states (the SDK's types, 2.14)."""


def executed(events: Sequence[Object]) -> dict[str, Any]:
    """Tools that the provider ran, as its blocks show them; where the usage counts the searches, that count holds.

    Code is billed by the hour of its container beyond a free allowance, which nothing shows.
    """
    found: dict[str, Any] = {}
    for event in events:
        holder = _locate_usage(event).holder
        for block in (event.get("content_block"), *objects(holder.get("content"))):
            if isinstance(block, dict) and block.get("type") == "server_tool_use":
                name = text_of(block.get("name")) or "server tool"
                name = "code_execution" if name.endswith("code_execution") else name
                if not name.startswith(_WITHOUT_FEE):
                    found[name] = found.get(name, 0) + 1
    return found


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.anthropic import counting

    return counting.MESSAGES


MESSAGES = Api(
    "messages",
    Format(
        usage=usage_of,
        locate_usage=_locate_usage,
        stream_parts=growing,
        body_parts=finished,
        finish=finish,
        # An error ends the stream too: anthropic 0.49 then leaves the response open until it is collected.
        terminal=frozenset({"message_stop", "error"}),
        has_running_output=True,
        fees=executed,
        fee_marks=(b"code_execution", b'"srvtoolu'),
    ),
    rules=_rules,
    paths=("v1/messages",),
    asked_fees=(asked_lives, free_code),
    is_chat=True,
    needs_sign=True,
)
MESSAGES_AT_VERTEX = MESSAGES._replace(
    paths=tuple(f"publishers/anthropic/models/{{model}}:{method}" for method in ("rawPredict", "streamRawPredict")),
    needs_sign=False,
)
"""Vertex serves the same format, with the model in a path that is nobody else's. A token count there is free."""
