"""No request fills the simulator's memory, or holds up the others: what is made for it is bounded."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from token_meter.simulator import TEST_KEY, Simulator

KEY = {"authorization": f"Bearer {TEST_KEY}"}
CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
TOO_MUCH = {
    "choices": ("chat/completions", {**CHAT, "n": 10**6}),
    "choices of a stream": ("chat/completions", {**CHAT, "n": 129, "stream": True}),
    "completions": ("completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "hi", "n": 10**9}),
    "completions of many prompts": ("completions", {"model": "gpt-3.5-turbo-instruct", "prompt": ["a"] * 100, "n": 100}),
    "dimensions": ("embeddings", {"model": "text-embedding-3-small", "input": "hi", "dimensions": 10**9}),
    "inputs": ("embeddings", {"model": "text-embedding-3-small", "input": ["a"] * 5000}),
    "images": ("images/generations", {"model": "gpt-image-1", "prompt": "a rose", "n": 10**6}),
    "partial images": ("images/generations", {"model": "gpt-image-1", "prompt": "a", "stream": True, "partial_images": 10**6}),
}  # fmt: skip


@pytest.mark.parametrize(("path", "body"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
def test_f164_a_request_for_too_much_is_refused(simulator: Simulator, path: str, body: dict[str, Any]) -> None:
    """With 400 and the bound, at once, and nothing is billed."""
    answer = httpx.post(f"{simulator.base_url}/{path}", json=body, headers=KEY, timeout=20)

    assert answer.status_code == 400
    assert "at most" in answer.json()["error"]["message"]
    assert simulator.bill().total_tokens == 0


@pytest.mark.parametrize(
    "option",
    [
        "fail=500x1000000000", "fail=500x600+503x600", "fail=" + "+".join(["500"] * 1001), "words=1000000000",
        "huge=100000000000", "reasoning=" + "9" * 30, "polls=99999999999", "words=" + "9" * 5000,
    ],
    ids=lambda text: text[:24],
)  # fmt: skip
def test_f164_an_option_for_too_much_is_refused(simulator: Simulator, option: str) -> None:
    """With 400, before anything of that size is made."""
    answer = httpx.post(
        f"{simulator.base_url}/chat/completions", json=CHAT, headers={**KEY, "x-sim": option}, timeout=20
    )

    assert answer.status_code == 400
    assert "simulator option" in answer.json()["error"]["message"]


def test_f164_what_a_provider_allows_is_answered(simulator: Simulator) -> None:
    """The bounds are those of the API, and a thousand failures."""
    answer = httpx.post(f"{simulator.base_url}/chat/completions", json={**CHAT, "n": 128}, headers=KEY, timeout=60)
    failing = httpx.post(
        f"{simulator.base_url}/chat/completions", json=CHAT, headers={**KEY, "x-sim": "fail=503x1000"}, timeout=20
    )

    assert (len(answer.json()["choices"]), failing.status_code) == (128, 503)
