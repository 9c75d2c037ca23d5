"""Cohere's embeddings of texts and images."""

from __future__ import annotations

from typing import Any

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.cohere.usage import embedded, is_report
from token_meter.wire.format import Format, UsageLocation
from token_meter.wire.json_scan import Object


def _locate_usage(answer: Object) -> UsageLocation:
    meta: Any = answer.get("meta")
    return UsageLocation(meta if is_report(meta) else None, {"id": answer.get("id")})


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.cohere import counting

    return counting.EMBED


EMBED = Api(
    "cohere_embed",
    Format(usage=embedded, locate_usage=_locate_usage, keys=("meta",), usage_key=b'"billed_units"'),
    paths=("v1/embed", "v2/embed"),
    needs_sign=True,
    rules=_rules,
)
