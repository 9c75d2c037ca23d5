"""Limits around calls with fees: what the meter counts is the bill, and no more than one call passes the limit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.bill.posts import ANTHROPIC, GEMINI, OPENAI
from tests.bill.test_fees import ASKED, SEARCH, chat, generated, message, response, sonar, used
from tests.proof import limits
from token_meter import BudgetExceededError, UnpricedModelError, meter
from token_meter.prices import PriceBook, Rates
from token_meter.simulator import Simulator

SEARCHED = response(SEARCH, SEARCH, SEARCH, **used(3))
TOOL = {"tools": [{"type": "web_search"}]}
CLAUDES_TOOL = [{"type": "web_search_20250305", "name": "web_search"}]
HELLO = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
GENERATE = f"{GEMINI}/models/gemini-3-flash-preview:generateContent"
CALLS: dict[str, tuple[str, Any, Any, str]] = {
    "searches of a response": (f"{OPENAI}/responses", {"model": "gpt-5", "input": "x", **TOOL}, SEARCHED, "0.03225"),
    "a search model": (
        f"{OPENAI}/chat/completions", {"model": "gpt-4o-search-preview", **HELLO}, chat("gpt-4o-search-preview"), "0.0285"
    ),
    "requests of Perplexity": (
        "https://api.perplexity.ai/chat/completions", {"model": "sonar", **HELLO},
        sonar("sonar", search_context_size="high"), "0.012114",
    ),
    "searches of a message": (
        f"{ANTHROPIC}/messages", {"model": "claude-sonnet-4-5", "tools": CLAUDES_TOOL, **HELLO},
        message({"server_tool_use": {"web_search_requests": 4}}), "0.0445",
    ),
    "queries of Gemini": (
        GENERATE, {"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"googleSearch": {}}]},
        generated("gemini-3-flash-preview", ASKED), "0.0288",
    ),
    "a router's model that no list has, and its charge": (
        "https://openrouter.ai/api/v1/chat/completions", {"model": "acme/unlisted:online", **HELLO},
        chat("acme/unlisted", usage={"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18, "cost": 0.03}), "0.03",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("url", "asked", "answered", "cost"), CALLS.values(), ids=CALLS)
def test_a_limit_counts_fees_and_at_most_one_call_passes_it(url: str, asked: Any, answered: Any, cost: str) -> None:
    """The provider's own bill stops at the limit and one call more; two such calls never run at once."""
    bill, refused_inside = Decimal(0), 0

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal bill, refused_inside
        bill += Decimal(cost)
        try:
            with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(500))) as inner:
                inner.post(url, json=asked)
        except BudgetExceededError:
            refused_inside += 1
        return httpx.Response(200, content=json.dumps(answered), headers={"content-type": "application/json"})

    with (
        httpx.Client(transport=httpx.MockTransport(serve)) as client,
        meter(max_cost="0.1", warn_at=None, on_unpriced="ignore") as cb,
        pytest.raises(BudgetExceededError),
    ):
        for _ in range(100):
            client.post(url, json=asked)

    assert cb.cost == bill
    assert Decimal("0.1") - Decimal(cost) < bill <= Decimal("0.1") + Decimal(cost)
    assert refused_inside == bill / Decimal(cost)


@pytest.mark.parametrize("more", [
    {"web_search_options": {}}, {"plugins": [{"id": "web"}]}, {"model": "gpt-4o-mini:online"}, {"model": "groq/compound"},
    {"search_parameters": {"mode": "on"}}, {"enable_search": True}, {"tools": [{"type": "builtin_function"}]},
])  # fmt: skip
def test_a_chat_that_may_search_is_of_unknown_size(more: Any) -> None:
    from token_meter.estimate import reserve_tokens
    from token_meter.providers import api_named

    rules = api_named("chat").rules
    assert rules is not None
    asked = {"model": "gpt-4o-mini", **HELLO}
    assert reserve_tokens(rules(), json.dumps(asked).encode())[0] is not None
    assert reserve_tokens(rules(), json.dumps({**asked, **more}).encode())[0] is None


@pytest.mark.parametrize("rates", [{"input": "1"}, {"output": "1"}])
def test_a_limit_refuses_a_model_whose_tokens_have_no_rate(rates: Any) -> None:
    """What is counted of such a call is a part, which holds no limit."""
    book = PriceBook([Rates("openai", "mine", **rates)])
    with meter(max_cost=1, prices=book), pytest.raises(UnpricedModelError), httpx.Client() as client:
        client.post(f"{OPENAI}/chat/completions", json={"model": "mine", **HELLO})


# What has no price, or did not say what it used.


def told(prompt: int = 8, completion: int = 100, **more: Any) -> Any:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return {"model": "gpt-5", "choices": [{"message": {"content": "hi"}}], "usage": usage, **more}


