"""Images, generated and edited: tokens by kind, and SVG authoring beside them."""

from __future__ import annotations

from token_meter._wire._beside import with_tools
from token_meter._wire._flavour import Flavour
from token_meter._wire._json import Object
from token_meter._wire._numbers import Border
from token_meter._wire._usage import usage_of
from token_meter.types import Usage


def _usage(raw: Object, border: Border) -> Usage:
    usage = usage_of(raw, border)
    outs = raw.get("output_tokens_details")
    if isinstance(outs, dict):
        return usage._replace(output_text_tokens=border.count(outs.get("text_tokens")))
    # Without details everything that was made is image: stream events never have them.
    return usage._replace(output_image_tokens=usage.completion_tokens)


IMAGES = Flavour(
    "images",
    paths=("images/generations", "images/edits", "images/variations"),
    usage=_usage,
    complete=with_tools,
    terminal=frozenset({"image_generation.completed", "image_edit.completed"}),
    keys=("usage", "svg_usage"),
)
