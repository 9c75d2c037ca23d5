"""What a request would cost is known before it is sent, as far as it can be."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from token_meter.forecast import EXPECTED_OUTPUT_TOKENS, estimate_cost
from token_meter.prices import PriceBook, Rates

# A dollar a prompt token and ten an output token: the arithmetic can be read.
BOOK = PriceBook(
    overrides=[
        Rates(provider="openai", model=model, input="1000000", output="10000000")
        for model in ("gpt-4o", "gpt-5", "davinci-002", "text-embedding-3-small")
    ]
)
HI = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}  # 8 tokens


def test_low_is_the_prompt_and_high_is_what_the_request_allows() -> None:
    """The truth lies between them."""
    estimate = estimate_cost({**HI, "max_tokens": 100, "n": 2}, prices=BOOK)

    assert (estimate.low, estimate.high) == (Decimal(8), Decimal(8 + 2000))
    assert (estimate.prompt_tokens, estimate.max_output_tokens, estimate.certainty) == (8, 200, "estimated")


def test_without_a_limit_there_is_no_high() -> None:
    """An answer without a limit has no highest price; unknown is `None`."""
    estimate = estimate_cost(HI, prices=BOOK)

    assert estimate.high is None
    assert estimate.max_output_tokens is None


@pytest.mark.parametrize(
    ("more", "arguments", "expected"),
    [
        ({}, {}, EXPECTED_OUTPUT_TOKENS),
        ({}, {"expected_tokens": 20}, 20),
        ({"max_tokens": 10}, {}, 10),  # never above the limit
        ({}, {"max_tokens": 5}, 5),
        ({"max_tokens": 1000}, {"expected_tokens": 20}, 20),
    ],
)
def test_expected_is_an_answer_of_assumed_length(
    more: dict[str, Any], arguments: dict[str, Any], expected: int
) -> None:
    """The assumption is a plain number that the caller can replace."""
    estimate = estimate_cost({**HI, **more}, prices=BOOK, **arguments)

    assert estimate.expected_output_tokens == expected
    assert estimate.expected == 8 + 10 * expected


def test_a_given_limit_replaces_the_requests_own() -> None:
    """To try out what a limit would do."""
    assert estimate_cost({**HI, "max_tokens": 100}, prices=BOOK, max_tokens=1).high == 18


def test_a_text_is_one_user_message() -> None:
    """So it costs a few tokens more than its words."""
    assert estimate_cost("hi", "gpt-4o", prices=BOOK).low == 8


def test_the_model_argument_stands_in_for_a_deployment() -> None:
    """An Azure deployment's name says nothing about the model."""
    assert estimate_cost({**HI, "model": "prod-chat"}, "gpt-4o", prices=BOOK).low == 8


@pytest.mark.parametrize(
    ("request_", "low"),
    [
        ({"model": "gpt-5", "input": "hi"}, 7),
        ({"model": "davinci-002", "prompt": "Once upon"}, 2),
        ({"model": "text-embedding-3-small", "input": ["hi", "you"]}, 2),
        ({"model": "text-embedding-3-small", "input": "hi", "dimensions": 256}, 1),
    ],
)
def test_the_shape_tells_the_api(request_: dict[str, Any], low: int) -> None:
    """Chat, Responses, completions and embeddings look different enough."""
    assert estimate_cost(request_, prices=BOOK).low == low


SAID = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("request_", "api", "source"),
    [
        ({"model": "claude-sonnet-4-6", "system": "Be brief.", "messages": SAID}, "messages", "genai-prices"),
        ({"model": "claude-sonnet-4-6", "messages": SAID}, "chat", "by the model's name"),
        ({"model": "gemini-2.5-flash", "contents": [{"parts": [{"text": "hi"}]}]}, "generate_content", "genai-prices"),
        ({"modelId": "amazon.nova-pro-v1:0", "messages": [{"content": [{"text": "hi"}]}]}, "converse", "genai-prices"),
        ({"model": "deepseek/deepseek-chat", "messages": SAID}, "chat", "by the model's name"),
        ({"model": "gpt-4o-mini", "messages": SAID, "contents": []}, "chat", "genai-prices"),
    ],
)
def test_any_providers_request_has_its_price(request_: dict[str, Any], api: str, source: str) -> None:
    """Who is paid follows from the api, or from the model's name; the source says so."""
    estimate = estimate_cost(request_)

    assert estimate.api == api
    assert estimate.prompt_tokens
    assert estimate.expected is not None
    assert source in (estimate.source or "")


