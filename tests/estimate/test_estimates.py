"""What a call used when its answer did not say: prompt by the rules, answer by what was seen, and how sure that is."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.estimate.by_name import estimate_usage, output_cap, prompt_tokens, reserve_tokens, rules_of
from tests.estimate.truth import BY_NAME, o200k
from token_meter.estimate import Counted, usage
from token_meter.estimate import estimate_usage as estimate_with
from token_meter.providers import api_named
from token_meter.types import Answer, Usage

HI = {"messages": [{"role": "user", "content": "hi"}]}  # 8 tokens for classic models, 7 for newer ones
TEXT = "The answer is forty-two."
ADD = ("add", '{"a":1,"b":2}')
TWICE = (
    '{"tool_uses":[{"recipient_name":"functions.add","parameters":{"a":1,"b":2}},'
    '{"recipient_name":"functions.add","parameters":{"a":1,"b":2}}]}'
)
Count = Callable[[str], int]


def _body(**more: Any) -> bytes:
    return json.dumps({**HI, **more}).encode()


ANSWERS: list[tuple[str, str, str, Answer, Callable[[Count], int]]] = [
    ("a cut text", "chat", "gpt-4o", Answer((TEXT,)), lambda n: n(TEXT)),
    ("a text that met its limit", "chat", "gpt-4o", Answer((TEXT,), finish="length"), lambda n: n(TEXT)),
    ("a whole text", "chat", "gpt-4o", Answer((TEXT,), finish="stop"), lambda n: n(TEXT)),
    ("nothing yet", "chat", "gpt-4o", Answer(), lambda n: 0),
    ("two choices", "chat", "gpt-4o", Answer((TEXT, TEXT), finish="stop"), lambda n: 2 * n(TEXT)),
    ("a call", "chat", "gpt-4o", Answer((), (ADD,), finish="tool_calls"), lambda n: n("add") + n(ADD[1]) + 7),
    ("two calls", "chat", "gpt-4o", Answer((), (ADD, ADD), finish="tool_calls"), lambda n: n(TWICE) + 10),
    ("a text and a call", "chat", "gpt-4", Answer((TEXT,), (ADD,)), lambda n: n(TEXT) + n("add") + n(ADD[1]) + 7),
    ("a cut text in Responses", "responses", "gpt-4o", Answer((TEXT,)), lambda n: n(TEXT)),
    ("a whole text in Responses", "responses", "gpt-4o", Answer((TEXT,), finish="completed"), lambda n: n(TEXT) + 1),
    (
        "a call in Responses",
        "responses",
        "gpt-4o",
        Answer((), (ADD,), finish="completed"),
        lambda n: n("add") + n(ADD[1]) + 8,
    ),
    ("a completion", "completions", "davinci-002", Answer((TEXT,), finish="stop"), lambda n: n(TEXT)),
    ("newer models", "chat", "gpt-5", Answer((TEXT,), finish="stop"), lambda n: n(TEXT) + 3),
    ("newer models, after thinking", "chat", "gpt-5", Answer((TEXT,), (), True, "stop"), lambda n: n(TEXT) + 9),
    ("newer models, in Responses", "responses", "gpt-5", Answer((TEXT,), (), True, "completed"), lambda n: n(TEXT) + 6),
    ("newer models, cut", "chat", "gpt-5", Answer((TEXT,)), lambda n: n(TEXT)),
    (
        "newer models, a call",
        "chat",
        "gpt-5",
        Answer((), (ADD,), finish="tool_calls"),
        lambda n: n("add") + n(ADD[1]) + 16,
    ),
]


@pytest.mark.parametrize(
    ("api", "model", "answer", "worked_out"), [a[1:] for a in ANSWERS], ids=[a[0] for a in ANSWERS]
)
def test_answer(api: str, model: str, answer: Answer, worked_out: Callable[[Count], int]) -> None:
    """The visible text, and the marks that end a message or frame a call."""
    estimate = estimate_usage(api, b"{}", answer, model)
    n = BY_NAME["o200k_base" if model.startswith(("gpt-4o", "gpt-5")) else "cl100k_base"]

    assert estimate.usage is not None
    assert estimate.usage.completion_tokens == worked_out(n)


def test_a_cut_stream_of_a_classic_model_is_estimated() -> None:
    """Nothing of it was invisible; what was cached is not guessed."""
    estimate = estimate_usage("chat", _body(model="gpt-4o"), Answer((TEXT,)), "gpt-4o-2024-08-06")

    assert estimate[:3] == (Usage(8, o200k(TEXT), 8 + o200k(TEXT)), "estimated", "o200k_base: text")
    assert (estimate.kind, estimate.approximate, estimate.uncounted) == ("text only", (), ())


def test_the_model_of_the_answer_decides() -> None:
    """On Azure the request names a deployment."""
    estimate = estimate_usage("chat", _body(model="prod-chat"), Answer((TEXT,)), "gpt-4-0613")

    assert estimate.method == "cl100k_base: text"


def test_the_model_of_the_request_decides_without_it() -> None:
    """A stream may be cut before it names its model."""
    assert estimate_usage("chat", _body(model="gpt-4"), Answer(), None).method == "cl100k_base: text"


def test_an_unknown_model_is_marked() -> None:
    """The question mark says that the encoding is a guess."""
    assert estimate_usage("chat", _body(model="acme-7b"), Answer((TEXT,)), None).method == "o200k_base?: text"


@pytest.mark.parametrize(
    ("model", "more", "answer", "certainty"),
    [
        ("gpt-5", {}, Answer((TEXT,)), "lower_bound"),
        ("o3", {}, Answer((TEXT,), finish="stop"), "lower_bound"),
        ("gpt-5.2", {"reasoning_effort": "none"}, Answer((TEXT,)), "estimated"),
        ("gpt-5-chat-latest", {}, Answer((TEXT,)), "estimated"),
        ("deepseek-chat", {}, Answer((TEXT,)), "estimated"),
        ("deepseek-chat", {}, Answer((TEXT,), reasoned=True), "estimated"),
        ("gpt-4o-audio-preview", {"modalities": ["text", "audio"]}, Answer((TEXT,)), "lower_bound"),
    ],
)
def test_hidden_output_makes_a_lower_bound(model: str, more: dict[str, Any], answer: Answer, certainty: str) -> None:
    """Reasoning is half of the output in the median, and not in the stream."""
    assert estimate_usage("chat", _body(**more), answer, model).certainty == certainty


def test_reasoning_switched_off_in_responses() -> None:
    """The Responses API names the effort elsewhere."""
    body = json.dumps({"input": "hi", "reasoning": {"effort": "none"}}).encode()

    assert estimate_usage("responses", body, Answer((TEXT,)), "gpt-5.2").certainty == "estimated"


def test_dropped_choices_make_a_lower_bound() -> None:
    """`best_of` bills what it does not show."""
    body = json.dumps({"prompt": "Once", "best_of": 3}).encode()

    estimate = estimate_usage("completions", body, Answer((" upon a time",)), "davinci-002")

    assert estimate.certainty == "lower_bound"
    assert estimate.method.endswith("of unknown: dropped choices")


def test_an_echoed_prompt_was_not_generated() -> None:
    """The text of the answer begins with the prompt, which is billed as one."""
    body = json.dumps({"prompt": "Once upon", "echo": True}).encode()

    estimate = estimate_usage("completions", body, Answer(("Once upon a time",)), "davinci-002")

    assert estimate.usage == Usage(2, 2, 4)


@pytest.mark.parametrize("request_", [None, b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_without_a_readable_request_the_prompt_is_unknown(request_: bytes | None) -> None:
    """Unknown is `None`, never 0."""
    estimate = estimate_usage("chat", request_, Answer((TEXT,)), "gpt-4o")

    assert estimate.usage == Usage(completion_tokens=o200k(TEXT))
    assert estimate.certainty == "lower_bound"


@pytest.mark.parametrize("api", ["images", "speech", "transcriptions", "runs", "unknown", ""])
def test_what_has_no_rule_stays_unmeasured(api: str) -> None:
    """A guess without ground is worse than none, and its price is not one of tokens that a request could tell."""
    assert api_named(api).rules is None


def test_a_failure_is_logged_without_the_prompt(caplog: pytest.LogCaptureFixture) -> None:
    """An estimate must not harm the call that it is about, nor tell what was asked."""

    def fail(*args: object) -> Counted:
        raise KeyError("the secret prompt")

    with caplog.at_level(logging.WARNING, logger="token_meter"):
        estimate = estimate_with(rules_of("chat")._replace(count_prompt=fail), _body(), Answer((TEXT,)), "gpt-4o")

    assert (estimate.usage, estimate.certainty) == (None, "unmeasured")
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


def test_nothing_that_an_estimate_says_quotes_the_request() -> None:
    """Methods go into reports."""
    body = _body(model="gpt-4o", tools=[{"type": "secret_tool"}], user="secret user")

    assert "secret" not in repr(estimate_usage("chat", body, Answer(("secret answer",)), "gpt-4o"))


@pytest.mark.parametrize(
    ("api", "request_", "cap"),
    [
        ("chat", {}, None),
        ("chat", {"max_tokens": 10}, 10),
        ("chat", {"max_completion_tokens": 10, "max_tokens": 99}, 10),
        ("chat", {"max_tokens": 10, "n": 3}, 30),
        ("chat", {"max_tokens": None}, None),
        ("chat", {"max_tokens": True}, None),
        ("chat", {"max_tokens": -5}, None),
        ("chat", {"max_tokens": "10"}, None),
        ("chat", {"max_output_tokens": 10}, None),
        ("responses", {"max_output_tokens": 10}, 10),
        ("responses", {"max_output_tokens": 10, "n": 3}, 10),
        ("responses", {"max_tokens": 10}, None),
        ("completions", {"max_tokens": 10, "best_of": 4, "n": 2}, 40),
        ("completions", {"max_tokens": 10, "prompt": ["a", "b"], "n": 2}, 40),
        ("completions", {"max_tokens": 10, "prompt": [1, 2, 3]}, 10),
        ("embeddings", {}, 0),
    ],
)
def test_output_cap(api: str, request_: dict[str, Any], cap: int | None) -> None:
    """The request's own limit, over all that it generates; no limit is `None`, never 0."""
    assert output_cap(api, request_) == cap


