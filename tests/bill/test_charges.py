"""What a provider says it charged: whole, by the dialect of a host that is known or declared to speak it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.bill.posts import OPENAI, Answer, posted
from token_meter.prices import PriceBook

TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
OPENROUTER, XAI, PERPLEXITY = "https://openrouter.ai/api/v1", "https://api.x.ai/v1", "https://api.perplexity.ai"
DEEPINFRA, VERCEL = "https://api.deepinfra.com/v1/openai", "https://ai-gateway.vercel.sh/v1"
PROXY, CHARGED = "https://llm.corp.example/v1", {"x-litellm-response-cost": "0.0042"}
DECLARED = PriceBook(hosts={"https://llm.corp.example": "litellm"})


def chat(usage: Any = None, message: Any = None, **more: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": "hi", **(message or {})}
    return {"id": "c", "model": "some/model", "choices": [{"index": 0, "message": said, "finish_reason": "stop"}],
            "usage": {**TOKENS, **(usage or {})}, **more}  # fmt: skip


def own_key(**said: Any) -> dict[str, Any]:
    return {"cost": 0.000175, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0035}, **said}


GATEWAY = {"provider_metadata": {"gateway": {"cost": "0.0045405", "marketCost": "0.005"}}}
ROWS: dict[str, tuple[str, Any, str, tuple[str, ...]]] = {
    "OpenRouter": (OPENROUTER, chat({"cost": 0.0123}), "0.0123", ()),
    "a free model at OpenRouter": (OPENROUTER, chat({"cost": 0}), "0", ()),
    "an own key": (OPENROUTER, chat(own_key()), "0.003675", ()),
    "an own key below the free requests": (OPENROUTER, chat(own_key(cost=0)), "0.0035", ()),
    "an own key, and nothing of what it pays": (
        OPENROUTER, chat(own_key(cost_details={})), "0.000175", ("upstream_inference",)
    ),
    "upstream inside of the cost": (OPENROUTER, chat(own_key(is_byok=False)), "0.000175", ()),
    "searches are inside of the charge": (
        OPENROUTER, chat({"cost": 0.0123, "server_tool_use": {"web_search_requests": 2}}), "0.0123", ()
    ),
    "ticks of xAI": (XAI, chat({"cost_in_usd_ticks": 158500000, "num_sources_used": 4}), "0.01585", ()),
    "the total of Perplexity": (
        PERPLEXITY, chat({"cost": {"request_cost": 0.005, "total_cost": 0.0051}, "search_context_size": "low"}),
        "0.0051", (),
    ),
    "DeepInfra": (DEEPINFRA, chat({"estimated_cost": 0.0002}), "0.0002", ()),
    "Vercel, in the message": (VERCEL, chat(message=GATEWAY), "0.0045405", ()),
    "Vercel, in the usage": (VERCEL, chat({"cost": 0.0045}), "0.0045", ()),
}  # fmt: skip


def test_f144_an_own_key_without_the_routers_fee_is_not_complete_by_the_list() -> None:
    body = chat(own_key(cost=None), model="openai/gpt-4o-mini")
    cb = posted(f"{OPENROUTER}/chat/completions", {"model": "openai/gpt-4o-mini"}, body)

    assert not cb.is_complete
    assert cb.calls[0].price is not None
    assert cb.calls[0].price.missing == ("upstream_inference",)


@pytest.mark.parametrize(("base", "body", "cost", "missing"), ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("streamed", [False, True])
def test_f144_a_charge_is_read_whole_by_the_dialect_of_its_host(
    base: str, body: Any, cost: str, missing: tuple[str, ...], streamed: bool
) -> None:
    answer: Any = body
    if streamed:
        delta = {**body, "choices": [{"index": 0, "delta": body["choices"][0]["message"]}], "usage": None}
        answer = [delta, {**body, "choices": []}, "[DONE]"]
    cb = posted(f"{base}/chat/completions", {"model": "some/model", "stream": streamed}, answer)

    (call,) = cb.calls
    assert call.price is not None
    assert (call.cost, call.price.source, call.price.missing) == (Decimal(cost), "provider", missing)
    assert cb.is_complete is not missing or not cb.is_complete
    assert cb.is_complete == (not missing)


@pytest.mark.parametrize(
    ("headers", "usage", "cost"),
    [
        (CHARGED, None, "0.0042"),
        ({"x-litellm-response-cost": "4.2e-05"}, None, "0.000042"),
        (CHARGED, {"cost": 0.0041}, "0.0041"),
        ({"x-litellm-response-cost": "None"}, None, None),
        ({"x-litellm-response-cost": "0.0"}, None, None),
        ({"x-litellm-response-cost": "0.0", "x-litellm-cache-key": "k"}, None, "0"),
        ({}, None, None),
    ],
)
def test_f144_a_proxy_that_is_declared_states_its_charge_in_a_header(headers: Any, usage: Any, cost: Any) -> None:
    cb = posted(f"{PROXY}/chat/completions", {"model": "m"}, Answer(chat(usage), headers), prices=DECLARED)

    assert cb.calls[0].cost == (None if cost is None else Decimal(cost))
    assert cb.is_complete == (cost is not None)


def test_f144_a_streams_head_comes_before_its_charge() -> None:
    """Its last chunk states it, where the proxy is set up for that; else it has no price."""
    head = {"x-litellm-response-cost": "0.0"}
    told = [{**chat(), "choices": [], "usage": {**TOKENS, "cost": 0.0042}}, "[DONE]"]
    untold = [{**chat(), "choices": []}, "[DONE]"]
    costs = [
        posted(f"{PROXY}/chat/completions", {"stream": True}, Answer(events, head), prices=DECLARED).calls[0].cost
        for events in (told, untold)
    ]
    assert costs == [Decimal("0.0042"), None]


@pytest.mark.parametrize("base", ["https://other.example/v1", OPENAI])
@pytest.mark.parametrize("answer", [Answer(chat(), CHARGED), Answer(chat({"cost": 0.0042}))])
def test_f144_a_charge_of_a_host_that_is_not_known_or_declared_is_no_cost(base: str, answer: Any) -> None:
    cb = posted(f"{base}/chat/completions", {"model": "m"}, answer, prices=DECLARED)

    assert cb.calls[0].cost is None


@pytest.mark.parametrize(
    ("model", "charge", "cost", "is_believed"),
    [
        ("openai/gpt-4o", "0.35", "0.35", True),  # a hundred times 0.0035
        ("openai/gpt-4o", "0.36", "0.0035", False),
        ("openai/gpt-4o", "1000000000", "0.0035", False),
        ("acme/unlisted", "0.36", "0.36", True),
        ("acme/unlisted", "1000000000", None, False),
    ],
)
def test_f144_a_charge_a_hundred_times_the_list_is_an_anomaly(
    model: str, charge: str, cost: str | None, is_believed: bool
) -> None:
    body = {**chat({"cost": float(charge)}), "model": model}
    cb = posted(f"{OPENROUTER}/chat/completions", {"model": model}, body)

    assert cb.calls[0].cost == (None if cost is None else Decimal(cost))
    assert cb.is_complete is is_believed


@pytest.mark.parametrize("usage", [
    {"cost": 0.5, "currency": "CNY"}, {"cost": {"total_cost": 0.5, "currency": "EUR"}}, {"cost": 0.5, "cost_currency": "¥"},
])  # fmt: skip
def test_f144_other_money_is_never_dollars(usage: Any) -> None:
    cb = posted(f"{OPENROUTER}/chat/completions", {"model": "m"}, chat(usage))

    assert cb.calls[0].cost is None
