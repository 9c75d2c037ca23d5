"""Every api's body reads as written by hand, small and big, and nothing else counts."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.wire.bodies import CASES, CHAT, CHAT_USAGE, EMBEDDING, RESPONSE, RESPONSE_USAGE, dump
from tests.wire.by_name import read_answer, read_body
from token_meter.types import Answer, Reading, Usage
from token_meter.wire.json_scan import SMALL, fields


@pytest.mark.parametrize("case", CASES)
def test_usage_reads_as_written(case: str) -> None:
    """A body gives the counts that a reader of the documentation would take from it."""
    api, body, usage = CASES[case]

    reading = read_body(api, dump(body))

    assert reading.usage == usage
    assert (reading.coerced, reading.anomalies) == (False, 0)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("where", ["first", "last"])
def test_f25_big_bodies_read_like_small_ones(case: str, where: str) -> None:
    """Padding far above the size that is parsed whole changes nothing."""
    api, body, usage = CASES[case]
    padding = {"padding": [{"model": "decoy", "text": 'a "usage":{"prompt_tokens":9} \\ é' * 9}] * 200}
    padded = {**padding, **body} if where == "first" else {**body, **padding}

    reading = read_body(api, dump(padded))

    assert len(dump(padded)) > 2 * SMALL
    assert reading.usage == usage
    assert reading[1:5] == read_body(api, dump(body))[1:5]


@pytest.mark.parametrize("spaces", [None, 2])
def test_names_of_a_chat_body(spaces: int | None) -> None:
    """Model, tier and id are those of the answer, however the body is laid out."""
    reading = read_body("chat", json.dumps(CHAT, indent=spaces).encode())

    assert reading == Reading(
        usage=CHAT_USAGE,
        model="gpt-4o-mini-2024-07-18",
        service_tier="priority",
        response_id="chatcmpl-BQx7",
        ended=True,
    )


@pytest.mark.parametrize(
    ("said", "status", "ended"),
    [
        ("completed", "complete", True),
        ("incomplete", "incomplete", True),
        ("cancelled", "incomplete", True),
        ("failed", "failed", True),
        ("queued", "pending", False),
        ("in_progress", "pending", False),
    ],
)
def test_status_of_a_response(said: str, status: str, ended: bool) -> None:
    """A response says whether it is over; a pending one has not ended."""
    reading = read_body("responses", dump({**RESPONSE, "status": said}))

    assert (reading.status, reading.ended) == (status, ended)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"message": "secret words", "type": "server_error", "code": None}, "server_error"),
        ({"message": "secret words", "type": "invalid_request_error", "code": "context_length"}, "context_length"),
        ({"message": "secret words", "code": 429}, "429"),
        ({"message": "secret words"}, "error"),
        ("secret words", "error"),
        (None, None),
        ({}, None),
    ],
)
def test_an_error_shows_its_code_and_never_its_words(error: Any, shown: str | None) -> None:
    """What a body says of an error may quote the prompt; only code or type are kept."""
    reading = read_body("chat", dump({"error": error}))

    assert reading.error == shown
    assert "secret" not in repr(reading)


def test_a_failed_body_keeps_its_usage() -> None:
    """An error does not hide the usage in the same answer."""
    body = {**RESPONSE, "status": "failed", "error": {"code": "server_error", "message": "secret"}}

    reading = read_body("responses", dump(body))

    assert (reading.usage, reading.error, reading.status) == (RESPONSE_USAGE, "server_error", "failed")


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"usage": {"prompt_tokens": 9, "completion_tokens": 9}}},
        {"choices": [{"message": {"content": '{"usage":{"prompt_tokens":9,"completion_tokens":9}}'}}]},
        {"choices": [{"message": {"usage": {"prompt_tokens": 9, "completion_tokens": 9}}}]},
        {"choices": [{}, {"usage": {"prompt_tokens": 9, "completion_tokens": 9}}]},
        {'a"usage': {"prompt_tokens": 9, "completion_tokens": 9}},
        {"usages": {"prompt_tokens": 9}, "tool_usage": {"prompt_tokens": 9}},
        [{"usage": {"prompt_tokens": 9, "completion_tokens": 9}}],
        '{"usage":{"prompt_tokens":9,"completion_tokens":9}}',
    ],
)
@pytest.mark.parametrize("padding", [0, 1, 3])
def test_decoys_do_not_count(body: Any, padding: int) -> None:
    """Usage inside of a text, a schema, a second choice or a list is not the usage."""
    if isinstance(body, dict):
        filler = {"x": "y" * 20_000}
        body = {**(filler if padding & 1 else {}), **body, **({"z": "y" * 20_000} if padding & 2 else {})}

    assert read_body("chat", dump(body)).usage is None


def test_a_tier_in_the_middle_of_a_big_body_is_not_missed() -> None:
    """Responses echo their tools behind the tier: a tier must not be taken for standard because it stands deep."""
    tools = [{"type": "function", "name": f"f{i}", "description": "d" * 100} for i in range(400)]
    body = {**RESPONSE, "output": [{"type": "message", "content": "x" * 40_000}], "service_tier": "ultrafast"}

    assert read_body("responses", dump({**body, "tools": tools})).service_tier == "ultrafast"


@pytest.mark.parametrize(
    ("value", "count", "coerced", "anomalies"),
    [
        ("0", 0, False, 0),
        ("11", 11, False, 0),
        (str(2**63 - 1), 2**63 - 1, False, 0),
        ('"11"', 11, True, 0),
        ("7.0", 7, True, 0),
        ("1e3", 1000, True, 0),
        ("null", None, False, 0),
        ("7.9", None, False, 1),
        ("true", None, False, 1),
        ("false", None, False, 1),
        ("0.0", 0, True, 0),
        ("-1", None, False, 1),
        ("-1.0", None, False, 1),
        ("NaN", None, False, 1),
        ("Infinity", None, False, 1),
        ("1e400", None, False, 1),
        (str(2**63), None, False, 1),
        ("9223372036854775808.0", None, False, 1),
        ('"9223372036854775808"', None, False, 1),
        ('"1_000"', None, False, 1),
        ('" 7 "', None, False, 1),
        ('"１１"', None, False, 1),
        ('""', None, False, 1),
        ('"-1"', None, False, 1),
        ("[]", None, False, 1),
        ("{}", None, False, 1),
    ],
)
@pytest.mark.parametrize("cost", ["", ',"cost":0.1'])
def test_f70_the_border_lets_only_counts_pass(
    value: str, count: int | None, coerced: bool, anomalies: int, cost: str
) -> None:
    """What is no count is left out and noticed; its neighbours stay."""
    body = f'{{"usage":{{"prompt_tokens":{value},"completion_tokens":2{cost}}}}}'.encode()

    reading = read_body("chat", body)

    assert reading.usage is not None
    assert (reading.usage.prompt_tokens, reading.usage.completion_tokens) == (count, 2)
    assert (reading.coerced, reading.anomalies) == (coerced, anomalies)

    detail = read_body("chat", body.replace(b'"prompt_tokens":', b'"prompt_tokens_details":{"cached_tokens":', 1).replace(
        b',"completion', b'},"completion', 1
    ))  # fmt: skip

    assert detail.usage is not None
    assert (detail.usage.cached_tokens, type(detail.usage.cached_tokens)) == (count, type(count))
    assert (detail.coerced, detail.anomalies) == (coerced, anomalies)


@pytest.mark.parametrize(
    ("value", "cost"),
    [
        ("0.00012345678901234567890123", Decimal("0.00012345678901234567890123")),
        ("1", Decimal(1)),
        ('"0.5"', Decimal("0.5")),
        ("0", Decimal(0)),
        ("-0.1", None),
        ("NaN", None),
        ("1e400", None),
        ("1e-400", None),
        ("true", None),
        ('"a lot"', None),
    ],
)
def test_a_provider_cost_is_exact(value: str, cost: Decimal | None) -> None:
    """Every digit that the provider printed is there, and nothing that is no amount."""
    reading = read_body("chat", f'{{"usage":{{"prompt_tokens":1,"cost":{value}}}}}'.encode())

    assert reading.usage == Usage(1, provider_cost=cost)
    assert reading.anomalies == (cost is None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"\xff\xfe\x00",
        b"ID3\x04\x00audio",
        b'{"usage":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"usage":{"prompt_tokens":' + b"9" * 5000 + b"}}",
        b'{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}',
        b'{"usage":{"prompt_tokens":1,"prompt_tokens":2}}',
        b"{" * 100_000,
        b'{"usage":{"prompt_tokens":3}' + b" " * 100_000,
    ],
)
def test_f71_what_cannot_be_read_is_unknown(body: bytes) -> None:
    """Nothing raises, and nothing is made up."""
    assert read_body("chat", body).usage is None


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gpt-4o", "gpt-4o"),
        ("qwen-模型", "qwen-模型"),
        ("a\x00b", "a\\x00b"),
        ("a\nb", "a\\nb"),
        ("a\ud800b", "a\\ud800b"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("m" * 10_000, "m" * 200),
        ("\x00" * 10_000, ("\\x00" * 50)),
        ("", None),
        (7, None),
        ({"a": 1}, None),
    ],
)
def test_f72_names_are_made_harmless(name: Any, shown: str | None) -> None:
    """A name that leaves here can be written to any file and terminal."""
    assert read_body("chat", json.dumps({"model": name}).encode()).model == shown


def test_events_where_json_was_expected() -> None:
    """The bytes decide, not the request: events in a plain answer are read as events."""
    body = b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\ndata: [DONE]\n\n'

    assert read_body("chat", body) == Reading(usage=Usage(1, 2, 3), model="m", ended=True)


def test_an_unknown_api_reads_the_usual_place() -> None:
    """An api from a newer record does not break a reader."""
    assert read_body("telepathy", dump(EMBEDDING)).model == "text-embedding-3-small"


def test_the_ends_of_a_big_body_are_enough() -> None:
    """The middle of a body that is big and plain is never parsed: it may even be broken."""
    head, tail = b'{"model":"m","data":"', b'","usage":{"prompt_tokens":1,"completion_tokens":1}}'

    assert fields(head + b"\\q" * 50_000 + tail, ("usage", "model")) == {
        "model": "m",
        "usage": {"prompt_tokens": 1, "completion_tokens": 1},
    }


@pytest.mark.parametrize(
    ("api", "body", "answer"),
    [
        ("chat", CHAT, Answer(texts=("Roses, then.",), finish="stop")),
        (
            "chat",
            {
                "choices": [
                    {
                        "index": 1,
                        "finish_reason": "tool_calls",
                        "message": {
                            "content": None,
                            "refusal": "No.",
                            "reasoning_content": "hm",
                            "tool_calls": [{"function": {"name": "bill", "arguments": '{"a":1}'}}],
                        },
                    },
                    {"index": 0, "message": {"content": [{"type": "text", "text": "parts"}]}},
                ]
            },
            Answer(
                texts=("parts", "No."),
                tool_calls=(("bill", '{"a":1}'),),
                reasoned=True,
                finish="tool_calls",
                thoughts="hm",
            ),
        ),
        ("completions", {"choices": [{"text": "one", "finish_reason": "length"}]}, Answer(("one",), finish="length")),
        ("responses", RESPONSE, Answer(texts=("Tulips.",), reasoned=True, finish="completed")),
        (
            "responses",
            {
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
                "output": [{"type": "function_call", "name": "f", "arguments": "{}"}],
            },
            Answer(tool_calls=(("f", "{}"),), finish="max_output_tokens"),
        ),
        ("transcriptions", {"text": "hello"}, Answer(("hello",))),
        ("chat", {"choices": [None, {"message": 5}, {"message": {"tool_calls": [1, {}]}}]}, Answer()),
    ],
)
def test_answers_show_what_was_visible(api: str, body: Any, answer: Answer) -> None:
    """An estimate gets the texts, the tools and the signs of reasoning."""
    assert read_answer(api, dump(body)) == answer
