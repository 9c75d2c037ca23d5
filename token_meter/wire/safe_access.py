"""Careful looks into foreign objects: what is not of the expected shape is not there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from token_meter.wire.json_scan import Object


def objects(value: Any) -> Iterator[Object]:
    """The objects of a list; of anything else, none."""
    if isinstance(value, list):
        for item in value:
            if isinstance(item, dict):
                yield item


def text_of(value: Any) -> str:
    """A text, also one that comes in parts; else empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(part["text"] for part in objects(value) if isinstance(part.get("text"), str))
    return ""


def index_of(item: Object, position: int) -> int:
    """The index that *item* gives itself, else its position."""
    index = item.get("index")
    return index if type(index) is int and 0 <= index < 10_000 else position