ONE = Decimal("0.00101")  # 8 + 100 tokens of gpt-5, as they are reserved
CAPPED = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 100}
OPEN_ENDED = {key: value for key, value in CAPPED.items() if key != "max_completion_tokens"}
GEMINIS = {"contents": [{"parts": [{"text": "hi"}]}], "generationConfig": {"maxOutputTokens": 100}}
UNKNOWN: dict[str, tuple[str, Any, Any, Decimal, str]] = {
    "a tier without a rate": (
        f"{OPENAI}/chat/completions", {**CAPPED, "service_tier": "scale"}, told(service_tier="scale"), ONE, "tier scale has no rate",
    ),
    "a served model without a price": (
        f"{OPENAI}/chat/completions", CAPPED, told(model="gpt-99"), ONE, "openai has no price for gpt-99",
    ),
    "a longer answer than was reserved": (
        f"{OPENAI}/chat/completions", OPEN_ENDED, told(8, 2000, service_tier="scale"), Decimal("0.02001"), "tier scale",
    ),
    "a tier of Gemini's": (
        f"{GEMINI}/models/gemini-2.5-flash:generateContent", GEMINIS,
        generated("gemini-2.5-flash", {}) | {"usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 100,
                                             "totalTokenCount": 108, "serviceTier": "turbo"}}, Decimal("0.00025"), "tier",
    ),
    "an answer without usage that shows nothing": (
        f"{OPENAI}/images/generations", {"model": "gpt-image-1", "prompt": "a rose"}, {"created": 1, "data": []},
        Decimal("0.04"), "its answer does not say what it used",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize(("url", "asked", "answered", "least", "why"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_call_whose_cost_is_not_known_counts_as_it_was_reserved(
    url: str, asked: Any, answered: Any, least: Decimal, why: str
) -> None:
    """So the limit ends a loop; `cb.cost` stays what is known, and the refusal says why money counts as spent."""
    seen, limit = 0, least * 4

    def serve(request: httpx.Request) -> httpx.Response:
        nonlocal seen
        seen += 1
        return httpx.Response(200, json=answered)

    with (
        httpx.Client(transport=httpx.MockTransport(serve)) as client,
        meter(max_cost=limit, warn_at=None, on_unpriced="warn") as cb,
        pytest.raises(BudgetExceededError) as refused,
    ):
        for _ in range(20):
            client.post(url, json=asked)

    assert 3 <= seen <= 5
    assert refused.value.spent >= seen * least
    assert f"assumed, for {seen} calls of which not all is known: " in str(refused.value)
    assert why in str(refused.value)
    assert (cb.is_complete, cb.remaining.cost) == (False, max(Decimal(0), limit - refused.value.spent))
    assert cb.to_dict()["cost"] is None


def test_a_price_book_that_reads_the_meter_finds_calls_as_they_were_reserved() -> None:
    """While it is asked what is assumed, too: nothing turns in a circle."""

    class Reading(PriceBook):
        def price(self, call: Any) -> Any:
            looks.append((cb.cost, cb.remaining.cost, cb.reserved.calls))
            return super().price(call)

    looks: list[Any] = []
    answers = httpx.MockTransport(lambda _: httpx.Response(200, json=told(model="gpt-99")))
    cb = meter(max_cost=ONE * 4, warn_at=None, prices=Reading(), on_unpriced="ignore")
    with cb, httpx.Client(transport=answers) as client, pytest.raises(BudgetExceededError) as refused:
        for _ in range(20):
            client.post(f"{OPENAI}/chat/completions", json=CAPPED)

    assert refused.value.spent == 4 * ONE
    assert max(look[2] for look in looks) == 1
    assert min(look[1] for look in looks) >= 0


SPOKEN = {"model": "tts-1", "input": "x" * 400, "voice": "alloy"}


def test_speech_that_is_billed_by_the_character_reserves_what_it_costs() -> None:
    """The request carries the text: nothing has to be learnt from an answer that tells nothing."""
    sound = httpx.MockTransport(lambda _: httpx.Response(200, content=b"x", headers={"content-type": "audio/mpeg"}))
    with meter(max_cost="0.02", warn_at=None) as cb, httpx.Client(transport=sound) as client:
        with pytest.raises(BudgetExceededError) as refused:
            for _ in range(20):
                client.post(f"{OPENAI}/audio/speech", json=SPOKEN)

    assert (cb.cost, cb.is_complete, refused.value.wanted) == (Decimal("0.018"), True, Decimal("0.006"))


def test_a_batch_is_refused_under_a_limit_and_says_how_to_let_it_pass() -> None:
    """What stands in its file is not seen before it has ended."""
    with meter(max_cost=1) as cb, httpx.Client() as client, pytest.raises(UnpricedModelError) as refused:
        client.post(f"{OPENAI}/batches", json={"input_file_id": "f", "endpoint": "/v1/responses"})
    assert "make it within `with cb.suspended():`; it counts at its end" in str(refused.value)
    assert cb.is_complete


@pytest.mark.filterwarnings("ignore::token_meter.UnpricedWarning")
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_called_the_bill_stops_at_the_limit_and_one_call(seed: int, simulator: Simulator) -> None:
    """Random programs; `make soak` runs more of them."""
    assert limits.differences(seed, simulator) == []
