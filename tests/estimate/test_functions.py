"""Tool definitions written by hand, with the TypeScript that the models see of them.

Rules and their evidence: recorded requests with reported usage, 87 of 87 that were kept back (2026-11-27).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.estimate.by_name import prompt_tokens
from tests.estimate.truth import HI, SYSTEM, Case, Count, estimate_of, flat, namespace, o200k, said, tool

STRING, NULL = {"type": "string"}, {"type": "null"}
ADDRESS = {"type": "object", "title": "Address", "properties": {"zip": STRING}, "required": ["zip"]}
ADDRESS_SEEN = "// Address\n{zip: string}"
POINT = {"type": "object", "properties": {"x": {"type": "number", "description": "East"}}, "required": ["x"]}
POINT_SEEN = "{\n// East\nx: number,\n}"


def _parameters(given: dict[str, Any], **properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": properties, "required": list(properties), **given}
    return {"type": "function", "function": {"name": "f", "parameters": schema}}


def _with(*tools: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": HI, "tools": list(tools), **more}


def _seen(n: Count, *functions: str) -> int:
    """The user's message, and the namespace with its nine tokens."""
    return 3 + said(n) + 9 + n(namespace(*functions))


def _f(parameters: str) -> str:
    return f"type f = (_: {parameters}) => any;"


def _of(x: Any, **given: Any) -> tuple[str, str, dict[str, Any]]:
    return "chat", "gpt-4o", _with(_parameters(given, x=x))


