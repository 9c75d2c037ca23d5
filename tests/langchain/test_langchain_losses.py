"""What LangChain's own counters lose today is metered: each row of that list that one call shows, read against the bill.

What they lose by attribution, across nests, threads and contexts, is in test_langchain_scopes.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from tests.langchain.conftest import QUESTION, Models
from token_meter import meter

pytest.importorskip("langchain_openai", reason="the dependency group `langchain`")
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from openai import APIConnectionError, APIError, LengthFinishReasonError
from pydantic import BaseModel, Field, ValidationError


class Rose(BaseModel):
    """A rose."""

    name: str
    petals: int


class Rare(BaseModel):
    """A rose that the simulator cannot make: it knows no pattern."""

    name: str = Field(pattern="^Kazanlik$")


# Billed, and then refused by LangChain.

REFUSED: dict[str, tuple[Callable[[Models], Any], type[Exception]]] = {
    "cut by length": (
        lambda m: m.chat(max_tokens=3).with_structured_output(Rose).invoke(QUESTION), LengthFinishReasonError
    ),
    "cut by length, over Responses": (
        lambda m: m.chat(max_tokens=3, use_responses_api=True).with_structured_output(Rose).invoke(QUESTION),
        ValidationError,
    ),
    "of the wrong type": (
        lambda m: m.chat().with_structured_output(Rare, strict=False).invoke(QUESTION), ValidationError
    ),
    "of the wrong type, async": (
        lambda m: m.chat().with_structured_output(Rare, strict=False).ainvoke(QUESTION), ValidationError
    ),
    # LangChain's text model stumbles over the missing usage, after the answer came.
    "usage is null": (lambda m: m.text({"usage": "null"}).invoke(QUESTION), TypeError),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_is_refused_was_billed_all_the_same(models, name):
    """The exception is LangChain's own; the meter has what was paid."""
    ask, error = REFUSED[name]
    with meter(prices=models.prices) as cb:
        with pytest.raises(error):
            models.run(lambda: ask(models))
    bill = models.bill()

    assert bill.calls == cb.successful_requests == 1
    assert (cb.total_tokens, cb.cost) == (bill.total_tokens, bill.cost)


# Streams that end before their end.


def left(models: Models) -> None:
    for _ in models.chat({"delay": "0.02"}).stream(QUESTION):
        break


async def aleft(models: Models) -> None:
    async with contextlib.aclosing(models.chat({"delay": "0.02"}).astream(QUESTION)) as pieces:
        async for _ in pieces:
            break


async def cancelled(models: Models) -> None:
    is_reading = asyncio.Event()

    async def read() -> None:
        async for _ in models.chat({"delay": "0.02"}).astream(QUESTION):
            is_reading.set()

    task = asyncio.create_task(read())
    await is_reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def cut(models: Models) -> None:
    with pytest.raises(APIConnectionError):
        list(models.chat({"cut": "4"}).stream(QUESTION))


def broken(models: Models) -> None:
    with pytest.raises(APIError):
        list(models.chat({"error": "4"}).stream(QUESTION))


def broken_over_responses(models: Models) -> None:
    with pytest.raises(APIError):
        list(models.chat({"error": "6"}, use_responses_api=True).stream(QUESTION))


@pytest.mark.parametrize(
    "leave", [left, aleft, cancelled, cut, broken, broken_over_responses], ids=lambda f: f.__name__
)
def test_a_stream_that_ends_early_is_counted_as_far_as_it_came(models, leave):
    """Nobody told its usage; the estimate is marked, and never above what was billed."""
    with meter(prices=models.prices, keep_calls=True) as cb:
        models.run(lambda: leave(models))
    bill = models.bill()

    assert (bill.calls, len(cb.calls), cb.open_streams) == (1, 1, 0)
    assert cb.calls[0].certainty in ("estimated", "lower_bound")
    assert cb.prompt_tokens == bill.prompt_tokens
    assert 0 <= cb.completion_tokens <= bill.completion_tokens
    if leave in (cut, broken):
        assert cb.total_tokens == bill.total_tokens


