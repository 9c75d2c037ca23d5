"""What an estimate makes of the less usual parts of a request."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.estimate.by_name import estimate_usage, rules_of
from token_meter import estimate
from token_meter.providers.openai.counting.images import image_of_url, size_of
from token_meter.types import Answer


def _tokens(api: str, body: Any) -> int:
    found = estimate_usage(api, json.dumps(body).encode(), Answer(("hi",), finish="stop"), None)
    assert found.usage is not None
    return found.usage.prompt_tokens or 0


def test_a_call_of_a_function_in_the_first_form_counts():
    """`function_call`, from before there were tools."""
    said = {"role": "assistant", "content": None}
    called = {**said, "function_call": {"name": "add_roses", "arguments": '{"count": 12}'}}
    asked = {"role": "user", "content": "hi"}

    assert _tokens("chat", {"model": "gpt-4o", "messages": [asked, called]}) > _tokens(
        "chat", {"model": "gpt-4o", "messages": [asked]}
    )


@pytest.mark.parametrize("kind", ["gpt-4o"])
def test_audio_that_the_provider_keeps_makes_a_lower_bound(kind):
    """An earlier answer in sound, named by its id."""
    body = {"model": kind, "messages": [{"role": "assistant", "audio": {"id": "a"}}, {"role": "user", "content": "hi"}]}
    found = estimate_usage("chat", json.dumps(body).encode(), Answer(("hi",), finish="stop"), None)

    assert found.certainty == "lower_bound"


def test_several_calls_in_a_row_and_an_output_alone():
    """Calls of one turn stand together; an output whose call is not in the request counts too."""
    call = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "1"}
    output = {"type": "function_call_output", "call_id": "1", "output": "a rose is a rose"}
    one = _tokens("responses", {"model": "gpt-4o", "input": [call]})
    two = _tokens("responses", {"model": "gpt-4o", "input": [call, call]})
    alone = _tokens("responses", {"model": "gpt-4o", "input": [output]})

    assert two > one > 0
    assert alone > 5


def test_a_schema_deeper_than_any_real_one_is_cut():
    """A budget must hold for malformed requests too."""
    schema: Any = {"type": "string"}
    for _ in range(90):
        schema = {"type": "object", "properties": {"a": schema}, "anyOf": [schema, {"type": "null"}]} if _ < 3 else {
            "type": "object", "properties": {"a": schema}}  # fmt: skip
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]

    assert _tokens("chat", {"model": "gpt-4o", "messages": [], "tools": tools}) > 0


def test_a_request_that_cannot_be_counted_is_reserved_by_its_length(caplog):
    """Three bytes a token, and it is said by its kind."""

    def fail(*_: Any) -> Any:
        raise RuntimeError("a bug")

    rules = rules_of("chat")._replace(count_prompt=fail)

    assert estimate.reserve_tokens(rules, b'{"model": "gpt-4o", "messages": []}') == (35 // 3, None)
    assert [record.message for record in caplog.records] == ["token_meter could not count a request: RuntimeError"]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        # A fill byte and a marker without a length stand before the frame header.
        (b"\xff\xd8\xff\xff\x01\xff\xc0\x00\x11\x08\x00\x10\x00\x20", (32, 16)),
        (b"\xff\xd8\xff\xe0\x00\x04\x00\x00\xff\xc2\x00\x11\x08\x00\x01\x00\x02", (2, 1)),
        (b"\xff\xd8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", None),
        (b"\xff\xd8\xff", None),
        (b"nothing known", None),
    ],
)
def test_the_size_of_a_picture_by_its_header(head, size):
    """What is no picture has none."""
    assert size_of(head) == size


@pytest.mark.parametrize("url", ["data:image/png;base64,%%%", "data:image/png;base64,a", "data:image/png", 3, None])
def test_a_picture_that_cannot_be_looked_at_has_no_size(url):
    """It is one of unknown size, at its model's most."""
    assert image_of_url(url, "low")[:2] == (None, None)


def test_a_picture_of_unknown_size_costs_the_most_that_it_may():
    """For models that pay by the patch."""
    png = b"\x89PNG\r\n\x1a\n" + b"\x00" * 8 + (64).to_bytes(4, "big") * 2
    small = "data:image/png;base64," + base64.b64encode(png).decode()

    def ask(url: str) -> int:
        part = {"type": "image_url", "image_url": {"url": url}}
        return _tokens("chat", {"model": "gpt-4.1-mini", "messages": [{"role": "user", "content": [part]}]})

    assert ask("https://example.com/rose.png") > ask(small)
