"""`Meter.record`: a call that no seam sees counts like one that was seen."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from token_meter import BudgetExceededError, CallbackHandler, ConfigError, Usage, callbacks, meter
from token_meter.ledger import read_run
from token_meter.prices import PriceBook, Rates

BOOK = PriceBook(overrides=[Rates("toy", "toy-1", input="1", output="2")])
"""Dollars for a million tokens."""


def test_a_recorded_call_is_counted_and_priced():
    with meter(prices=BOOK, tags=["nightly"]) as cb:
        call = cb.record("toy-1", provider="toy", prompt_tokens=1000, completion_tokens=500, tags={"job": 7})

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (1000, 500, 1500)
    assert cb.cost == call.cost == Decimal("0.002")
    assert call.tags == ("nightly", "job=7")
    assert cb.successful_requests == 1
    assert cb.is_complete


def test_the_host_says_who_is_paid():
    book = PriceBook(overrides=[Rates("toy", "toy-1", input="1", output="2")], hosts={"llm.toy.example": "toy"})
    with meter(prices=book) as cb:
        call = cb.record("toy-1", host="llm.toy.example", prompt_tokens=1, completion_tokens=1)

    assert (call.provider, call.cost) == ("toy", Decimal("0.000003"))


@pytest.mark.parametrize(
    ("api", "usage"),
    [
        ("chat", {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}),
        ("responses", {"input_tokens": 7, "output_tokens": 5}),
        ("messages", {"input_tokens": 4, "cache_read_input_tokens": 3, "output_tokens": 5}),
        ("unknown", {"input_tokens": 7, "output_tokens": 5}),
        ("unknown", Usage(7, 5, 12)),
    ],
)
def test_a_usage_object_is_read_as_its_provider_answered_it(api, usage):
    with meter() as cb:
        cb.record("m", api=api, usage=usage)

        assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (7, 5, 12)


def test_without_counts_a_call_is_unmeasured_and_a_failed_one_used_nothing():
    with meter() as cb:
        unknown = cb.record("m")
        failed = cb.record("m", status=429, error="RateLimitError")

    assert (unknown.certainty, failed.certainty, failed.outcome) == ("unmeasured", "exact", "error")
    assert (cb.unmeasured_calls, cb.failed_requests) == (1, 1)


def test_meters_around_the_block_count_it_and_others_do_not():
    other = meter()
    with meter() as outer, meter() as inner:
        inner.record("m", prompt_tokens=1, completion_tokens=1)
        other.record("m", prompt_tokens=5, completion_tokens=5)

    assert (inner.total_tokens, outer.total_tokens, other.total_tokens) == (2, 2, 10)


def test_handlers_hear_of_its_end_once():
    heard = []

    class Handler(CallbackHandler):
        def on_llm_start(self, serialized, prompts, **kwargs):
            heard.append("start")

        def on_llm_end(self, response, **kwargs):
            heard.append(("end", response.model, response.cost, kwargs["run_id"]))

        def on_llm_error(self, error, **kwargs):
            heard.append(("error", kwargs["response"].status))

    handler = Handler()
    with meter(prices=BOOK, handlers=[handler]) as cb, callbacks(handler):
        call = cb.record("toy-1", provider="toy", prompt_tokens=1, completion_tokens=0)
        cb.record("toy-1", provider="toy", status=500)

    assert heard == [("end", "toy-1", Decimal("0.000001"), call.id), ("error", 500)]


def test_a_coroutine_handler_is_told_also_where_a_loop_runs():
    heard = []

    class Handler:
        async def on_llm_end(self, response, **kwargs):
            await asyncio.sleep(0)
            heard.append(response.tokens.total_tokens)

    async def program():
        async with meter(handlers=[Handler()]) as cb:
            cb.record("m", prompt_tokens=1, completion_tokens=2)

    asyncio.run(program())

    assert heard == [3]


def test_a_recorded_call_stands_in_the_ledger(tmp_path):
    with meter(ledger=tmp_path) as cb:
        call = cb.record("m", provider="toy", prompt_tokens=3, completion_tokens=4, tags=["batch"], duration_s=1.5)

    [row] = [row.call for path in tmp_path.rglob("*.jsonl") for row in read_run(path)]
    assert (row.id, row.model, row.tokens.total_tokens, row.tags) == (call.id, "m", 7, ("batch",))


def test_it_counts_against_limits_and_is_never_refused():
    with meter(max_calls=2, max_tokens=100, warn_at=None) as cb:
        cb.record("m", prompt_tokens=60, completion_tokens=30)
        left = cb.remaining
        cb.record("m", prompt_tokens=60, completion_tokens=30)

    assert (left.tokens, left.calls) == (10, 1)
    assert (cb.remaining.tokens, cb.remaining.calls) == (0, 0)


def test_what_was_recorded_can_stop_a_call_that_is_sent(chat):
    with meter(max_tokens=100, warn_at=None) as cb:
        cb.record("m", prompt_tokens=60, completion_tokens=40)
        with pytest.raises(BudgetExceededError):
            chat()


@pytest.mark.parametrize(
    "arguments",
    [
        {"usage": Usage(1, 1, 2), "prompt_tokens": 1},
        {"prompt_tokens": -1},
        {"prompt_tokens": 1.5},
        {"usage": {"prompt_tokens": "many", "completion_tokens": 1}},
        {"usage": 5},
        {"tags": "nightly"},
    ],
)
def test_what_cannot_be_meant_is_an_error_and_counts_nothing(arguments):
    with meter() as cb:
        with pytest.raises(ConfigError):
            cb.record("m", **arguments)

    assert cb.successful_requests == 0
