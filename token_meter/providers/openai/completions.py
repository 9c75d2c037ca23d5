"""Legacy completions: the text stands in the choice itself."""

from __future__ import annotations

from collections.abc import Iterator

from token_meter.estimate.rules import CountingRules
from token_meter.providers.api import Api
from token_meter.providers.usage import usage_of
from token_meter.wire.format import ContentPart, Format, outer_or_choice
from token_meter.wire.json_scan import Object
from token_meter.wire.safe_access import index_of, objects, text_of


def _pieces(event: Object) -> Iterator[ContentPart]:
    for position, choice in enumerate(objects(event.get("choices"))):
        if text := text_of(choice.get("text")):
            yield ContentPart("text", text, index_of(choice, position))


def _finish(event: Object) -> str | None:
    reasons = (text_of(choice.get("finish_reason")) for choice in objects(event.get("choices")))
    return next(filter(None, reasons), None)


def _rules() -> CountingRules:
    """Load the rules when a call is estimated: most calls are not."""
    from token_meter.providers.openai import counting

    return counting.COMPLETIONS


COMPLETIONS = Api(
    "completions",
    Format(usage=usage_of, locate_usage=outer_or_choice, stream_parts=_pieces, body_parts=_pieces, finish=_finish),
    paths=("completions",),
    rules=_rules,
    can_request_stream_usage=True,
)
