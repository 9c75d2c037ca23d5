"""Structured answers: the smallest instance of a JSON schema, and the choice of a tool."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from token_meter.simulator.sse import dump

_DEEPEST = 12
_COMMON = {"get", "set", "the", "and", "for", "make", "run"}
_FORMATS = {"date": "2026-11-21", "date-time": "2026-11-21T12:00:00Z", "time": "12:00:00Z", "email": "a@example.com"}


class ToolCall(NamedTuple):
    """One call of a tool that the model asks for; *arguments* is JSON text."""

    id: str
    name: str
    arguments: str


def instance(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """The smallest value that *schema* allows; properties that are not required are left out."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    root = schema if root is None else root
    if "$ref" in schema:
        return instance(_resolve(str(schema["$ref"]), root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return instance(schema[word][0], root, depth + 1)
    if schema.get("allOf"):
        parts = [instance(part, root, depth + 1) for part in schema["allOf"]]
        return {k: v for part in parts if isinstance(part, dict) for k, v in part.items()} or parts[0]
    return _of_type(schema, root, depth)


def _of_type(schema: dict[str, Any], root: Any, depth: int) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        properties = schema.get("properties") or {}
        needed = schema.get("required", ())
        return {name: instance(part, root, depth + 1) for name, part in properties.items() if name in needed}
    if kind == "array":
        size = max(int(schema.get("minItems", 1)), 0)
        return [instance(schema.get("items", {}), root, depth + 1) for _ in range(size)]
    if kind in ("integer", "number"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return min(least, schema.get("maximum", least))
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    text = _FORMATS.get(str(schema.get("format")), "text")
    return text.ljust(int(schema.get("minLength", 0)), "t")


def _resolve(ref: str, root: Any) -> Any:
    found = root
    for part in ref.removeprefix("#").strip("/").split("/"):
        if part:
            found = found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
    return found


def choose_tool(tools: Any, choice: Any, said: str, number: int) -> ToolCall | None:
    """The tool to call: the one in *choice*, else the first whose name shares a word with *said*.

    *tools* may be in the form of Chat Completions or of Responses.
    """
    functions = [tool.get("function", tool) for tool in tools or () if tool.get("type") == "function"]
    if not functions or choice == "none":
        return None
    named = _named(choice)
    words = set(re.findall(r"\w+", said.lower())) - _COMMON
    for function in functions:
        name = str(function.get("name", ""))
        if name == named if named else not words.isdisjoint(_words_of(name)):
            return _call(function, number)
    return _call(functions[0], number) if choice == "required" else None


def _words_of(name: str) -> list[str]:
    """The words in `get_weather`, `get-weather` and `GetWeather`, and the name itself."""
    return [name.lower(), *re.findall(r"[a-z]{3,}", re.sub(r"([A-Z])", r" \1", name).lower())]


def _named(choice: Any) -> str | None:
    if not isinstance(choice, dict):
        return None
    name = choice.get("name") or (choice.get("function") or {}).get("name")
    return str(name) if name else None


def _call(function: dict[str, Any], number: int) -> ToolCall:
    arguments = instance(function.get("parameters") or {"type": "object"})
    return ToolCall(f"call_{number:016x}", str(function.get("name", "")), dump(arguments))
