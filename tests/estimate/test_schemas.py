"""Structured outputs written by hand: the section that the models see, its name again, and the blank line before it.

Rules and their evidence: recorded requests with reported usage, 114 of 114 that were kept back (2026-11-27).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.estimate.truth import HI, SYSTEM, Case, Count, estimate_of, flat, namespace, said, tool

X = {"type": "object", "properties": {"x": {"type": "string"}}}
X_SEEN = '{"type":"object","properties":{"x":{"type":"string"}}}'
ADD = tool("add", None, a={"type": "integer"})
ADD_SEEN = namespace("type add = (_: {a: number}) => any;")
ANSWER = {"role": "assistant", "content": '{"x":"yes"}'}


def _format(schema: dict[str, Any], name: str = "Person", **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, **more}}


def _text(schema: dict[str, Any], name: str = "Person", **more: Any) -> dict[str, Any]:
    return {"format": {"type": "json_schema", "name": name, "schema": schema, **more}}


def _section(seen: str, name: str = "Person") -> str:
    return f"# Response Formats\n\n## {name}\n\n{seen}"


def _alone(n: Count, seen: str, name: str = "Person") -> int:
    """The user's message, a system message made for the section, and the name again at the start of the answer."""
    return 3 + said(n) + 4 + n(_section(seen, name)) + n(name) + 2


def _of(schema: dict[str, Any], model: str = "gpt-4o") -> tuple[str, str, dict[str, Any]]:
    return "chat", model, {"messages": HI, "response_format": _format(schema)}


