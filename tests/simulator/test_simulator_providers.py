"""Anthropic's messages and Google's content: a meter reads what the simulator bills for them."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from token_meter import meter
from token_meter.prices import PriceBook
from token_meter.simulator import Simulator

ASKED = "Which rose is the pinkest?"
MESSAGE: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 200,
    "system": [{"type": "text", "text": "You are a florist."}],
    "messages": [{"role": "user", "content": ASKED}],
}
CONTENT: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "You are a florist."}]},
    "contents": [{"parts": [{"text": ASKED}]}],
}
GEMINI = "/v1beta/models/gemini-2.5-flash"
ANTHROPIC_KEY, GOOGLE_KEY = {"x-api-key": "sim-test"}, {"x-goog-api-key": "sim-test"}

# path, headers, body
CALLS = {
    "message": ("/v1/messages", ANTHROPIC_KEY, MESSAGE),
    "message streamed": ("/v1/messages", ANTHROPIC_KEY, {**MESSAGE, "stream": True}),
    "message cut": ("/v1/messages", ANTHROPIC_KEY, {**MESSAGE, "max_tokens": 5}),
    "content": (f"{GEMINI}:generateContent", GOOGLE_KEY, CONTENT),
    "content streamed": (f"{GEMINI}:streamGenerateContent?alt=sse", GOOGLE_KEY, CONTENT),
    "content cut": (f"{GEMINI}:generateContent", GOOGLE_KEY, {**CONTENT, "generationConfig": {"maxOutputTokens": 5}}),
}


def text_of(answer: httpx.Response) -> str:
    """The text of an answer in any of these shapes."""
    if "event-stream" not in answer.headers["content-type"]:
        found = answer.json()
        return "".join(part["text"] for part in found.get("content") or found["candidates"][0]["content"]["parts"])
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    said = [event["delta"].get("text", "") for event in events if "delta" in event]
    return "".join(
        said + [event["candidates"][0]["content"]["parts"][0]["text"] for event in events if "candidates" in event]
    )


@pytest.mark.parametrize("name", CALLS)
def test_a_meter_reads_what_the_simulator_bills_for_other_providers(sim: Simulator, name: str):
    path, headers, body = CALLS[name]
    with meter(prices=PriceBook(hosts={sim.url: "by-model"})) as cb:
        answer = httpx.post(sim.url + path, headers=headers, json=body)

    bill = sim.bill()
    assert answer.status_code == 200, answer.text
    assert (bill.calls, bill.delivered) == (1, 1)
    assert (cb.prompt_tokens, cb.completion_tokens) == (bill.prompt_tokens, bill.completion_tokens)
    assert cb.cost == bill.cost > 0
    assert cb.is_complete


def test_the_same_question_has_the_same_answer_in_each_shape(sim: Simulator):
    said = {text_of(httpx.post(sim.url + path, headers=headers, json=body)) for path, headers, body in CALLS.values()}

    assert len(said) == 2  # and its start, of the two that are cut
    assert max(said, key=len).startswith(min(said, key=len))


@pytest.mark.parametrize(
    ("path", "body", "what"),
    [
        ("/v1/messages", {**MESSAGE, "max_tokens": None}, "max_tokens"),
        ("/v1/messages", {**MESSAGE, "messages": []}, "messages"),
        ("/v1/messages", {**MESSAGE, "tools": [{"name": "a"}]}, "no tools"),
        (f"{GEMINI}:generateContent", {"contents": "text"}, "contents"),
        (f"{GEMINI}:generateContent", {**CONTENT, "tools": [{"googleSearch": {}}]}, "no tools"),
        (f"{GEMINI}:generateContent", {**CONTENT, "generationConfig": 5}, "generationConfig"),
        (f"{GEMINI}:streamGenerateContent", CONTENT, "alt=sse"),
    ],
)
def test_what_it_does_not_serve_is_refused_and_free(sim: Simulator, path: str, body: Any, what: str):
    answer = httpx.post(sim.url + path, json=body)

    assert answer.status_code == 400
    assert what in answer.json()["error"]["message"]
    assert sim.bill(None).calls == 0
