"""What vendors and gateways say in other words, at other levels, and in other frames. All bodies are made by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from tests.wire.by_name import StreamReader, read_body
from token_meter._fees import Fees
from token_meter.types import Usage

TEXT = {"prompt_tokens": 900, "completion_tokens": 40, "total_tokens": 940}
IN_DETAILS = "prompt_tokens_details"


def chat(usage: dict[str, Any], **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Ebb and flow."}
    return {
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": usage,
        **more,
    }


def counts_of(api: str, body: Any) -> dict[str, Any]:
    """The counts of a body, read as a whole and as the event of a stream: both must say the same."""
    raw = json.dumps(body).encode()
    whole = read_body(api, raw).usage
    reader = StreamReader(api)
    reader.feed(b"data: " + raw + b"\n\ndata: [DONE]\n\n")
    assert whole is not None
    assert reader.finish().usage == whole
    return whole.to_dict()


CACHED = {
    "OpenAI's": {IN_DETAILS: {"cached_tokens": 512}},
    "Moonshot's and Together's": {"cached_tokens": 512},
    "Mistral's": {"num_cached_tokens": 512, "prompt_audio_seconds": None},
    "Mistral's details in the singular": {"prompt_token_details": {"cached_tokens": 512}},
    "DeepSeek's": {"prompt_cache_hit_tokens": 512, "prompt_cache_miss_tokens": 388},
    "Anthropic's at the top, beside a prompt that holds them": {"cache_read_input_tokens": 512},
    "Anthropic's inside the details": {IN_DETAILS: {"cache_read_input_tokens": 512}},
    "xAI's": {"cached_prompt_text_tokens": 512},
    "a placeholder in the details, the number at the top": {IN_DETAILS: {"cached_tokens": 0}, "cached_tokens": 512},
    "a placeholder at the top, the number in the details": {"cached_tokens": 0, IN_DETAILS: {"cached_tokens": 512}},
    "the same under two names": {"cache_read_input_tokens": 512, IN_DETAILS: {"cached_tokens": 512}},
    "a gateway's camel case": {"cachedInputTokens": 512},
}
WRITTEN = {
    "OpenAI's": {IN_DETAILS: {"cache_write_tokens": 300}},
    "DashScope's": {IN_DETAILS: {"cache_creation_input_tokens": 300, "cached_tokens": 0, "cache_type": "ephemeral"}},
    "LiteLLM's": {IN_DETAILS: {"cache_creation_tokens": 300, "cached_tokens": 0}},
    "new-api's": {IN_DETAILS: {"cached_creation_tokens": 300}},
    "Anthropic's at the top, beside a prompt that holds them": {"cache_creation_input_tokens": 300},
    "OpenAI's name at the top": {"cache_write_tokens": 300},
}
REASONING = {
    "OpenAI's": {"completion_tokens_details": {"reasoning_tokens": 25}},
    "SGLang's": {"reasoning_tokens": 25, IN_DETAILS: None},
    "details in the singular": {"completion_token_details": {"reasoning_tokens": 25}},
    "Anthropic's inside the details": {"completion_tokens_details": {"thinking_tokens": 25}},
    "Gemini's": {"thoughts_token_count": 25},
    "a placeholder in the details": {"completion_tokens_details": {"reasoning_tokens": 0}, "reasoning_tokens": 25},
}


@pytest.mark.parametrize(
    ("field", "number", "said"),
    [
        *(pytest.param("cached_tokens", 512, said, id=f"cached, {name}") for name, said in CACHED.items()),
        *(pytest.param("cache_write_tokens", 300, said, id=f"written, {name}") for name, said in WRITTEN.items()),
        *(pytest.param("reasoning_tokens", 25, said, id=f"reasoning, {name}") for name, said in REASONING.items()),
    ],
)
def test_f142_a_part_is_read_under_every_name_and_the_totals_stay(
    field: str, number: int, said: dict[str, Any]
) -> None:
    counts = counts_of("chat", chat({**TEXT, **said}))

    assert counts[field] == number
    assert {name: counts[name] for name in TEXT} == TEXT


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"input_tokens": 100, "output_tokens": 20, "cache_read_input_tokens": 50}, (150, 20, 170)),
        (
            {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120, "cache_read_input_tokens": 50},
            (100, 20, 120),
        ),
        ({"promptTokens": 100, "completionTokens": 20, "totalTokens": 120}, (100, 20, 120)),
        ({"inputTokens": 100, "outputTokens": 20}, (100, 20, 120)),
    ],
)
def test_f142_totals_are_read_under_other_names(said: dict[str, Any], usage: tuple[int, int, int]) -> None:
    counts = counts_of("chat", chat(said))

    assert (counts["prompt_tokens"], counts["completion_tokens"], counts["total_tokens"]) == usage


@pytest.mark.parametrize(
    "usage",
    [
        {"total_tokens": 8},
        {"total_tokens": 8, "prompt_tokens": None},
        {"total_tokens": 8, "prompt_tokens": 0},
        {"totalTokens": 8},
    ],
)
def test_f142_a_total_of_embeddings_is_their_prompt(usage: dict[str, Any]) -> None:
    reading = read_body("embeddings", json.dumps({"object": "list", "data": [], "model": "m", "usage": usage}).encode())

    assert reading.usage == Usage(8, 0, 8)


def test_f142_an_answer_says_its_usage_in_a_vendors_place() -> None:
    """Groq's streams have it in their last chunk, under a name of their own and unasked."""
    reader = StreamReader("chat")
    for event in ({"choices": [], "x_groq": {"id": "r"}}, {"choices": [], "x_groq": {"id": "r", "usage": TEXT}}):
        reader.feed(b"data: " + json.dumps({"model": "m", **event}).encode() + b"\n\n")

    assert reader.finish().usage == Usage(900, 40, 940)


