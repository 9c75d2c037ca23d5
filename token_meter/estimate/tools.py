"""How the models see tool definitions and structured output: as text. It counts nothing.

The provider turns JSON schemas into a TypeScript-like text before the model reads them. The shape was worked out from
requests whose token counts the API had reported; it is documented nowhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_DEEPEST = 24
_MOST_TYPES = 10_000
"""Types that one request may write; definitions that use each other grow without end otherwise."""

_PLAIN = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}


class Function(NamedTuple):
    """A function that the model may call."""

    name: str
    description: str | None
    parameters: Mapping[str, Any]


class ResponseFormat(NamedTuple):
    """A JSON schema that the answer has to follow."""

    name: str
    description: str | None
    schema: Mapping[str, Any]
    is_strict: bool


def render_functions(functions: Iterable[Function], *, is_newer: bool) -> str:
    """Write all *functions* as one namespace; newer models see the description of the parameters too."""
    writer = _Writer(is_newer)
    blocks = [
        f"{_comment(f.description)}type {f.name} = ({writer.parameters(f.parameters)}) => any;\n\n" for f in functions
    ]
    return f"namespace functions {{\n\n{''.join(blocks)}}} // namespace functions"


def render_format(wanted: ResponseFormat) -> str:
    """Write a structured output as the section that the models see; a strict schema loses what is implied anyway."""
    schema = _without_implied(wanted.schema, 0) if wanted.is_strict else wanted.schema
    return f"# Response Formats\n\n## {wanted.name}\n\n{_comment(wanted.description)}{compact_json(schema)}"


def compact_json(value: Any) -> str:
    """Write JSON without spaces, as the models see it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _comment(text: Any) -> str:
    lines = text.splitlines() if isinstance(text, str) else ()
    return "".join(f"// {line.strip()}\n" for line in lines if line.strip())


def _without_implied(schema: Any, depth: int) -> Any:
    if depth > _DEEPEST:
        return {}
    if isinstance(schema, list):
        return [_without_implied(part, depth + 1) for part in schema]
    if not isinstance(schema, dict):
        return schema
    is_schema = not isinstance(schema.get("required"), dict)  # a property may be *named* required
    return {
        key: _without_implied(part, depth + 1)
        for key, part in schema.items()
        if not (is_schema and key in {"additionalProperties", "required"})
    }


class _Writer:
    """Writes the schemas of one namespace."""

    def __init__(self, is_newer: bool) -> None:
        self._is_newer = is_newer
        self._root: Mapping[str, Any] = {}
        self._open: set[str] = set()
        self._left = _MOST_TYPES

    def parameters(self, schema: Mapping[str, Any]) -> str:
        self._root = schema
        if not _properties(schema):
            return ""
        title = schema.get("title")
        heading = f"// {title}\n" if isinstance(title, str) else ""
        if self._is_newer:
            heading += _comment(schema.get("description"))
        return f"_: {heading}{self._object(schema, 0)}"

    def _object(self, schema: Mapping[str, Any], depth: int) -> str:
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        fields = []
        has_comment = False
        for key, given in _properties(schema).items():
            prop = self._resolved(given)
            above, behind = self._comments(prop)
            has_comment = has_comment or bool(above or behind)
            fields.append((above, f"{key}{'' if key in required else '?'}: {self._type(given, depth + 1)}", behind))
        if not has_comment:
            return "{" + ", ".join(field for _, field, _ in fields) + "}"
        return "{\n" + "".join(f"{above}{field},{behind}\n" for above, field, behind in fields) + "}"

    def _comments(self, prop: Mapping[str, Any]) -> tuple[str, str]:
        title = prop.get("title")
        above = _comment(prop.get("description"))
        if isinstance(title, str):
            above = f"// {title}\n//\n{above}" if above else f"// {title}\n"
        behind = f" // default: {compact_json(prop['default'])}" if "default" in prop else ""
        return above, behind

    def _type(self, schema: Any, depth: int) -> str:
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._left < 0:
            return "any"
        if "$ref" in schema:
            return self._referred(schema, depth)
        for several in ("anyOf", "oneOf"):
            if isinstance(schema.get(several), list):
                return " | ".join(self._type(part, depth + 1) for part in schema[several])
        if isinstance(schema.get("enum"), list):
            return " | ".join(compact_json(value) for value in schema["enum"])
        if "const" in schema:
            return compact_json(schema["const"])
        kind = schema.get("type")
        if isinstance(kind, list):
            return " | ".join(self._type({**schema, "type": one}, depth + 1) for one in kind)
        if kind == "array":
            return f"{self._type(schema.get('items'), depth + 1)}[]"
        if kind == "object" or _properties(schema):
            return self._object(schema, depth) if _properties(schema) else "object"
        return _PLAIN.get(kind, "any") if isinstance(kind, str) else "any"

    def _referred(self, schema: Mapping[str, Any], depth: int) -> str:
        """Write what is referred to; what holds itself is `any` inside itself."""
        ref = str(schema["$ref"])
        if ref in self._open:
            return "any"
        self._open.add(ref)
        written = self._type(self._resolved(schema), depth + 1)
        self._open.discard(ref)
        return written

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """Follow `$ref: #/$defs/Name`; what stands beside the reference wins over what is behind it."""
        for _ in range(_DEEPEST):
            if not isinstance(schema, Mapping):
                break
            if "$ref" not in schema:
                return schema
            found: Any = self._root
            for step in str(schema["$ref"]).removeprefix("#/").split("/"):
                found = found.get(step) if isinstance(found, Mapping) else None
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**found, **beside} if isinstance(found, Mapping) else beside
        return {}


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}
