"""Writes tool definitions as the text that the models see.

The provider converts the JSON schemas of parameters to a TypeScript-like text before the model reads them. The format
is not documented: it was derived from recorded requests with reported token counts, and is exact for 87 of 87 held-out
requests and 40 of 44 new ones (2026-11-27).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_DEEPEST = 60
_MOST_TYPES = 10_000
"""Types that are written for one request, since definitions that use each other could grow without end."""

_PLAIN = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}


class Function(NamedTuple):
    """A function that the model may call."""

    name: str
    description: str | None
    parameters: Mapping[str, Any]


class Custom(NamedTuple):
    """A tool that the model calls with free text, which a grammar may restrict."""

    name: str
    description: str | None
    grammar: str | None


def render_functions(functions: Iterable[Function]) -> str:
    """Write all *functions* as one namespace."""
    writer = _Writer()
    blocks = [
        f"{comment(f.description)}type {f.name} = ({writer.parameters(f.parameters)}) => any;\n\n" for f in functions
    ]
    return f"namespace functions {{\n\n{''.join(blocks)}}} // namespace functions"


def render_custom(tool: Custom) -> str:
    """Write the known part of a custom tool; the frame that the model sees around it is not known."""
    return f"{comment(tool.description)}type {tool.name}\n{tool.grammar or ''}"


def compact_json(value: Any) -> str:
    """Write JSON without spaces, as the models see it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def comment(text: Any) -> str:
    """Write a description: `//` before each line that is not blank."""
    return "".join(f"// {line}\n" for line in _lines(text))


def _lines(text: Any) -> list[str]:
    lines = text.splitlines() if isinstance(text, str) else ()
    return [line.strip() for line in lines if line.strip()]


def _heading(schema: Mapping[str, Any]) -> str:
    """Write the lines above a type: its title and description, with an empty comment between them."""
    title, described = schema.get("title"), comment(schema.get("description"))
    if not isinstance(title, str):
        return described
    return f"// {title}\n//\n{described}" if described else f"// {title}\n"


def _is_long(written: str) -> bool:
    return "\n" in written


class _Writer:
    """Writes the schemas of one namespace."""

    def __init__(self) -> None:
        self._root: Mapping[str, Any] = {}
        self._open: set[str] = set()
        self._left = _MOST_TYPES

    def parameters(self, schema: Mapping[str, Any]) -> str:
        self._root = schema
        return f"_: {_heading(schema)}{self._object(schema, 0)}" if _properties(schema) else ""

    def _object(self, schema: Mapping[str, Any], depth: int) -> str:
        """Write an object: on one line if no property has a comment or a long type."""
        required = schema.get("required")
        required = required if isinstance(required, list) else []
        fields = []
        for key, given in _properties(schema).items():
            prop = self._resolved(given)
            written = self._type(given, depth + 1)
            above, behind = _heading(prop), ""
            if "default" in prop:
                default = f"// default: {compact_json(prop['default'])}"
                above, behind = (f"{above}{default}\n", "") if _is_long(written) else (above, f" {default}")
            fields.append((above, f"{key}{'' if key in required else '?'}: {written}", behind))
        if not any(above or behind or _is_long(field) for above, field, behind in fields):
            return "{" + ", ".join(field for _, field, _ in fields) + "}"
        return "{\n" + "".join(f"{above}{field},{behind}\n" for above, field, behind in fields) + "}"

    def _type(self, schema: Any, depth: int) -> str:
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > _DEEPEST or self._left < 0:
            return "any"
        if "$ref" in schema:
            return self._referred(schema, depth)
        if (parts := _parts(schema)) is not None:
            return self._union(parts, depth)
        if isinstance(schema.get("enum"), list):
            return " | ".join(compact_json(value) for value in schema["enum"])
        if "const" in schema:
            return compact_json(schema["const"])
        kind = schema.get("type")
        if kind == "array":
            return self._array(schema.get("items"), depth)
        if kind == "object" or _properties(schema):
            return self._object(schema, depth) if _properties(schema) else "object"
        return _PLAIN.get(kind, "any") if isinstance(kind, str) else "any"

    def _union(self, parts: list[Any], depth: int) -> str:
        """Write alternatives on one line, or on one line each if one of them is long or has a comment."""
        written = [(self._inner(part, depth), self._behind(part)) for part in parts]
        if any(remark or _is_long(part) for part, remark in written):
            return "".join(f"\n | {part}{remark}" for part, remark in written) + "\n"
        return " | ".join(part for part, _ in written)

    def _array(self, items: Any, depth: int) -> str:
        item = self._inner(items, depth)
        if _is_long(item):
            inner = item.removeprefix("\n").removesuffix("\n")
            return f"Array<\n{inner}\n>"
        found = self._resolved(items)
        is_choice = _parts(found) is not None or isinstance(found.get("enum"), list)
        return f"Array<{item}>" if is_choice else f"{item}[]"

    def _inner(self, schema: Any, depth: int) -> str:
        """Write a type inside an array or a union; the heading of an object goes with it, on separate lines."""
        written = self._type(schema, depth + 1)
        found = self._resolved(schema)
        heading = _heading(found) if _properties(found) else ""
        return f"\n{heading}{written}" if heading else written

    def _behind(self, part: Any) -> str:
        """Write the comment after an alternative: its description and its format."""
        found = self._resolved(part)
        if _properties(found):
            return ""
        kind = found.get("format")
        remarks = [*_lines(found.get("description")), *([f"format: {kind}"] if isinstance(kind, str) else ())]
        return f" // {' '.join(remarks)}" if remarks else ""

    def _referred(self, schema: Mapping[str, Any], depth: int) -> str:
        """Write the target of a reference; inside itself, a recursive type is `any`."""
        ref = str(schema["$ref"])
        if ref in self._open:
            return "any"
        self._open.add(ref)
        written = self._type(self._resolved(schema), depth + 1)
        self._open.discard(ref)
        return written

    def _resolved(self, schema: Any) -> Mapping[str, Any]:
        """Follow `$ref: #/$defs/Name`; keys next to the reference override those of its target."""
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


def _parts(schema: Mapping[str, Any]) -> list[Any] | None:
    """Return the alternatives of a union; those of a list of types share all other keys."""
    for several in ("anyOf", "oneOf"):
        if isinstance(schema.get(several), list):
            return list(schema[several])
    kinds = schema.get("type")
    if not isinstance(kinds, list) or isinstance(schema.get("enum"), list) or "const" in schema:
        return None
    return [{**schema, "type": kind} for kind in kinds]


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}
