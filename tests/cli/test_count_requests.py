"""`token-meter count` with whole requests: what they are, how sure their count is, and what is missing in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.estimate.by_name import prompt_tokens
from token_meter.cli import main
from token_meter.estimate import count_text

HI = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}  # 8 tokens
ADD = {"type": "function", "function": {"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}}}}
PERSON = {"type": "json_schema", "json_schema": {"name": "Person", "schema": {"properties": {"x": {"type": "string"}}}}}
WHOLE = {**HI, "tools": [ADD], "response_format": PERSON}
STORED = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "add", "arguments": "{}"}


def _count(*words: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, ["count", *words], input=given)


def _file(folder: Path, body: Any, name: str = "request.json") -> str:
    path = folder / name
    path.write_text(body if isinstance(body, str) else json.dumps(body, indent=2), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("body", "shown", "said"),
    [
        (HI, "8", "chat, text only: estimated\n"),
        ({**HI, "tools": [ADD]}, "37", "chat, tool definitions: estimated\n"),
        (WHOLE, None, "chat, tools and structured output: estimated\n"),
        ({"model": "gpt-4o", "input": "hi"}, "8", "responses, text only: estimated\n"),
        ({"model": "gpt-5", "input": "hi", "tools": [{"type": "web_search"}]}, ">=7",
         "responses, text only: lower bound; not counted: hosted tools\n"),
        ({"model": "gpt-4o", "input": [STORED]}, None,
         "responses, tool calls and results: estimated; approximate: items with an id\n"),
        ({**HI, "model": "acme-7b"}, "~8", "chat, text only: estimated; approximate: unknown encoding\n"),
        ({"model": "davinci-002", "prompt": "Once upon"}, "2", "completions, text only: estimated\n"),
        ({"model": "text-embedding-3-small", "input": ["hi", "you"]}, "2", "embeddings, text only: estimated\n"),
    ],
)  # fmt: skip
def test_a_request_says_class_certainty_and_what_is_missing(
    tmp_path: Path, body: dict[str, Any], shown: str | None, said: str
) -> None:
    """By its shape; `~` is some tokens off, `>=` lacks what only the provider sees."""
    done = _count(_file(tmp_path, body))

    assert done.exit_code == 0, done.output
    assert said in done.output
    if shown is not None:
        assert done.output.split()[0] == shown


def test_a_request_counts_as_the_rules_count_it(tmp_path: Path) -> None:
    """With its tools and its schema, not as the text of a file."""
    path = _file(tmp_path, WHOLE)
    estimate = prompt_tokens("chat", WHOLE).usage

    row = json.loads(_count("--json", path).stdout)["files"][0]

    assert estimate is not None
    assert row == {
        "file": path, "tokens": estimate.prompt_tokens, "encoding": "o200k_base", "approximate": False,
        "model": "gpt-4o", "api": "chat", "class": "tools and structured output", "certainty": "estimated",
        "approximate_because": [], "not_counted": [],
    }  # fmt: skip


def test_requests_and_texts_sum_up(tmp_path: Path) -> None:
    """Each request at its own model's price; the texts at that of -m."""
    request, text = _file(tmp_path, HI), _file(tmp_path, "hello world", "a.txt")

    total = json.loads(_count("--json", "-m", "gpt-4o", request, text).stdout)["total"]
    without = json.loads(_count("--json", request, text).stdout)["total"]

    assert total == {"tokens": 10, "cost_usd": "0.000025", "unpriced_reason": None}
    assert (without["cost_usd"], without["unpriced_reason"]) == (None, "no model was named (-m)")


def test_the_price_is_that_of_the_requests_own_model(tmp_path: Path) -> None:
    """Nothing has to be named twice; -m stands in for a deployment's name."""
    assert "as input of gpt-4o\n" in _count(_file(tmp_path, HI)).output
    assert "as input of gpt-4o\n" in _count("-m", "gpt-4o", _file(tmp_path, {**HI, "model": "prod"})).output


@pytest.mark.parametrize(
    "text",
    ['{"name": "rose", "input": "hi"}', '{"messages": "none"}', "{not json", "[1, 2]", '{"prompt": "Once"}', "{"],
)
def test_other_json_is_a_text(tmp_path: Path, text: str) -> None:
    """Any file may have an `input`; a request names its model too, or has messages."""
    row = json.loads(_count("--json", "-m", "gpt-4o", _file(tmp_path, text)).stdout)["files"][0]

    assert row["tokens"] == count_text(text, "gpt-4o").tokens
    assert "api" not in row


def test_what_a_file_is_can_be_said(tmp_path: Path) -> None:
    """A request as the text that it is, an object without a model as a request."""
    as_text = json.loads(_count("--as", "text", "-m", "gpt-4o", "--json", _file(tmp_path, HI)).stdout)["files"][0]
    as_api = json.loads(_count("--as", "responses", "--json", _file(tmp_path, {"input": "hi"})).stdout)["files"][0]
    wrong = _count("--as", "chat", _file(tmp_path, "hello"))

    assert as_text["tokens"] == count_text(json.dumps(HI, indent=2), "gpt-4o").tokens
    assert (as_api["api"], as_api["tokens"]) == ("responses", 8)
    assert wrong.exit_code != 0
    assert "contains no chat request; expected a JSON object" in wrong.output


def test_a_request_may_come_from_a_pipe() -> None:
    """With or without the mark that some editors put first."""
    for given in (json.dumps(HI), "\ufeff" + json.dumps(HI)):
        assert "chat, text only: estimated" in _count("-", given=given).output
