"""Images, generated and edited: tokens by kind, and separate tokens for the authoring of SVG."""

from __future__ import annotations

from token_meter.providers.api import Api
from token_meter.providers.asked import asked_images
from token_meter.providers.openai.tool_usage import with_tools
from token_meter.providers.usage import usage_of
from token_meter.types import Usage
from token_meter.wire.format import Format
from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader


def _usage(raw: Object, numbers: NumberReader) -> Usage:
    usage = usage_of(raw, numbers)
    outs = raw.get("output_tokens_details")
    if isinstance(outs, dict):
        return usage._replace(output_text_tokens=numbers.count(outs.get("text_tokens")))
    # Stream events have no details; then all output tokens are image tokens.
    return usage._replace(output_image_tokens=usage.completion_tokens)


IMAGES = Api(
    "images",
    Format(
        usage=_usage,
        complete=with_tools,
        terminal=frozenset({"image_generation.completed", "image_edit.completed"}),
        keys=("usage", "svg_usage"),
    ),
    asked_fees=(asked_images,),
    paths=("images/generations", "images/edits", "images/variations"),
)