def test_a_given_destination_is_who_is_paid() -> None:
    """Its provider has no price for another maker's model."""
    estimate = estimate_cost({"model": "claude-sonnet-4-6", "messages": SAID}, base_url="https://api.openai.com/v1")

    assert (estimate.low, estimate.reason) == (None, "openai has no price for claude-sonnet-4-6")


def test_an_embedding_has_no_output() -> None:
    """All three figures are the same."""
    estimate = estimate_cost({"model": "text-embedding-3-small", "input": "hi"}, prices=BOOK, max_tokens=50)

    assert estimate.low == estimate.expected == estimate.high == 1


def test_a_model_without_a_price_has_tokens_and_a_reason() -> None:
    """Unknown is `None`, never 0."""
    estimate = estimate_cost("hi", "acme-7b", prices=BOOK, max_tokens=10)

    assert (estimate.low, estimate.expected, estimate.high) == (None, None, None)
    assert estimate.prompt_tokens == 8
    assert "acme-7b" in (estimate.reason or "")


def test_list_prices_without_a_book() -> None:
    """The source of the price is named."""
    estimate = estimate_cost("hi", "gpt-4o-mini", max_tokens=100)

    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 < estimate.low < estimate.high
    assert estimate.source


def test_hosted_tools_make_the_count_a_lower_bound() -> None:
    """What a search fetches is not known before."""
    estimate = estimate_cost({"model": "gpt-5", "input": "hi", "tools": [{"type": "web_search"}]}, prices=BOOK)

    assert estimate.certainty == "lower_bound"
    assert "hosted tools" in estimate.method


ADD = {"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}}}
PERSON = {"name": "Person", "schema": {"properties": {"x": {"type": "string"}}}}
STORED = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "add", "arguments": "{}"}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (HI, ("chat", "text only", "estimated", (), ())),
        ({**HI, "tools": [ADD]}, ("chat", "tool definitions", "estimated", (), ())),
        (
            {**HI, "tools": [ADD], "response_format": {"type": "json_schema", "json_schema": PERSON}},
            ("chat", "tools and structured output", "estimated", (), ()),
        ),
        (
            {"model": "gpt-5", "input": [STORED], "tools": [{"type": "web_search"}]},
            ("responses", "tool calls and results", "lower_bound", ("items with an id",), ("hosted tools",)),
        ),
        ({**HI, "model": "acme-7b"}, ("chat", "text only", "estimated", ("unknown encoding",), ())),
        (
            {"model": "gpt-5", "prompt": {"id": "pmpt_1"}},
            ("responses", "text only", "lower_bound", (), ("server state",)),
        ),
    ],
)
def test_a_forecast_says_class_certainty_and_what_is_missing(request_: dict[str, Any], said: tuple[Any, ...]) -> None:
    """How often a class is counted exactly is known; what is not counted is named."""
    estimate = estimate_cost(request_, prices=BOOK)

    assert (
        estimate.api, estimate.kind, estimate.certainty, estimate.approximate, estimate.uncounted
    ) == said  # fmt: skip


def test_a_file_counts_like_the_request_in_it(tmp_path: Path) -> None:
    """Whole, with its tools and schema."""
    body = {**HI, "tools": [ADD], "response_format": {"type": "json_schema", "json_schema": PERSON}}
    path = tmp_path / "request.json"
    path.write_text(json.dumps(body))

    assert estimate_cost(path, prices=BOOK) == estimate_cost(body, prices=BOOK)
    assert estimate_cost(path, prices=BOOK).prompt_tokens > 40


@pytest.mark.parametrize("content", ["Which rose?", "[]", "{", ""])
def test_a_file_without_a_request_is_refused_by_name(tmp_path: Path, content: str) -> None:
    """A text is passed as a text."""
    path = tmp_path / "rose.txt"
    path.write_text(content)

    with pytest.raises(ValueError, match=r"rose\.txt contains no request; expected a JSON object"):
        estimate_cost(path)
