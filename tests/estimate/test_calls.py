"""Calls and their results written by hand, content in parts, and what makes a count of them less than certain.

Rules and their evidence: recorded requests with reported usage, 88 of 88 Chat requests that were kept back (2026-11-27).
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.estimate.by_name import prompt_tokens
from tests.estimate.truth import HI, Case, Count, estimate_of, said

ADD, ROSES = ("add", '{"a": 1, "b": 2}'), ("count_roses", '{"colour": "r\\u00f6t"}')
JOKER = ("joker", "{}")


def _turn(*calls: tuple[str, str], text: str | None = None) -> dict[str, Any]:
    made = [
        {"id": f"call_{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for place, (name, arguments) in enumerate(calls)
    ]
    return {"role": "assistant", "content": text, "tool_calls": made}


def _results(*texts: Any) -> list[dict[str, Any]]:
    return [{"role": "tool", "tool_call_id": f"call_{place}", "content": text} for place, text in enumerate(texts)]


def _chat(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*HI, *messages]}


def _item(call: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": "c", "name": call[0], "arguments": call[1], **more}


def _output(text: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": "c", "output": text}


def _one(n: Count, name: str, arguments: str, result: str) -> int:
    """What a call and its result cost, but for their marks."""
    return n(f" to=functions.{name}") + n(name) + n(arguments) + n(result)


ADD_SEEN, ROSES_SEEN = '{"a":1,"b":2}', '{"colour":"röt"}'
ADD_USE = '{"recipient_name":"functions.add","parameters":{"a":1,"b":2}}'
ROSES_USE = '{"recipient_name":"functions.count_roses","parameters":{"colour":"röt"}}'

CASES = [
    # One call: ten marks, whom it is for, its name at the result, the arguments without spaces.
    Case("a call and its result", "chat", "gpt-4o", _chat(_turn(ADD), *_results("3")), 34,
         lambda n: 3 + said(n) + 10 + _one(n, "add", ADD_SEEN, "3")),
    Case("a name that is one token with its dot", "chat", "gpt-4o", _chat(_turn(JOKER), *_results("ha")), 27,
         lambda n: 3 + said(n) + 10 + _one(n, "joker", "{}", "ha")),
    Case("in the older encoding", "chat", "gpt-4", _chat(_turn(ROSES), *_results('{"n": 12}')), 40,
         lambda n: 3 + said(n) + 10 + _one(n, "count_roses", ROSES_SEEN, '{"n": 12}')),
    Case("a call of the first form", "chat", "gpt-3.5-turbo",
         _chat({"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": ADD[1]}},
               {"role": "function", "name": "add", "content": "3"}), 34,
         lambda n: 3 + said(n) + 10 + _one(n, "add", ADD_SEEN, "3")),
    Case("two calls in two turns", "chat", "gpt-4o",
         _chat(_turn(ADD), *_results("3"), _turn(ROSES), *_results("12")), 60,
         lambda n: 3 + said(n) + 10 + _one(n, "add", ADD_SEEN, "3") + 10 + _one(n, "count_roses", ROSES_SEEN, "12")),
    Case("text before a call is a message", "chat", "gpt-4o", _chat(_turn(ADD, text="Let me add."), *_results("3")), 42,
         lambda n: 3 + said(n) + said(n, "assistant", "Let me add.") + 10 + _one(n, "add", ADD_SEEN, "3")),
    Case("arguments that are no JSON stay", "chat", "gpt-4o", _chat(_turn(("add", '{"a": 1,')), *_results("3")), 31,
         lambda n: 3 + said(n) + 10 + _one(n, "add", '{"a": 1,', "3")),
    Case("o-series like classic models", "chat", "o3-mini", _chat(_turn(ADD), *_results("3")), 33,
         lambda n: 2 + said(n) + 10 + _one(n, "add", ADD_SEEN, "3")),
    Case("newer models", "chat", "gpt-5", _chat(_turn(ADD), *_results("3")), 39,
         lambda n: 2 + said(n) + 16 + _one(n, "add", ADD_SEEN, "3")),
    Case("newer models, two in a turn", "chat", "gpt-5-mini", _chat(_turn(ADD, ROSES), *_results("3", "12")), 65,
         lambda n: 2 + said(n) + 16 + _one(n, "add", ADD_SEEN, "3") + 10 + _one(n, "count_roses", ROSES_SEEN, "12")),
    # Parallel calls: one JSON text of the calls, and one JSON list of the results, with spaces.
    Case("two at once, results that are JSON", "chat", "gpt-4o",
         _chat(_turn(ADD, ROSES), *_results("3", '{"roses":12,"of":["red"]}')), 85,
         lambda n: 3 + said(n) + 20 + n('{"tool_uses":[' + ADD_USE + "," + ROSES_USE + "]}")
         + n('[3, {"roses": 12, "of": ["red"]}]')),
    Case("three at once, results that are text", "chat", "gpt-4-turbo",
         _chat(_turn(ADD, ADD, ROSES), *_results("three", "drei: röt", 'say "yes"\n')), 101,
         lambda n: 3 + said(n) + 20 + n('{"tool_uses":[' + ADD_USE + "," + ADD_USE + "," + ROSES_USE + "]}")
         + n('["three", "drei: röt", "say \\"yes\\"\\n"]')),
    Case("two at once, o-series", "chat", "o4-mini", _chat(_turn(ADD, ADD), *_results("3", "true")), 73,
         lambda n: 2 + said(n) + 20 + n('{"tool_uses":[' + ADD_USE + "," + ADD_USE + "]}") + n("[3, true]")),
    # Content in parts is one text.
    Case("a word in two parts", "chat", "gpt-4o",
         {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi the"}, {"type": "text", "text": "re"}]}]},
         9, lambda n: 3 + said(n)),
    Case("parts of a system message", "chat", "gpt-4",
         {"messages": [{"role": "system", "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": " brief."}]},
                       *HI]}, 16, lambda n: 3 + said(n) + said(n, "system", "Be brief.")),
    Case("parts of a result", "chat", "gpt-4o",
         _chat(_turn(ADD), *_results([{"type": "text", "text": "thir"}, {"type": "text", "text": "teen"}])), 35,
         lambda n: 3 + said(n) + 10 + _one(n, "add", ADD_SEEN, "thirteen")),
    Case("parts of an input", "responses", "gpt-4o",
         {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hi th"},
                                                 {"type": "input_text", "text": "ere"}]}]},
         9, lambda n: 3 + said(n)),
    # Responses: arguments as they were sent, and parallel calls one by one.
    Case("a call in Responses", "responses", "gpt-4o", {"input": [*HI, _item(ADD), _output("3")]}, 35,
         lambda n: 3 + said(n) + 8 + _one(n, "add", ADD[1], "3")),
    Case("an output in parts", "responses", "gpt-4.1",
         {"input": [*HI, _item(ROSES), _output([{"type": "input_text", "text": "12"}])]}, 38,
         lambda n: 3 + said(n) + 8 + _one(n, "count_roses", ROSES[1], "12")),
    Case("two at once in Responses", "responses", "gpt-4o",
         {"input": [*HI, _item(ADD), _item(ROSES), _output("3"), _output("12")]}, 64,
         lambda n: 3 + said(n) + 8 + _one(n, "add", ADD[1], "3") + 8 + _one(n, "count_roses", ROSES[1], "12")),
    Case("newer models in Responses", "responses", "gpt-5", {"input": [*HI, _item(ADD), _output("3")]}, 40,
         lambda n: 2 + said(n) + 14 + _one(n, "add", ADD[1], "3")),
    Case("newer models, two at once", "responses", "gpt-5.1",
         {"input": [*HI, _item(ADD), _item(JOKER), _output("3"), _output("ha")]}, 62,
         lambda n: 2 + said(n) + 14 + _one(n, "add", ADD[1], "3") + 14 + _one(n, "joker", "{}", "ha")),
    # Reasoning that a later message of the user follows is dropped.
    Case("reasoning before the question", "responses", "o3",
         {"input": [*HI, {"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "assistant", "content": "Hello"},
                    *HI]}, 19, lambda n: 2 + 2 * said(n) + said(n, "assistant", "Hello")),
    Case("reasoning before the question, with a call", "responses", "gpt-5",
         {"input": [*HI, {"type": "reasoning", "id": "rs_1", "encrypted_content": "x", "summary": []}, _item(ADD),
                    _output("3"), *HI]}, 46,
         lambda n: 2 + 2 * said(n) + 14 + _one(n, "add", ADD[1], "3")),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_calls_and_parts_count(case: Case) -> None:
    """The rules give what was worked out by hand."""
    estimate = estimate_of(case)

    assert (estimate.certainty, estimate.approximate) == ("estimated", ())


STORED = [
    Case("a call", "responses", "gpt-4o", {"input": [*HI, _item(ADD, id="fc_1"), _output("3")]}, 38,
         lambda n: 3 + said(n) + 8 + 3 + _one(n, "add", ADD[1], "3")),
    Case("calls of one turn", "responses", "gpt-4o",
         {"input": [*HI, _item(ADD, id="fc_1"), _item(ADD, id="fc_2"), _output("3"), _output("3")]}, 61,
         lambda n: 3 + said(n) + 2 * (8 + _one(n, "add", ADD[1], "3"))),
    Case("calls of newer models", "responses", "gpt-5",
         {"input": [*HI, _item(ADD, id="fc_1"), _item(ADD, id="fc_2"), _output("3"), _output("3")]}, 78,
         lambda n: 2 + said(n) + 2 * (14 + 3 + _one(n, "add", ADD[1], "3"))),
    Case("an answer", "responses", "gpt-4o",
         {"input": [*HI, {"type": "message", "id": "msg_1", "role": "assistant",
                          "content": [{"type": "output_text", "text": "Hello"}]}, *HI]}, 20,
         lambda n: 3 + 2 * said(n) + said(n, "assistant", "Hello")),
]  # fmt: skip


@pytest.mark.parametrize("case", STORED, ids=[case.name for case in STORED])
def test_an_item_with_an_id_makes_the_count_approximate(case: Case) -> None:
    """The server reads the copy that it stored: the same visible request was billed 192, 194 and 197."""
    estimate = estimate_of(case)

    assert (estimate.certainty, estimate.approximate) == ("estimated", ("items with an id",))
    assert "approximate: items with an id" in estimate.method


REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


@pytest.mark.parametrize("behind", [[], [_item(ADD), _output("3")], [{"role": "assistant", "content": "Hello"}]])
def test_reasoning_after_the_question_makes_a_lower_bound(behind: list[dict[str, Any]]) -> None:
    """It is billed, and only the provider can read it."""
    estimate = prompt_tokens("responses", {"input": [*HI, REASONING, *HI, REASONING, *behind]}, "gpt-5")

    assert (estimate.certainty, estimate.uncounted) == ("lower_bound", ("reasoning items",))


def test_a_call_of_a_custom_tool_counts_its_visible_text() -> None:
    """What frames it is not known: a lower bound, which names it."""
    call = {"type": "custom_tool_call", "call_id": "c", "name": "shout", "input": "ALL OF IT"}
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "done"}
    of_chat = {"id": "c", "type": "custom", "custom": {"name": "shout", "input": "ALL OF IT"}}
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("responses", {"input": [*HI, call, output]}),
        ("chat", {"messages": [*HI, {"role": "assistant", "tool_calls": [of_chat]}, *_results("done")]}),
    ]

    for api, body in bodies:
        estimate = prompt_tokens(api, body, "gpt-5")
        assert estimate.usage is not None
        assert (estimate.usage.prompt_tokens or 0) > 7 + 8  # the user's message, and at least the words
        assert (estimate.certainty, estimate.uncounted) == ("lower_bound", ("custom tools",))


@pytest.mark.parametrize("result", ["[" * 100_000, "NaN", '{"a": 1', "9" * 5000, "\ud800", ""])
def test_results_of_any_kind_never_raise(result: str) -> None:
    """What is no JSON is a text in the list."""
    usage = prompt_tokens("chat", _chat(_turn(ADD, ADD), *_results(result, "3")), "gpt-4o").usage

    assert usage is not None
    assert (usage.prompt_tokens or 0) > 0