def test_a_small_request_is_reserved_exactly() -> None:
    """What is reserved is what will be counted."""
    assert reserve_tokens("chat", _body(model="gpt-4o", max_tokens=10, n=2)) == (8, 20)


def test_a_large_request_is_reserved_from_above_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document is not tokenized while the caller waits."""
    text = "The quick brown fox jumps over the lazy dog. " * 2000
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}
    counted = prompt_tokens("chat", body).usage
    longest = []
    real = usage.counter("o200k_base")
    monkeypatch.setattr(usage, "counter", lambda name: lambda part: longest.append(len(part)) or real(part))

    prompt, cap = reserve_tokens("chat", json.dumps(body).encode())

    assert counted is not None
    assert counted.prompt_tokens is not None
    assert counted.prompt_tokens < prompt < 2 * counted.prompt_tokens
    assert cap is None
    assert max(longest) < 100


@pytest.mark.parametrize("words", ["玫瑰的颜色是什么 ", "Какого цвета роза? ", "Größe, déjà vu ", "🌹 🥀 "])
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4"])
def test_a_large_schema_is_reserved_from_above_in_any_script(model: str, words: str) -> None:
    """Models see its letters beyond ASCII as escapes, which have more tokens than bytes by three."""
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": words * 1000}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "Rose", "schema": schema}}
    body = {**HI, "model": model, "response_format": wanted}
    counted = prompt_tokens("chat", body).usage

    prompt, _ = reserve_tokens("chat", json.dumps(body).encode())

    assert counted is not None
    assert 0 < (counted.prompt_tokens or 0) < prompt < 3 * (counted.prompt_tokens or 0)


@pytest.mark.parametrize("request_", [b"", b"{", b"[]", b"[" * 100_000, b'{"messages": 5}'])
def test_a_reservation_never_raises(request_: bytes) -> None:
    """A budget must hold for any request."""
    prompt, cap = reserve_tokens("chat", request_)

    assert prompt <= max(3, len(request_))
    assert cap is None


@pytest.mark.parametrize(
    "more",
    [
        {"input": [{"type": "compaction", "encrypted_content": "x"}, {"role": "user", "content": TEXT}]},
        {"input": TEXT, "truncation": "auto", "previous_response_id": "resp_1"},
        {"input": TEXT, "context_management": [{"type": "compaction"}], "conversation": "conv_1"},
    ],
)
def test_f171_a_conversation_that_the_provider_may_shorten_is_no_lower_bound(more: dict[str, Any]) -> None:
    """It reads a summary in the place of items that were sent."""
    estimate = estimate_usage("responses", _body(model="gpt-4o", **more), Answer((TEXT,), finish="completed"), "gpt-4o")

    assert estimate.certainty == "estimated"
    assert "at most: compacted items" in estimate.method


def test_f171_what_is_counted_at_its_largest_says_so() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    request = _body(model="gpt-4o-mini", messages=[{"role": "user", "content": [image]}])
    estimate = estimate_usage("chat", request, Answer((TEXT,), finish="stop"), "gpt-4o-mini")

    assert (estimate.certainty, estimate.is_floor) == ("estimated", False)
    assert "at most: images of unknown size" in estimate.method