def test_a_failed_response_is_counted_by_the_usage_in_its_last_event(models):
    """`response.failed` says what was used; LangChain only raises, or goes on."""
    from langchain_openai import ChatOpenAI

    response = {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o-mini-2024-07-18", "output": [],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "status": "in_progress",
    }  # fmt: skip
    usage = {"input_tokens": 13, "output_tokens": 7, "total_tokens": 20}
    failed = {**response, "status": "failed", "usage": usage, "error": {"code": "server_error", "message": "no"}}
    events = [
        {"type": "response.created", "sequence_number": 0, "response": response},
        {"type": "response.failed", "sequence_number": 1, "response": failed},
    ]
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    with httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)) as http:
        model = ChatOpenAI(model="gpt-4o-mini", api_key="sim-x", http_client=http, use_responses_api=True)
        with meter() as cb, contextlib.suppress(Exception):
            list(model.stream(QUESTION))

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (13, 7, 20)


# Answers that cost nothing.


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_an_answer_from_the_cache_is_no_call(models, colour):
    """One request and two answers from LangChain's cache: the bill has one, although the cached message has a usage too."""
    model = models.chat(cache=InMemoryCache())

    async def ask() -> None:
        for _ in range(3):
            await model.ainvoke(QUESTION)

    with meter(prices=models.prices) as cb:
        models.run(ask if colour == "async" else lambda: [model.invoke(QUESTION) for _ in range(3)])
    bill = models.bill()

    assert bill.calls == cb.successful_requests == 1
    assert (cb.total_tokens, cb.cost) == (bill.total_tokens, bill.cost)


# Prices. Rates in US dollars for a million tokens of prompt and of completion.

PRICED = {
    # Without a date LangChain's counter takes the output at the input's price.
    "o1": ({}, "15", "60"),
    "o3": ({}, "2", "8"),
    "computer-use-preview": ({}, "3", "12"),
    # Without a row for cached tokens its handler fails, and the tokens are lost too.
    "gpt-4o-audio-preview": ({}, "2.50", "10"),
    "gpt-4o-search-preview": ({}, "2.50", "10"),
    "o1-pro": ({}, "150", "600"),
    # The price of 2023 is not today's.
    "gpt-3.5-turbo": ({}, "0.50", "1.50"),
    # Newer than its table.
    "gpt-5.4": ({}, "2.50", "15"),
    # The served tier decides.
    "gpt-5-mini": ({}, "0.25", "2"),
    "gpt-5-mini, flex": ({"service_tier": "flex"}, "0.125", "1"),
    "gpt-5-mini, priority": ({"service_tier": "priority"}, "0.45", "3.60"),
}


SEARCHES = {"gpt-4o-search-preview": "0.025"}
"""What each call of a model that always searches costs beside its tokens."""


@pytest.mark.parametrize("name", PRICED)
def test_a_call_costs_what_the_list_says(models, name):
    """Worked out by hand from the billed tokens; and where the simulator has a price, it is the same."""
    options, prompt, completion = PRICED[name]
    model = name.partition(",")[0]
    with meter(prices=models.prices) as cb:
        models.chat({"model": model}, model=model, **options).invoke(QUESTION)
    bill = models.bill()

    assert cb.total_tokens == bill.total_tokens > 0
    tokens = (bill.prompt_tokens * Decimal(prompt) + bill.completion_tokens * Decimal(completion)) / 1_000_000
    assert cb.cost == tokens + Decimal(SEARCHES.get(name, 0))
    assert bill.unpriced or cb.cost == bill.cost


def test_a_cost_that_nobody_knows_is_not_zero(models):
    """Another vendor's model: its tokens are counted, and the price is said to be missing."""
    with meter(prices=models.prices, on_unpriced="ignore") as cb:
        models.chat(model="acme-7b").invoke(QUESTION)
        models.chat().invoke(QUESTION)
    bill = models.bill()

    assert cb.total_tokens == bill.total_tokens
    assert (cb.unpriced_calls, cb.is_complete) == (1, False)
    assert cb.cost == bill.cost > 0
    assert ">= $0.0000291 (1 call unpriced: acme-7b)" in str(cb)


def test_a_chat_with_several_choices_counts_all_of_them(models):
    """n=2 is one prompt and two answers."""
    with meter(prices=models.prices) as one:
        models.chat().generate([[HumanMessage(QUESTION)]])
    with meter(prices=models.prices) as two:
        models.chat(n=2).generate([[HumanMessage(QUESTION)]])

    assert two.prompt_tokens == one.prompt_tokens
    assert two.completion_tokens > one.completion_tokens
    assert one.total_tokens + two.total_tokens == models.bill().total_tokens