@pytest.mark.parametrize(
    ("tool", "tokens"),
    [
        ({"total_tokens": 30, "input_tokens": 10, "output_tokens": 20}, 30),
        ({"input_tokens": 10, "output_tokens": 20}, 30),
        ({"output_tokens": 20}, 20),
    ],
)
def test_f142_an_image_tool_counts_without_a_total(tool: dict[str, Any], tokens: int) -> None:
    usage = {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}
    body = {"object": "response", "model": "m", "output": [], "usage": usage, "tool_usage": {"image_gen": tool}}

    assert counts_of("responses", body)["tool_usage_tokens"] == tokens


SEARCH = {"type": "web_search_call", "status": "completed"}


@pytest.mark.parametrize(
    ("items", "searches"),
    [
        ([{**SEARCH, "action": {"type": "search", "query": "q"}}] * 3, 3),
        ([SEARCH, {**SEARCH, "action": {"type": "open_page"}}, {**SEARCH, "action": {"type": "find_in_page"}}], 1),
        ([SEARCH, {**SEARCH, "status": "failed"}], 1),
        ([{"type": "message", "content": [{"type": "output_text", "text": "web_search_call"}]}], None),
    ],
)
@pytest.mark.parametrize("padding", ["", "x" * 40_000], ids=["small", "big"])
def test_f142_searches_are_counted_by_what_shows_them(items: list[Any], searches: int | None, padding: str) -> None:
    """Older answers have no count of their searches; in an answer of any size."""
    usage = {"input_tokens": 5, "output_tokens": 6, "total_tokens": 11}
    body = {"object": "response", "model": "m", "instructions": padding, "output": items, "usage": usage}

    assert counts_of("responses", body).get("web_searches") == searches


# Frames.

