"""What is a provider's call and what is not: hosts, marks, usage in the answer, free paths."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from token_meter import Meter, UnpricedModelError, meter

GOOGLE = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1%3A0"


def asked(url: str, *, usage: bool = False, method: str = "POST", **options: Any) -> Meter:
    """A meter around one request whose answer reports a usage or does not."""
    body = {"id": "1", "content": [], **({"usage": {"input_tokens": 3, "output_tokens": 4}} if usage else {})}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=body))
    headers = options.pop("headers", None)
    with httpx.Client(transport=transport) as client, meter(keep_calls=True, **options) as cb:
        client.request(method, url, json={"model": "m"}, headers=headers)
    return cb


@pytest.mark.parametrize(
    "url",
    [
        f"{GOOGLE}:predictLongRunning",
        "https://generativelanguage.googleapis.com/v1beta/cachedContents",
        f"{BEDROCK}/converse",
        "https://api.cohere.com/v2/chat",
        "https://api.voyageai.com/v1/rerank",
        "https://api.anthropic.com/v1/messages/batches",
        "https://api.anthropic.com/v1/something_new",
        "https://api.openai.com/v1/batches",
        "https://api.openai.com/v1/fine_tuning/jobs",
        "https://api.openai.com/v1/evals/eval_1/runs",
        "https://eu.api.openai.com/v2/something_new",
        "https://mine.openai.azure.com/openai/v1/something_new",
    ],
)
def test_f131_a_paid_call_that_is_not_read_leaves_an_unmeasured_call_of_its_host(url: str) -> None:
    """And the sum is not said to be the bill."""
    cb = asked(url)

    assert (cb.unmeasured_calls, cb.is_complete) == (1, False)
    assert cb.calls[0].host == httpx.URL(url).host


def test_f131_a_limit_on_cost_refuses_a_call_that_is_not_read() -> None:
    """It could not hold."""
    with pytest.raises(UnpricedModelError, match=r"such answers are not read.*count it by cb\.record"):
        asked(f"{GOOGLE}:predictLongRunning", max_cost="0.01")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("POST", f"{GOOGLE}:countTokens"),
        ("POST", f"{BEDROCK}/count-tokens"),
        ("POST", "https://api.cohere.com/v1/tokenize"),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens"),
        ("GET", "https://api.anthropic.com/v1/messages/batches/b_1/results"),
        ("GET", "https://api.openai.com/v1/models"),
        ("POST", "https://api.openai.com/v1/files"),
        ("POST", "https://api.openai.com/v1/vector_stores/vs_1/search"),
        ("POST", "https://api.openai.com/v1/threads/thread_1/messages"),
        ("POST", "https://api.openai.com/v1/traces/ingest"),
        ("POST", "https://api.openai.com/v1/chat/completions/chatcmpl_1"),
        ("DELETE", "https://api.openai.com/v1/fine_tuning/jobs/1"),
        ("POST", "https://example.com/v1/anything"),
    ],
)
def test_what_costs_nothing_is_no_call(method: str, url: str) -> None:
    """Lists, files, polls and token counts."""
    cb = asked(url, method=method)

    assert (cb.calls, cb.is_complete) == ((), True)


@pytest.mark.parametrize("path", ["v1/messages", "v1beta/interactions", "v1/models/rose:predict", "interactions"])
def test_an_apps_own_path_is_no_call_of_a_provider(path: str) -> None:
    """Many services have such paths."""
    cb = asked(f"http://chat.internal/{path}")

    assert (cb.calls, cb.open_streams, cb.is_complete) == ((), 0, True)


@pytest.mark.parametrize("options", [{"usage": True}, {"headers": {"anthropic-version": "2023-06-01"}, "usage": True}])
def test_a_gateway_speaks_a_provider_where_a_usage_or_the_sdks_mark_says_so(options: dict[str, Any]) -> None:
    """By its answer, or by its request."""
    cb = asked("http://gateway.internal/v1/messages", **options)

    assert [(call.api, call.tokens.total_tokens) for call in cb.calls] == [("messages", 7)]


def test_a_call_with_the_sdks_mark_counts_also_when_its_answer_says_nothing() -> None:
    """It is unmeasured, wherever it goes."""
    cb = asked("http://gateway.internal/v1/messages", headers={"anthropic-version": "2023-06-01"})

    assert cb.unmeasured_calls == 1


def test_an_apps_own_path_takes_nothing_of_a_limit() -> None:
    """A limit of one call lets three pass that are none."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json={}))
    with httpx.Client(transport=transport) as client, meter(max_calls=1) as cb:
        answers = [client.post("http://chat.internal/v1/messages", json={}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert cb.remaining.calls == 1