CASES = [
    # Headings: a title, a description, both with an empty comment between them; the parameters have one too.
    Case("parameters with a description", "chat", "gpt-4o", _with(_parameters({"description": "All of it."}, a=STRING)),
         43, lambda n: _seen(n, _f("// All of it.\n{a: string}"))),
    Case("parameters with title and description", "chat", "gpt-4-turbo",
         _with(_parameters({"title": "Args", "description": "All of it.\nReally."}, a=STRING)),
         50, lambda n: _seen(n, _f("// Args\n//\n// All of it.\n// Really.\n{a: string}"))),
    Case("parameters with a description, newer", "chat", "gpt-5",
         _with(_parameters({"title": "Args", "description": "All of it."}, a=STRING)),
         126, lambda n: 2 + said(n) + 90 + n(namespace(_f("// Args\n//\n// All of it.\n{a: string}")))),
    Case("a property with a title", *_of({**STRING, "title": "X"}), 41,
         lambda n: _seen(n, _f("{\n// X\nx: string,\n}"))),
    Case("a property with title and description", *_of({**STRING, "title": "X", "description": "Why"}), 44,
         lambda n: _seen(n, _f("{\n// X\n//\n// Why\nx: string,\n}"))),
    # Defaults: behind a type of one line, above a longer one.
    Case("a default behind", *_of({**STRING, "default": "a"}), 45,
         lambda n: _seen(n, _f('{\nx: string, // default: "a"\n}'))),
    Case("a default above a long type", *_of({"type": ["string", "null"], "description": "Why", "default": None}), 56,
         lambda n: _seen(n, _f("{\n// Why\n// default: null\nx: \n | string // Why\n | null // Why\n,\n}"))),
    Case("a default above an object", *_of({**POINT, "default": {"x": 1}}), 52,
         lambda n: _seen(n, _f('{\n// default: {"x":1}\nx: ' + POINT_SEEN + ",\n}"))),
    # Unions: on one line, unless a part is long or has a comment.
    Case("a union on one line", *_of({"anyOf": [STRING, {"type": "integer"}, NULL]}), 42,
         lambda n: _seen(n, _f("{x: string | number | null}"))),
    Case("oneOf with a choice of words", *_of({"oneOf": [{"enum": ["a", "b"]}, {"type": "boolean"}]}), 46,
         lambda n: _seen(n, _f('{x: "a" | "b" | boolean}'))),
    Case("a union with a format", *_of({"anyOf": [{**STRING, "format": "date"}, NULL]}), 49,
         lambda n: _seen(n, _f("{\nx: \n | string // format: date\n | null\n,\n}"))),
    Case("a union with a description", *_of({"oneOf": [{"type": "integer", "description": "A day"}, STRING]}), 48,
         lambda n: _seen(n, _f("{\nx: \n | number // A day\n | string\n,\n}"))),
    Case("a list of types", *_of({"type": ["integer", "null"]}), 40, lambda n: _seen(n, _f("{x: number | null}"))),
    Case("a list of types repeats the description", *_of({"type": ["integer", "null"], "description": "A day"}), 54,
         lambda n: _seen(n, _f("{\n// A day\nx: \n | number // A day\n | null // A day\n,\n}"))),
    Case("a union with an object that has a title", *_of({"anyOf": [ADDRESS, NULL]}), 52,
         lambda n: _seen(n, _f("{\nx: \n | \n" + ADDRESS_SEEN + "\n | null\n,\n}"))),
    Case("a union with a long object", *_of({"anyOf": [POINT, NULL]}), 51,
         lambda n: _seen(n, _f("{\nx: \n | " + POINT_SEEN + "\n | null\n,\n}"))),
    # Arrays.
    Case("a list of a plain type", *_of({"type": "array", "items": {"type": "integer"}}), 39,
         lambda n: _seen(n, _f("{x: number[]}"))),
    Case("a list of short objects", *_of({"type": "array", "items": {**POINT, "properties": {"x": STRING}}}), 43,
         lambda n: _seen(n, _f("{x: {x: string}[]}"))),
    Case("a list of words", *_of({"type": "array", "items": {**STRING, "enum": ["a", "b"]}}), 46,
         lambda n: _seen(n, _f('{x: Array<"a" | "b">}'))),
    Case("a list of a union", *_of({"type": "array", "items": {"anyOf": [STRING, {"type": "number"}]}}), 42,
         lambda n: _seen(n, _f("{x: Array<string | number>}"))),
    Case("a list of long objects", *_of({"type": "array", "items": POINT}), 48,
         lambda n: _seen(n, _f("{\nx: Array<\n" + POINT_SEEN + "\n>,\n}"))),
    Case("a list of objects with a heading", *_of({"type": "array", "items": {**ADDRESS, "description": "Where"}}), 51,
         lambda n: _seen(n, _f("{\nx: Array<\n// Address\n//\n// Where\n{zip: string}\n>,\n}"))),
    Case("a list of references, perhaps none", *_of(
            {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Address"}}, NULL]}, **{"$defs": {"Address": ADDRESS}}),
         54, lambda n: _seen(n, _f("{\nx: \n | Array<\n" + ADDRESS_SEEN + "\n>\n | null\n,\n}"))),
    # Objects: on one line if nothing in them has a comment or is long.
    Case("objects in objects", *_of({"type": "object", "properties": {"y": ADDRESS | {"title": None}}}), 45,
         lambda n: _seen(n, _f("{x: {y?: {zip: string}}}"))),
    Case("an object around a long one", *_of({"type": "object", "properties": {"y": POINT}}), 49,
         lambda n: _seen(n, _f("{\nx: {\ny?: " + POINT_SEEN + ",\n},\n}"))),
    # What stands around the namespace.
    Case("o-series, one token more", "chat", "o3-mini", _with(tool("f", None, a=STRING)), 38,
         lambda n: 2 + said(n) + 10 + n(namespace(_f("{a: string}")))),
    Case("o-series, described", "chat", "o1", _with(tool("f", "Does it.", a=STRING)), 41,
         lambda n: 2 + said(n) + 10 + n(namespace("// Does it.\n" + _f("{a: string}")))),
    Case("a system message that ends in a word", "chat", "gpt-4o",
         {"messages": [{"role": "system", "content": "Use tools"}, *HI], "tools": [tool("f", None, a=STRING)]}, 41,
         lambda n: 3 + said(n) + said(n, "system", "Use tools\n\n") + 5 + n(namespace(_f("{a: string}")))),
    Case("a system message that ends in a dot", "chat", "gpt-4", {"messages": [SYSTEM, *HI], "tools": [tool("f")]}, 35,
         lambda n: 3 + said(n) + said(n, "system", "Be brief.\n\n") + 5 + n(namespace("type f = () => any;"))),
    # A choice by name addresses the function; the dot and the start of its name may be one token.
    Case("choosing by name", "chat", "gpt-4o",
         _with(tool("calculator"), tool_choice={"type": "function", "function": {"name": "calculator"}}), 41,
         lambda n: _seen(n, "type calculator = () => any;") + n(" to=functions.calculator") + 4),
    Case("choosing by a longer name", "chat", "gpt-4",
         _with(tool("get_weather"), tool_choice={"type": "function", "function": {"name": "get_weather"}}), 42,
         lambda n: _seen(n, "type get_weather = () => any;") + n(" to=functions.get_weather") + 4),
    Case("choosing by name, the old way", "chat", "gpt-3.5-turbo",
         {"messages": HI, "functions": [tool("search")["function"]], "function_call": {"name": "search"}}, 37,
         lambda n: _seen(n, "type search = () => any;") + n(" to=functions.search") + 1),
    Case("choosing by name in Responses", "responses", "gpt-4o",
         {"input": HI, "tools": [flat(tool("joker"))], "tool_choice": {"type": "function", "name": "joker"}}, 35,
         lambda n: 3 + said(n) + 3 + n(namespace("type joker = () => any;")) + n(" to=functions.joker") + 4),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_tool_definition_counts(case: Case) -> None:
    """The rules give what was worked out by hand."""
    estimate = estimate_of(case)

    assert (estimate.certainty, estimate.approximate) == ("estimated", ())
    assert estimate.kind == "tool definitions"


def test_objects_in_lists_in_objects_are_written_to_any_real_depth() -> None:
    """The API takes ten levels."""
    schema: dict[str, Any] = STRING
    seen = "string"
    for _ in range(10):
        schema = {"type": "object", "properties": {"a": {"type": "array", "items": schema}}}
        seen = "{a?: " + seen + "[]}"

    estimate_of(Case("", *_of(schema), 79, lambda n: _seen(n, _f("{x: " + seen + "}"))))


GRAMMAR = "start: WORD\n%import common.WORD\n"
CUSTOM = {"name": "shout", "description": "Says it loud."}
SHAPES = [
    ("chat", {"messages": HI, "tools": [{"type": "custom", "custom": {
        **CUSTOM, "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": GRAMMAR}}}}]}),
    ("responses", {"input": HI, "tools": [
        {"type": "custom", **CUSTOM, "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR}}]}),
]  # fmt: skip


@pytest.mark.parametrize(("api", "body"), SHAPES, ids=[api for api, _ in SHAPES])
def test_a_custom_tool_counts_its_visible_text(api: str, body: dict[str, Any]) -> None:
    """Its frame is not known, so the count is a lower bound, and says so; hosted tools are another matter."""
    with_it = prompt_tokens(api, body, "gpt-5")
    without = prompt_tokens(api, {**body, "tools": []}, "gpt-5")

    assert with_it.usage is not None
    assert without.usage is not None
    more = (with_it.usage.prompt_tokens or 0) - (without.usage.prompt_tokens or 0)
    assert more >= o200k("shout") + o200k("Says it loud.") + o200k(GRAMMAR)
    assert (with_it.certainty, with_it.uncounted) == ("lower_bound", ("custom tools",))