USAGE = Usage(900, 40, 940)
BODY = json.dumps(chat(TEXT)).encode()
BOM = b"\xef\xbb\xbf"
BEFORE = {
    "60 blank lines": b"\n" * 60,
    "70 blank lines": b"\n" * 70,
    "200 blank lines": b"\n" * 200,
    "5,000 blank lines with spaces": b" \r\n" * 5_000,
    "a mark of byte order": BOM,
    "a mark behind blank lines": b"\n" * 80 + BOM,
    "blank lines behind a mark": BOM + b"\n" * 80,
}


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
@pytest.mark.parametrize("size", [0, 40_000], ids=["small", "big"])
def test_f143_json_is_read_behind_whatever_the_client_skips(before: bytes, size: int) -> None:
    body = before + json.dumps({"padding": "x" * size, **chat(TEXT)}).encode()
    streamed = StreamReader("chat")
    for at in range(0, len(body), 1000):
        streamed.feed(body[at : at + 1000])

    assert read_body("chat", body).usage == USAGE
    assert streamed.finish().usage == USAGE
    assert streamed.answer().texts == ("Ebb and flow.",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_f143_json_is_read_in_each_encoding_that_the_client_finds_out(encoding: str) -> None:
    assert read_body("chat", json.dumps(chat(TEXT)).encode(encoding)).usage == USAGE


def _event(**more: Any) -> bytes:
    return json.dumps({"model": "m", "choices": [{"index": 0, "delta": {"content": "Ebb"}}], **more}).encode()


LAST = _event(usage=TEXT)
GLUED = {
    "LF": b"data: " + _event() + b"\ndata: " + LAST + b"\ndata: [DONE]\n",
    "CRLF": b"data: " + _event() + b"\r\ndata: " + LAST + b"\r\ndata: [DONE]\r\n",
    "without [DONE]": b"data: " + _event() + b"\ndata: " + LAST,
    "with names": b"event: x\ndata: " + _event() + b"\nevent: x\ndata: " + LAST + b"\n",
    "with ids": b"id: 1\ndata: " + _event() + b"\nid: 2\ndata: " + LAST + b"\n",
    "with comments": b": on\ndata: " + _event() + b"\n: on\ndata: " + LAST + b"\n",
    "now and then": b"data: " + _event() + b"\n\ndata: " + _event() + b"\ndata: " + LAST + b"\n\ndata: [DONE]\n\n",
    "behind blank lines": b"\n" * 90 + b"data: " + _event() + b"\ndata: " + LAST + b"\n",
}


@pytest.mark.parametrize("raw", GLUED.values(), ids=GLUED)
def test_f143_events_that_one_line_end_parts_are_read(raw: bytes) -> None:
    streamed = StreamReader("chat")
    for at in range(0, len(raw), 7):
        streamed.feed(raw[at : at + 7])

    assert streamed.finish().usage == USAGE
    assert "".join(streamed.answer().texts).startswith("EbbEbb")
    assert read_body("chat", raw).usage == USAGE


def test_f143_one_object_over_several_lines_stays_one_event() -> None:
    """As the standard has it, also where a line happens to end in a brace."""
    raw = (
        b'data: {"model": "m", "choices": [], "usage": {"prompt_tokens": 1,\ndata: "a": {}\ndata: , "total_tokens": 3,'
    )
    raw += b'\ndata: "completion_tokens": 2}}\n\n'
    reader = StreamReader("chat")
    reader.feed(raw)

    assert reader.finish().usage == Usage(1, 2, 3)


# Charges.

BYOK = {"cost": 0.000175, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0035}}


@pytest.mark.parametrize(
    ("said", "dollars"),
    [
        ({"cost": 0.0123}, "0.0123"),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0405}}, "0.0405"),
        (BYOK, "0.003675"),
        ({**BYOK, "is_byok": False}, "0.000175"),
        ({"cost": 0.01, "cost_details": {"upstream_inference_cost": 0.01}}, "0.01"),
        ({"cost": {"total_cost": 0.0062, "currency": "USD", "input_cost": 0.0009}}, "0.0062"),
        ({"cost": {"total_cost": 0.0062, "currency": "EUR"}}, None),
        ({"cost": 0.5, "currency": "CNY"}, None),
        ({"cost": 0.5, "currency": "usd"}, "0.5"),
        ({"cost_in_usd_ticks": 158500000}, "0.01585"),
        ({"estimated_cost": 0.0002}, "0.0002"),
    ],
)
def test_f144_a_charge_is_read_whole_and_in_dollars_only(said: dict[str, Any], dollars: str | None) -> None:
    usage = read_body("chat", json.dumps(chat({**TEXT, **said})).encode()).usage

    assert usage is not None
    assert usage.provider_cost == (None if dollars is None else Decimal(dollars))
    assert usage._replace(provider_cost=None) == USAGE


def test_f144_what_the_owner_of_a_key_pays_and_a_router_does_not_say_is_missing() -> None:
    body = chat({**TEXT, "cost": 0.000175, "is_byok": True, "cost_details": None})

    usage = read_body("chat", json.dumps(body).encode()).usage

    assert usage == USAGE._replace(provider_cost=Decimal("0.000175"), fees=Fees({"upstream_inference": None}))


@pytest.mark.parametrize("amount", [b"1e99999999999999999999", b"1e9999", b"-1", b"NaN", b'"a lot"'])
def test_f144_a_charge_that_is_no_amount_costs_the_tokens_nothing(amount: bytes) -> None:
    body = json.dumps(chat({**TEXT, "cost": "CHARGE"})).encode().replace(b'"CHARGE"', amount)

    assert read_body("chat", body).usage == USAGE
