"""Anthropic's first api, `/v1/complete`: a prompt of `Human:` and `Assistant:`, and an answer without usage."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.wire.format import ContentPart, Format
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import text_of


def _parts(event: Object) -> Iterator[ContentPart]:
    if text := text_of(event.get("completion")):
        yield ContentPart("text", text)


def _finish(event: Object) -> str | None:
    return text_of(event.get("stop_reason")) or None


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.anthropic import counting

    return counting.COMPLETE


COMPLETE = Api(
    "complete",
    Format(stream_parts=_parts, body_parts=_parts, finish=_finish),
    paths=("v1/complete",),
    needs_sign=True,
    rules=_rules,
)
