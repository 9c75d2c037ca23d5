"""Google's `generateContent`, whole and streamed: as server-sent events, or as one array that grows."""

from __future__ import annotations

from functools import partial

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.asked import asked_sound
from token_meter.providers.google.content import finish, parts
from token_meter.providers.google.grounding import MARKS, for_enterprises, grounding
from token_meter.providers.google.usage import is_report, tier_of, usage_of
from token_meter.wire.format import Format, UsageLocation, located
from token_meter.wire.framing import json_array
from token_meter.wire.json_scan import Object
from token_meter.wire.usage_merge import latest

_OWNERS = ("models", "tunedModels", "endpoints")
"""What a model's name stands behind in a path; a tuned model of Vertex is an endpoint."""


def paths(*methods: str) -> tuple[str, ...]:
    """The paths of some methods of a model."""
    return tuple(f"{owner}/{{model}}:{method}" for owner in _OWNERS for method in methods)


def locate_usage(event: Object) -> UsageLocation:
    """The usage of an event or a whole answer, and what it says about itself."""
    usage = event.get("usageMetadata")
    holder = {"model": event.get("modelVersion"), "id": event.get("responseId")}
    if isinstance(usage, dict):
        holder["service_tier"] = tier_of(usage)
    return located((usage if is_report(usage) else None, holder))


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.google import counting

    return counting.GENERATE_CONTENT


GENERATE_CONTENT = Api(
    "generate_content",
    Format(
        usage=usage_of,
        locate_usage=locate_usage,
        stream_parts=parts,
        body_parts=parts,
        finish=finish,
        finish_is_end=True,
        merge=latest,
        keys=("usageMetadata", "modelVersion"),
        optional_keys=("responseId", "error"),
        usage_key=b'"usageMetadata"',
        framing=json_array,
        has_running_output=True,
        fees=grounding,
        fee_marks=MARKS,
    ),
    paths=paths("generateContent", "streamGenerateContent"),
    asked_fees=(partial(asked_sound, mark=b'"audio/'), for_enterprises),
    is_chat=True,
    rules=_rules,
)