CASES = [
    # The section, and the name of the format once more.
    Case("a schema alone", *_of(X), 37, lambda n: _alone(n, X_SEEN)),
    Case("in the older encoding", *_of(X, "gpt-4-turbo"), 37, lambda n: _alone(n, X_SEEN)),
    Case(
        "a long name",
        "chat",
        "gpt-4.1",
        {"messages": HI, "response_format": _format(X, "weather_forecast_response")},
        43,
        lambda n: _alone(n, X_SEEN, "weather_forecast_response"),
    ),
    Case(
        "strict is no different",
        "chat",
        "gpt-4o",
        {"messages": HI, "response_format": _format({**X, "required": ["x"], "additionalProperties": False}, strict=True)},
        37,
        lambda n: _alone(n, X_SEEN),
    ),
    Case(
        "a description",
        "chat",
        "gpt-4o",
        {"messages": HI, "response_format": _format(X, description="Who it is")},
        42,
        lambda n: _alone(n, f"// Who it is\n{X_SEEN}"),
    ),
    Case(
        "a description of two lines",
        "chat",
        "gpt-4",
        {"messages": HI, "response_format": _format(X, description="  Who it is.\n\n    Or was.\n")},
        46,
        lambda n: _alone(n, f"// Who it is.\n// Or was.\n{X_SEEN}"),
    ),
    Case("JSON without a schema is free", "chat", "gpt-4o",
         {"messages": HI, "response_format": {"type": "json_object"}}, 9, lambda n: 3 + said(n)),
    Case("plain text is free", "chat", "gpt-4o",
         {"messages": HI, "response_format": {"type": "text"}}, 9, lambda n: 3 + said(n)),
    # The section joins the system message; an end such as "." is one token with the blank line.
    Case(
        "behind a system message that ends in a dot",
        "chat",
        "gpt-4o",
        {"messages": [SYSTEM, *HI], "response_format": _format(X)},
        40,
        lambda n: 3 + said(n) + said(n, "system", f"Be brief.\n\n{_section(X_SEEN)}") + n("Person") + 2,
    ),
    Case(
        "behind one that ends in a word",
        "chat",
        "gpt-4",
        {"messages": [{"role": "system", "content": "Answer in JSON"}, *HI], "response_format": _format(X)},
        41,
        lambda n: 3 + said(n) + said(n, "system", f"Answer in JSON\n\n{_section(X_SEEN)}") + n("Person") + 2,
    ),
    # Keywords that only the server checks are not seen, at any depth; names and values are no keywords.
    Case(
        "numbers and their limits",
        *_of({"type": "object", "properties": {"age": {"type": "integer", "minimum": 0, "maximum": 150, "default": 7}}}),
        37,
        lambda n: _alone(n, '{"type":"object","properties":{"age":{"type":"integer"}}}'),
    ),
    Case(
        "lists and their lengths",
        *_of(
            {
                "type": "object",
                "properties": {
                    "tags": {"type": "array", "maxItems": 3, "minItems": 1, "items": {"type": "string", "minLength": 2}}
                },
                "required": ["tags"],
            }
        ),
        43,
        lambda n: _alone(n, '{"type":"object","properties":{"tags":{"type":"array","items":{"type":"string"}}}}'),
    ),
    Case(
        "formats and patterns inside a union",
        *_of({"properties": {"d": {"anyOf": [{"type": "string", "format": "date", "pattern": "^2"}, {"type": "null"}]}}}),
        43,
        lambda n: _alone(n, '{"properties":{"d":{"anyOf":[{"type":"string"},{"type":"null"}]}}}'),
    ),
    Case(
        "properties with the names of keywords",
        *_of({"properties": {"required": {"type": "string"}, "format": {"type": "string"}}, "required": ["format"]}),
        40,
        lambda n: _alone(n, '{"properties":{"required":{"type":"string"},"format":{"type":"string"}}}'),
    ),
    Case(
        "a property named properties",
        *_of({"properties": {"properties": {"type": "object", "properties": {"default": {"default": 1}}}}}),
        40,
        lambda n: _alone(n, '{"properties":{"properties":{"type":"object","properties":{"default":{}}}}}'),
    ),
    Case(
        "definitions stay, used or not, under any name",
        *_of({"$defs": {"default": {"type": "string", "default": "a"}, "Y": {"const": 1}}, "$ref": "#/$defs/default"}),
        49,
        lambda n: _alone(n, '{"$defs":{"default":{"type":"string"},"Y":{"const":1}},"$ref":"#/$defs/default"}'),
    ),
    Case(
        "old definitions",
        *_of({"definitions": {"minimum": {"type": "integer", "minimum": 1}}, "title": "T"}, "gpt-4-turbo"),
        37,
        lambda n: _alone(n, '{"definitions":{"minimum":{"type":"integer"}},"title":"T"}'),
    ),
    Case(
        "values of any form",
        *_of({"enum": [{"format": "a"}, "b"], "description": "Which"}),
        39,
        lambda n: _alone(n, '{"enum":[{"format":"a"},"b"],"description":"Which"}'),
    ),
    Case(
        "the order is the caller's",
        *_of({"title": "T", "properties": {"b": {"type": "null"}, "a": {"title": "A", "type": "null"}}, "type": "object"}),
        52,
        lambda n: _alone(
            n, '{"title":"T","properties":{"b":{"type":"null"},"a":{"title":"A","type":"null"}},"type":"object"}'
        ),
    ),
    # The JSON is ASCII.
    Case(
        "letters beyond ASCII",
        *_of({"description": "Straße"}),
        32,
        lambda n: _alone(n, '{"description":"Stra\\u00dfe"}'),
    ),
    Case(
        "signs beyond the first plane",
        *_of({"enum": ["玫瑰", "🌹"]}, "gpt-4"),
        42,
        lambda n: _alone(n, '{"enum":["\\u73ab\\u7470","\\ud83c\\udf39"]}'),
    ),
    # With tools the model may choose: no name at the start of the answer.
    Case(
        "with a tool",
        "chat",
        "gpt-4o",
        {"messages": HI, "tools": [ADD], "response_format": _format(X)},
        60,
        lambda n: 3 + said(n) + 9 + n(ADD_SEEN) + n(_section(X_SEEN)) + 1,
    ),
    Case(
        "with a tool and a system message",
        "chat",
        "gpt-4-turbo",
        {"messages": [SYSTEM, *HI], "tools": [ADD], "response_format": _format(X)},
        63,
        lambda n: 3 + said(n) + said(n, "system", "Be brief.\n\n") + 5 + n(ADD_SEEN) + n(_section(X_SEEN)) + 1,
    ),
    # Earlier answers begin with the name too.
    Case(
        "after an answer",
        "chat",
        "gpt-4o",
        {"messages": [*HI, ANSWER, *HI], "response_format": _format(X)},
        55,
        lambda n: _alone(n, X_SEEN) + said(n) + said(n, "assistant", '{"x":"yes"}') + n("Person") + 2,
    ),
    Case(
        "after two, with a tool",
        "chat",
        "gpt-4o",
        {"messages": [*HI, ANSWER, *HI, ANSWER, *HI], "tools": [ADD], "response_format": _format(X)},
        96,
        lambda n: (
            (3 + 3 * said(n) + 2 * said(n, "assistant", '{"x":"yes"}'))
            + (9 + n(ADD_SEEN) + n(_section(X_SEEN)) + 1)
            + 2 * (n("Person") + 2)
        ),
    ),
    # Responses: the section and a blank line, which newer models do without.
    Case("in Responses", "responses", "gpt-4o", {"input": HI, "text": _text(X)}, 31,
         lambda n: 3 + said(n) + n(_section(X_SEEN)) + 1),
    Case("in Responses, strict, newer", "responses", "gpt-5",
         {"input": HI, "text": _text({**X, "required": ["x"]}, strict=True)}, 29,
         lambda n: 2 + said(n) + n(_section(X_SEEN))),
    Case("in Responses, with a tool", "responses", "gpt-4.1", {"input": HI, "text": _text(X), "tools": [flat(ADD)]},
         54, lambda n: 3 + said(n) + 3 + n(ADD_SEEN) + n(_section(X_SEEN)) + 1),
    Case("in Responses, after an answer", "responses", "gpt-4o", {"input": [*HI, ANSWER, *HI], "text": _text(X)}, 46,
         lambda n: 3 + 2 * said(n) + said(n, "assistant", '{"x":"yes"}') + n(_section(X_SEEN)) + 1),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_structured_output_counts(case: Case) -> None:
    """The rules give what was worked out by hand."""
    estimate = estimate_of(case)

    assert (estimate.certainty, estimate.approximate) == ("estimated", ())


@pytest.mark.parametrize("model", ["gpt-5", "o3-mini"])
def test_a_schema_of_a_newer_model_in_chat_is_approximate(model: str) -> None:
    """No recording has one: the rule of classic models is a guess there."""
    body = {"messages": HI, "response_format": _format(X)}

    assert estimate_of(
        Case("", "chat", model, body, 36, lambda n: _alone(n, X_SEEN) - 1)  # two tokens lead, not three
    ).approximate == ("schema of a newer model",)
