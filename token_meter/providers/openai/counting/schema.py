"""Writes the schema of a structured output as the models see it: a section of text that ends in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from token_meter.providers.openai.counting.functions import comment

_DEEPEST = 60
"""Levels of JSON that are written. The API accepts ten nested objects, which are about twenty levels."""

_MEASURED = ("additionalProperties", "required", "default", "format", "minimum", "maximum", "minLength", "maxItems")
_INFERRED = ("maxLength", "minItems", "pattern", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems")
_DROPPED = frozenset(_MEASURED + _INFERRED)
"""Keywords that no model sees. Measured: requests with them are billed as without them. Inferred: not in any recording,
but of the same kinds."""

_OF_NAMES = frozenset(("properties", "$defs", "definitions"))
_OF_VALUES = frozenset(("enum", "const", "examples"))


class ResponseFormat(NamedTuple):
    """A JSON schema that the answer has to follow."""

    name: str
    description: str | None
    schema: Mapping[str, Any]


def render_format(wanted: ResponseFormat) -> str:
    """Write a structured output as the section that the models see.

    The JSON is ASCII without spaces, and lacks the keywords that only the server checks, whether strict or not.
    Source: 104 of 104 held-out requests, and 53 of 53 new ones (2026-11-27).
    """
    schema = json.dumps(_seen(wanted.schema, 0), separators=(",", ":"))
    return f"# Response Formats\n\n## {wanted.name}\n\n{comment(wanted.description)}{schema}"


def _seen(schema: Any, depth: int) -> Any:
    """Remove the keywords that models do not see, but not properties and values that look like one."""
    if depth > _DEEPEST:
        return {}
    if isinstance(schema, list):
        return [_seen(part, depth + 1) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    seen: dict[str, Any] = {}
    for key, part in schema.items():
        if key in _DROPPED:
            continue
        if key in _OF_VALUES:
            seen[key] = part
        elif key in _OF_NAMES and isinstance(part, Mapping):
            seen[key] = {name: _seen(inner, depth + 2) for name, inner in part.items()}
        else:
            seen[key] = _seen(part, depth + 1)
    return seen
