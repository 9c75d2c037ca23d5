"""What an answer says and cannot be believed, or leaves out: through the SDK, whole and streamed."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from openai import OpenAI

from tests.bill.posts import posted
from tests.proof.canned import DONE, MESSAGES, answering, event, json_body, streaming, telling
from tests.sdk_http import sdk_http
from token_meter import meter
from token_meter.budget import foresight
from token_meter.call import lifecycle
from token_meter.wire import read_request

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}


@pytest.mark.parametrize(
    ("asked", "named", "cost", "is_complete"),
    [
        ("flex", None, "0.000045", False),
        ("priority", None, "0.00009", False),
        ("flex", "flex", "0.000045", True),
        ("flex", "default", "0.00009", True),
        ("auto", None, "0.00009", True),
        ("default", None, "0.00009", True),
        (None, None, "0.00009", True),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_f145_a_tier_that_was_asked_for_and_is_not_named_is_a_lower_bound(
    asked: str | None, named: str | None, cost: str, is_complete: bool, streamed: bool
) -> None:
    more = {"model": "gpt-5-nano-2025-08-07", "service_tier": named}
    answer = streaming(event(), event(USAGE, "", **more), DONE) if streamed else telling(json_body(USAGE, **more))
    options: dict[str, Any] = {} if asked is None else {"service_tier": asked}
    with answer as client, meter(keep_calls=True, on_unpriced="ignore") as cb:
        answered = client.chat.completions.create(model="gpt-5-nano", messages=MESSAGES, stream=streamed, **options)
        list(answered) if streamed else None

    assert cb.cost == Decimal(cost)
    assert cb.is_complete is is_complete
    (call,) = cb.calls
    assert call.service_tier == (named or (None if is_complete else f"{asked}?"))
    assert (call.to_dict()["unpriced_reason"] is None) is is_complete


BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-lite-v1%3A0/converse"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
COUNTED = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}


@pytest.mark.parametrize(
    ("url", "asked", "answer", "tier"),
    [
        (GEMINI, "priority", {"usageMetadata": COUNTED}, "priority?"),
        (GEMINI, "standard", {"usageMetadata": COUNTED}, None),
        (GEMINI, "priority", {"usageMetadata": {**COUNTED, "serviceTier": "standard"}}, "standard"),
        (BEDROCK, {"type": "flex"}, {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}}, "flex?"),
    ],
)
def test_f145_a_tier_is_asked_for_by_other_names_too(url: str, asked: Any, answer: Any, tier: str | None) -> None:
    cb = posted(url, {"messages": [], "serviceTier": asked}, answer)

    assert (cb.calls[0].service_tier, cb.is_complete) == (tier, tier in (None, "standard"))


GROWN = {"candidates": [{"content": {"parts": [{"text": "hi"}]}}], "usageMetadata": COUNTED}
ENDED = {**GROWN, "candidates": [{"content": {"parts": [{"text": "!"}]}, "finishReason": "STOP"}]}
BLOCKED = {
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {"promptTokenCount": 10, "totalTokenCount": 10},
}
BROKEN = {"error": {"code": 500, "status": "INTERNAL"}}


@pytest.mark.parametrize(
    ("events", "is_complete"),
    [([GROWN, ENDED], True), ([BLOCKED], True), ([GROWN, GROWN], False), ([GROWN, BROKEN], False)],
)
def test_f04_what_a_stream_of_gemini_said_before_it_broke_off_is_a_lower_bound(events: Any, is_complete: bool) -> None:
    cb = posted(GEMINI.replace("generateContent", "streamGenerateContent?alt=sse"), {"contents": []}, events)

    assert cb.is_complete is is_complete
    assert cb.calls[0].certainty == ("exact" if is_complete else "lower_bound")


def test_f145_a_prompt_that_speaks_of_tiers_asks_for_none() -> None:
    with telling(json_body(USAGE)) as client, meter() as cb:
        messages: Any = [{"role": "user", "content": json.dumps({"service_tier": "flex"})}]
        client.chat.completions.create(model="gpt-4o-mini", messages=messages)

    assert cb.is_complete


@pytest.mark.skipif(not hasattr(OpenAI, "responses"), reason="this SDK has no responses")
@pytest.mark.parametrize("polled", [False, True])
@pytest.mark.parametrize(("window", "cost"), [("8h", None), ("2h", None), ("soonest", "0.003"), (None, "0.003")])
def test_f145_a_completion_window_is_discounted_though_the_answer_says_default(
    window: str | None, cost: str | None, polled: bool
) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    done = {"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-6.1-sol", "output": [],
            "service_tier": "default", "usage": usage}  # fmt: skip
    answers = iter([{**done, "status": "queued", "usage": None}, done] if polled else [done])
    options = {"background": True, "background_options": {"completion_window": window} if window else {}}
    with answering(lambda _: sdk_http.Response(200, json=next(answers))) as client, meter(on_unpriced="ignore") as cb:
        client.responses.create(model="gpt-6.1-sol", input="completion_window", extra_body=options)
        client.responses.retrieve("resp_1") if polled else None

    assert cb.prompt_tokens == 1000
    assert cb.is_complete is (cost is not None)
    assert cb.cost == Decimal(cost or 0)


ZERO = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
PROMPT = 10  # of MESSAGES, by the rules of gpt-4o-mini


def _metered(usage: dict[str, Any], text: str = "hi", *, streamed: bool = False) -> Any:
    """The meter of one call to gpt-4o-mini whose answer is *text* with *usage*."""
    if streamed:
        answer: Any = streaming(event(None, text), event(usage, "", choices=[]), DONE)
    else:
        body = json_body(usage)
        body["choices"][0]["message"]["content"] = text
        answer = telling(body)
    with answer as client, meter(keep_calls=True) as cb:
        answered = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=streamed)
        list(answered) if streamed else None
    return cb


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (ZERO, (PROMPT, 1, PROMPT + 1)),
        ({"prompt_tokens": 0, "completion_tokens": 54, "total_tokens": 54}, (PROMPT, 54, PROMPT + 54)),
        ({"prompt_tokens": 0, "completion_tokens": 54}, (PROMPT, 54, PROMPT + 54)),
        ({"input_tokens": 0, "output_tokens": 54, "total_tokens": 54}, (PROMPT, 54, PROMPT + 54)),
        ({"prompt_tokens": 13, "completion_tokens": 0, "total_tokens": 13}, (13, 1, 14)),
        ({"prompt_tokens": 13, "completion_tokens": 0, "total_tokens": 14}, (13, 1, 14)),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_f139_a_zero_that_cannot_be_true_is_estimated(
    usage: dict[str, Any], counts: tuple[int, int, int], streamed: bool
) -> None:
    cb = _metered(usage, streamed=streamed)

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == counts
    assert (cb.estimated_calls, cb.is_complete) == (1, False)
    assert cb.calls[0].certainty == "estimated"


@pytest.mark.parametrize("streamed", [False, True])
def test_f139_a_zero_of_an_answer_that_shows_nothing_is_true(streamed: bool) -> None:
    usage = {"prompt_tokens": 13, "completion_tokens": 0, "total_tokens": 13}
    cb = _metered(usage, "", streamed=streamed)

    assert (cb.prompt_tokens, cb.completion_tokens, cb.is_complete) == (13, 0, True)


def test_f139_a_report_of_zeros_behind_a_real_one_takes_nothing_back() -> None:
    with streaming(event(USAGE), event(ZERO, "", choices=[]), DONE) as client, meter() as cb:
        list(client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))

    assert (cb.prompt_tokens, cb.completion_tokens, cb.is_complete) == (1000, 100, True)


@pytest.mark.parametrize("usage", [{"prompt_tokens": 0, "total_tokens": 0}, {"total_tokens": 0}, ZERO])
def test_f139_embeddings_of_a_text_are_estimated(usage: dict[str, Any]) -> None:
    body = {"object": "list", "model": "text-embedding-3-small", "data": [], "usage": usage}
    with telling(body) as client, meter() as cb:
        client.embeddings.create(model="text-embedding-3-small", input=["a rose"], encoding_format="float")

    assert (cb.prompt_tokens, cb.completion_tokens, cb.estimated_calls) == (2, 0, 1)


def test_f139_what_no_rule_can_count_is_unmeasured() -> None:
    usage = {"type": "tokens", "input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    with telling({"text": "a rose", "usage": usage}) as client, meter() as cb:
        client.audio.transcriptions.create(model="gpt-4o-transcribe", file=("a.wav", b"RIFF"))
    with telling({"created": 1, "data": [], "usage": {**usage, "input_tokens": 0}}) as client, meter() as images:
        client.images.generate(model="gpt-image-1", prompt="a rose")

    assert (cb.unmeasured_calls, images.unmeasured_calls) == (1, 1)


ERROR = {"error": {"message": "overloaded", "type": "server_error", "code": 503}}
NO_ANSWERS = {"an error": ERROR, "an error as a text": {"error": "overloaded"}, "an empty object": {}}


@pytest.mark.parametrize("body", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_f172_what_is_no_answer_is_unmeasured_whole_and_streamed(body: dict[str, Any]) -> None:
    meters = []
    for kind in ("whole", "raw", "events"):
        raw = json.dumps(body).encode()
        answer: Any = telling(body) if kind == "whole" else streaming(raw)
        if kind == "events" and body:
            answer = streaming(b"data: " + raw + b"\n\n", DONE)
        with answer as client, meter(keep_calls=True) as cb:
            url, asked = "/chat/completions", {"model": "gpt-4o-mini", "messages": MESSAGES}
            with client._client.stream("POST", f"https://api.openai.com/v1{url}", json=asked) as response:
                response.read()
        meters.append(cb)

    assert [(cb.unmeasured_calls, cb.prompt_tokens, cb.is_complete) for cb in meters] == [(1, 0, False)] * 3


def test_f172_an_answer_that_ends_in_an_error_counts_what_it_showed() -> None:
    raw = b"data: " + json.dumps(ERROR).encode() + b"\n\n"
    with streaming(event(None, "a rose"), raw) as client, meter() as cb:
        with client._client.stream(
            "POST", "https://api.openai.com/v1/chat/completions", json={"model": "gpt-4o-mini", "messages": MESSAGES}
        ) as response:
            response.read()

    assert (cb.estimated_calls, cb.prompt_tokens) == (1, PROMPT)


@pytest.mark.parametrize("streamed", [False, True])
def test_f172_a_native_path_that_ends_like_ours_is_no_zero(streamed: bool) -> None:
    body = {"embedding": [0.1, 0.2]}
    answer = streaming(json.dumps(body).encode()) if streamed else telling(body)
    with answer as client, meter(keep_calls=True) as cb:
        asked = {"model": "nomic-embed-text", "prompt": "a rose"}
        with client._client.stream("POST", "http://10.0.0.5:11434/api/embeddings", json=asked) as response:
            response.read()

    assert cb.calls[0].usage is None
    assert cb.unmeasured_calls == 1


LEFT = event(None, "a rose is a rose is a rose")


@pytest.mark.parametrize(
    ("model", "message", "certainty"),
    [
        ("gpt-4o", "a rose", "estimated"),
        ("deepseek-chat", "a rose", "estimated"),
        ("mistral-large-latest", "a rose", "estimated"),
        ("claude-sonnet-4-5", "a rose", "estimated"),
        ("gpt-4o", [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], "estimated"),
        ("gpt-4o-mini", [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}], "estimated"),
        ("gpt-4o", [{"type": "file", "file": {"file_id": "f"}}], "lower_bound"),
        (
            "gpt-4o",
            [
                {"type": "file", "file": {"file_id": "f"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
            "estimated",
        ),
    ],
)
def test_f171_a_stream_that_is_left_is_a_lower_bound_only_where_nothing_was_counted_too_high(
    model: str, message: Any, certainty: str
) -> None:
    pieces = LEFT.replace(b'"gpt-4o-mini"', json.dumps(model).encode()), LEFT
    with streaming(*pieces) as client, meter(keep_calls=True, on_unpriced="ignore") as cb:
        messages: Any = [{"role": "user", "content": message}]
        stream = client.chat.completions.create(model=model, messages=messages, stream=True)
        next(iter(stream))
        stream.close()

    assert cb.calls[0].certainty == certainty


class _Everything:
    """A handler that is told of everything."""

    def on_chat_model_start(self, *_: Any, **__: Any) -> None: ...
    def on_llm_end(self, *_: Any, **__: Any) -> None: ...


@pytest.mark.parametrize("model", ["gpt-4o-mini", None])
@pytest.mark.parametrize(
    ("options", "most"),
    [({}, 1), ({"keep_calls": True}, 1), ({"handlers": [_Everything()]}, 1), ({"max_cost": "1"}, 2)],
    ids=["plain", "kept", "told", "limited"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_f165_a_request_is_read_once_at_its_gate_and_once_as_it_leaves(
    monkeypatch: pytest.MonkeyPatch, model: str | None, options: dict[str, Any], most: int, streamed: bool
) -> None:
    reads: list[bytes] = []

    def counted(content: bytes) -> Any:
        reads.append(content)
        return read_request(content)

    monkeypatch.setattr(lifecycle, "read_request", counted)
    monkeypatch.setattr(foresight, "read_request", counted)
    pieces = event(USAGE, model=model), DONE
    with streaming(*pieces) if streamed else telling(json_body(USAGE, model=model)) as client, meter(**options) as cb:
        more: dict[str, Any] = {"service_tier": "auto", "stream": streamed}
        answered = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, **more)
        list(answered) if streamed else None

    assert cb.total_tokens == 1100
    assert cb.cost > 0
    assert len(reads) <= most
