"""The seam of requests: what it leaves as it was."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from token_meter import meter
from token_meter.simulator import TEST_KEY, Simulator

requests = pytest.importorskip("requests")


def post(simulator: Simulator, **more: Any) -> Any:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], **more}
    return requests.post(
        f"{simulator.base_url}/chat/completions", json=body, stream=bool(more),
        headers={"Authorization": f"Bearer {TEST_KEY}"},
    )  # fmt: skip


def test_an_answer_that_is_read_without_a_name_is_read_whole(simulator: Simulator) -> None:
    """`requests.post(...).iter_content()`: the answer lives as long as its body is read, as without us."""
    usage = {"include_usage": True}
    with meter(on_unpriced="ignore") as cb:
        data = b"".join(post(simulator, stream=True, stream_options=usage).iter_content(9))

    assert data.rstrip().endswith(b"[DONE]")
    assert (cb.total_tokens, cb.open_streams) == (simulator.bill().total_tokens, 0)


def test_an_answer_that_is_closed_without_a_name_is_a_call(simulator: Simulator) -> None:
    with meter(on_unpriced="ignore") as cb:
        post(simulator, stream=True).close()

    assert (cb.successful_requests, cb.open_streams) == (1, 0)


def test_an_answer_can_be_pickled(simulator: Simulator) -> None:
    with meter(on_unpriced="ignore"):
        answer = post(simulator, stream=True)
        twin = pickle.loads(pickle.dumps(answer))
        answer.close()

    assert twin.text == answer.text
