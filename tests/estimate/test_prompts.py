"""Requests written by hand, with counts worked out by hand: what the models see, and the marks around it.

`n` counts a string with tiktoken itself. A tool's text stands here as the models see it, never as our code writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.estimate.by_name import prompt_tokens
from tests.estimate.truth import BY_NAME, HI, SYSTEM, Count, flat, namespace, tool
from token_meter import estimate_cost
from token_meter.estimate import resolve_encoding

Case = tuple[str, str, str, dict[str, Any], Callable[[Count], int]]


CITY = {"type": "string", "description": "The city"}
WEATHER = tool("get_weather", "Look up the weather.", city=CITY)
WEATHER_TEXT = "// Look up the weather.\ntype get_weather = (_: {\n// The city\ncity: string,\n}) => any;"
ADD = tool("add", None, a={"type": "integer"}, b={"type": "number"})
ADD_TEXT = "type add = (_: {a: number, b: number}) => any;"
# The example of OpenAI's cookbook; what the API reported for it is public: 129 tokens of cl100k, 124 of o200k.
COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates "
        "corporate jargon into plain English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on "
        "opportunities for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]


def _hi(n: Count) -> int:
    """A user's message."""
    return 3 + n("user") + n("Hi there")


CASES: list[Case] = [
    # Text: three tokens lead, and three go round each message.
    ("one message", "chat", "gpt-4o", {"messages": HI}, lambda n: 3 + _hi(n)),
    ("counted by hand", "chat", "gpt-4o", {"messages": [{"role": "user", "content": "hi"}]}, lambda n: 8),
    ("cookbook, cl100k", "chat", "gpt-4-0613", {"messages": COOKBOOK}, lambda n: 129),
    ("cookbook, o200k", "chat", "gpt-4o", {"messages": COOKBOOK}, lambda n: 124),
    (
        "system and user",
        "chat",
        "gpt-3.5-turbo",
        {"messages": [SYSTEM, *HI]},
        lambda n: 3 + (3 + n("system") + n("Be brief.")) + _hi(n),
    ),
    ("two lead for o-series", "chat", "o3-mini", {"messages": HI}, lambda n: 2 + _hi(n)),
    ("two lead for newer models", "chat", "gpt-5-mini", {"messages": HI}, lambda n: 2 + _hi(n)),
    ("fine-tuned like its base", "chat", "ft:gpt-4.1-mini:acme::1", {"messages": HI}, lambda n: 3 + _hi(n)),
    ("no messages", "chat", "gpt-4o", {"messages": []}, lambda n: 3),
    (
        "a name stands behind its role",
        "chat",
        "gpt-4o",
        {"messages": [{"role": "user", "name": "ann_lee", "content": "Hi there"}]},
        lambda n: 3 + _hi(n) + n(":ann_lee"),
    ),
    (
        "refused earlier",
        "chat",
        "gpt-4o",
        {"messages": [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}]},
        lambda n: 3 + 3 + n("assistant") + n("No."),
    ),
    (
        "a result of the old kind, alone",
        "chat",
        "gpt-3.5-turbo",
        {"messages": [{"role": "function", "name": "do_stuff", "content": "{}"}]},
        lambda n: 3 + 3 + n("do_stuff") + n("{}"),
    ),
    # Tools: a namespace of TypeScript, and nine more.
    (
        "a described tool",
        "chat",
        "gpt-4o",
        {"messages": HI, "tools": [WEATHER]},
        lambda n: 3 + _hi(n) + 9 + n(namespace(WEATHER_TEXT)),
    ),
    (
        "no comments: one line",
        "chat",
        "gpt-4",
        {"messages": HI, "tools": [ADD]},
        lambda n: 3 + _hi(n) + 9 + n(namespace(ADD_TEXT)),
    ),
    (
        "two tools",
        "chat",
        "gpt-4o",
        {"messages": HI, "tools": [WEATHER, ADD]},
        lambda n: 3 + _hi(n) + 9 + n(namespace(WEATHER_TEXT, ADD_TEXT)),
    ),
    (
        "no parameters",
        "chat",
        "gpt-4o",
        {"messages": HI, "tools": [tool("stop")]},
        lambda n: 3 + _hi(n) + 9 + n(namespace("type stop = () => any;")),
    ),
    (
        "the old parameter",
        "chat",
        "gpt-3.5-turbo",
        {"messages": HI, "functions": [ADD["function"]]},
        lambda n: 3 + _hi(n) + 9 + n(namespace(ADD_TEXT)),
    ),
    (
        "tools join the system message",
        "chat",
        "gpt-4o",
        {"messages": [SYSTEM, *HI], "tools": [ADD]},
        lambda n: 3 + 3 + n("system") + n("Be brief.\n\n") + _hi(n) + 9 - 4 + n(namespace(ADD_TEXT)),
    ),
    (
        "newer models, described",
        "chat",
        "gpt-5",
        {"messages": HI, "tools": [WEATHER]},
        lambda n: 2 + _hi(n) + 91 + n(namespace(WEATHER_TEXT)),
    ),
    (
        "newer models, not described",
        "chat",
        "gpt-5",
        {"messages": [SYSTEM, *HI], "tools": [ADD]},
        lambda n: 2 + 3 + n("system") + n("Be brief.") + _hi(n) + 90 + n(namespace(ADD_TEXT)),
    ),
    (
        "choosing freely is free",
        "chat",
        "gpt-4o",
        {"messages": HI, "tools": [ADD], "tool_choice": "required"},
        lambda n: 3 + _hi(n) + 9 + n(namespace(ADD_TEXT)),
    ),
    (
        "choosing none is one",
        "chat",
        "gpt-4o",
        {"messages": HI, "tools": [ADD], "tool_choice": "none"},
        lambda n: 3 + _hi(n) + 9 + n(namespace(ADD_TEXT)) + 1,
    ),
    (
        "newer models see no choice",
        "chat",
        "gpt-5",
        {"messages": HI, "tools": [ADD], "tool_choice": "none"},
        lambda n: 2 + _hi(n) + 90 + n(namespace(ADD_TEXT)),
    ),
    # Responses.
    ("an input text", "responses", "gpt-4o", {"input": "Hi there"}, lambda n: 3 + _hi(n)),
    (
        "instructions are a system message",
        "responses",
        "gpt-4.1",
        {"instructions": "Be brief.", "input": HI},
        lambda n: 3 + 3 + n("system") + n("Be brief.") + _hi(n),
    ),
    (
        "input in parts",
        "responses",
        "gpt-5",
        {"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi there"}]}]},
        lambda n: 2 + _hi(n),
    ),
    (
        "an earlier answer names its channel",
        "responses",
        "gpt-5",
        {"input": [*HI, {"role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}]},
        lambda n: 2 + _hi(n) + 3 + n("assistant") + n("Hello") + 2,
    ),
    (
        "a tool",
        "responses",
        "gpt-4o",
        {"input": HI, "tools": [flat(ADD)]},
        lambda n: 3 + _hi(n) + 3 + n(namespace(ADD_TEXT)),
    ),
    (
        "the only tool, required",
        "responses",
        "gpt-4o",
        {"input": HI, "tools": [flat(ADD)], "tool_choice": "required"},
        lambda n: 3 + _hi(n) + 3 + n(namespace(ADD_TEXT)) + n(" to=functions.add") + 4,
    ),
    (
        "a tool of newer models",
        "responses",
        "gpt-5",
        {"input": HI, "tools": [flat(WEATHER)]},
        lambda n: 2 + _hi(n) + 9 + n(namespace(WEATHER_TEXT)),
    ),
    # Embeddings and completions: the text, and nothing around it.
    ("an embedding", "embeddings", "text-embedding-3-small", {"input": "Hi there"}, lambda n: n("Hi there")),
    ("embeddings", "embeddings", "text-embedding-3-small", {"input": ["Hi", "you"]}, lambda n: n("Hi") + n("you")),
    ("token ids", "embeddings", "text-embedding-3-small", {"input": [[1, 2, 3], [4]]}, lambda n: 4),
    ("a completion", "completions", "davinci-002", {"prompt": "Once upon"}, lambda n: n("Once upon")),
    ("completions of token ids", "completions", "davinci-002", {"prompt": [1, 2, 3]}, lambda n: 3),
]


@pytest.mark.parametrize(("api", "model", "request_", "worked_out"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_prompt(api: str, model: str, request_: dict[str, Any], worked_out: Callable[[Count], int]) -> None:
    """The rules give what was worked out by hand."""
    estimate = prompt_tokens(api, request_, model)

    assert estimate.usage is not None
    assert estimate.usage.prompt_tokens == worked_out(BY_NAME[resolve_encoding(model)[0]])
    assert estimate.certainty == "estimated"


TYPES: list[tuple[str, dict[str, Any], str]] = [
    ("an optional one", {"type": "string"}, "{x?: string}"),
    ("a boolean", {"type": "boolean"}, "{x?: boolean}"),
    ("an enum", {"type": "string", "enum": ["a", "b"]}, '{x?: "a" | "b"}'),
    ("a constant", {"const": "a"}, '{x?: "a"}'),
    ("a list", {"type": "array", "items": {"type": "integer"}}, "{x?: number[]}"),
    ("a list of anything", {"type": "array"}, "{x?: any[]}"),
    ("either", {"anyOf": [{"type": "string"}, {"type": "null"}]}, "{x?: string | null}"),
    ("several types", {"type": ["string", "null"]}, "{x?: string | null}"),
    ("any object", {"type": "object"}, "{x?: object}"),
    ("no type", {}, "{x?: any}"),
    ("an object", {"type": "object", "properties": {"y": {"type": "string"}}}, "{x?: {y?: string}}"),
    ("a default", {"type": "string", "default": "a"}, '{\nx?: string, // default: "a"\n}'),
    ("a title", {"type": "string", "title": "X"}, "{\n// X\nx?: string,\n}"),
    (
        "a title and a comment",
        {"type": "string", "title": "X", "description": "why"},
        "{\n// X\n//\n// why\nx?: string,\n}",
    ),
    ("blank lines", {"type": "string", "description": " why\n\n  so "}, "{\n// why\n// so\nx?: string,\n}"),
    ("a reference", {"$ref": "#/$defs/Y"}, "{\n// Why\nx?: string,\n}"),
    ("a reference to nothing", {"$ref": "#/$defs/Z"}, "{x?: any}"),
    ("a reference to itself", {"$ref": "#/$defs/Loop"}, "{x?: any}"),
]


@pytest.mark.parametrize(("schema", "seen"), [c[1:] for c in TYPES], ids=[c[0] for c in TYPES])
def test_a_property_is_seen_as(schema: dict[str, Any], seen: str) -> None:
    """A JSON schema becomes TypeScript."""
    definitions = {"Y": {"type": "string", "title": "Why"}, "Loop": {"$ref": "#/$defs/Loop"}}
    parameters = {"type": "object", "properties": {"x": schema}, "$defs": definitions}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    n = BY_NAME["o200k_base"]

    estimate = prompt_tokens("chat", {"messages": HI, "tools": [tool]}, "gpt-4o")

    assert estimate.usage is not None
    assert estimate.usage.prompt_tokens == 3 + _hi(n) + 9 + n(namespace(f"type f = (_: {seen}) => any;"))


def test_a_schema_that_holds_itself_is_cut() -> None:
    """Written out, it would never end."""
    node: dict[str, Any] = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {**node, "$defs": {"Node": node}}}}
    n = BY_NAME["o200k_base"]

    usage = prompt_tokens("chat", {"messages": HI, "tools": [tool]}, "gpt-4o").usage

    assert usage is not None
    assert usage.prompt_tokens == 3 + _hi(n) + 9 + n(namespace("type f = (_: {next?: {next?: any}}) => any;"))


def test_definitions_that_double_at_each_step_are_bounded() -> None:
    """Twenty of them make a million types: a request of a kilobyte must not cost minutes."""
    definitions = {
        f"D{i}": {"type": "object", "properties": {side: {"$ref": f"#/$defs/D{i + 1}"} for side in ("a", "b")}}
        for i in range(20)
    }
    parameters = {"type": "object", "properties": {"x": {"$ref": "#/$defs/D0"}}, "$defs": definitions}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}

    usage = prompt_tokens("chat", {"messages": HI, "tools": [tool]}, "gpt-4o").usage

    assert usage is not None
    assert (usage.prompt_tokens or 0) < 100_000


UNSEEN: list[tuple[str, str, dict[str, Any], str]] = [
    ("earlier turns", "responses", {"input": "Hi", "previous_response_id": "resp_1"}, "server state"),
    ("a conversation", "responses", {"input": "Hi", "conversation": "conv_1"}, "server state"),
    ("a stored prompt", "responses", {"input": "Hi", "prompt": {"id": "pmpt_1"}}, "server state"),
    (
        "earlier reasoning",
        "responses",
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": []}]},
        "reasoning items",
    ),
    ("a hosted tool", "responses", {"input": "Hi", "tools": [{"type": "web_search"}]}, "hosted tools"),
    ("several minds", "responses", {"input": "Hi", "reasoning": {"mode": "pro"}}, "pro mode"),
    ("web search in chat", "chat", {"messages": HI, "web_search_options": {}}, "hosted tools"),
    (
        "audio",
        "chat",
        {
            "messages": [
                {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]}
            ]
        },
        "audio",
    ),
    (
        "a file",
        "chat",
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
        "file",
    ),
    (
        "a file in Responses",
        "responses",
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
        "file",
    ),
    ("something new", "chat", {"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "content"),
]


@pytest.mark.parametrize(("api", "request_", "named"), [c[1:] for c in UNSEEN], ids=[c[0] for c in UNSEEN])
def test_what_cannot_be_seen_makes_a_lower_bound(api: str, request_: dict[str, Any], named: str) -> None:
    """The visible part is counted, the rest is named and never guessed."""
    estimate = prompt_tokens(api, request_, "gpt-4o")

    assert estimate.certainty == "lower_bound"
    assert estimate.method.endswith(f"of unknown: {named}")


def test_an_api_without_rules_is_refused_by_name() -> None:
    """The error says what could be asked."""
    with pytest.raises(ValueError, match=r"api 'images'; known are chat, responses, completions, embeddings"):
        estimate_cost({"prompt": "a cat"}, api="images")


NONSENSE: list[dict[str, Any]] = [
    {"messages": None},
    {"messages": "hello"},
    {
        "messages": [
            None,
            1,
            "x",
            {},
            {"role": 5, "content": 7},
            {"role": "user", "content": [None, 3, "x", {"type": 9}]},
        ]
    },
    {"messages": [{"role": "assistant", "tool_calls": [None, {}, {"function": 3}, {"function": {"name": 1}}]}]},
    {"messages": HI, "tools": [None, {}, {"type": "function"}, {"type": "function", "function": "x"}]},
    {"messages": HI, "tools": [{"type": "function", "function": {"name": "f", "parameters": {"properties": [1]}}}]},
    {"messages": HI, "tools": [tool("f", None, x=1, y=[2], z={"type": 5}, w={"enum": 3}, v={"anyOf": "x"})]},
    {"messages": HI, "response_format": {"type": "json_schema", "json_schema": [1]}, "tool_choice": 5},
    {"messages": HI, "response_format": {"type": "json_schema"}},
    {"input": {"role": "user"}, "tools": "x", "text": "y", "reasoning": 3, "instructions": 5},
    {"input": [{"type": "function_call"}, {"type": "function_call_output"}, {"type": 5}, {"role": None}]},
]


@pytest.mark.parametrize("api", ["chat", "responses", "completions", "embeddings"])
@pytest.mark.parametrize("request_", NONSENSE, ids=json.dumps)
def test_nonsense_never_raises(api: str, request_: dict[str, Any]) -> None:
    """A server would refuse these; the meter only looks on."""
    usage = prompt_tokens(api, request_, "gpt-4o").usage

    assert usage is not None
    assert (usage.prompt_tokens or 0) >= 0
