"""What providers that speak OpenAI's apis say in their own words, read through OpenAI's SDK."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import openai
import pytest

from tests.providers.anthropic_fake import FakeAnthropic, Reply
from token_meter import meter
from token_meter.prices import PriceBook

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def chat(usage: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "The sea is wide."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


def chunk(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], "type": "chunk", **more}  # fmt: skip


def asked(fake: FakeAnthropic, **options: Any) -> Any:
    """What a meter counted of one chat."""
    client = openai.OpenAI(api_key="sim-roses", base_url=f"{fake.url}/openai/v1", max_retries=0)
    with meter(prices=PriceBook(hosts={fake.url: options.pop("host")}), keep_calls=True) as cb, client:
        answer = client.chat.completions.create(**ASK, **options)
        if options.get("stream"):
            list(answer)
    return cb


GROQ = {"queue_time": 0.07, "prompt_tokens": 23, "prompt_time": 0.006, "completion_tokens": 19, "total_tokens": 42}


@pytest.mark.parametrize("at_the_top", [None, GROQ], ids=["unasked", "asked for"])
def test_groq_says_a_streams_usage_under_a_name_of_its_own(fake, at_the_top):
    first = chunk({"content": "The sea"}, x_groq={"id": "req_1"})
    last = chunk({}, x_groq={"id": "req_1", "usage": GROQ}, **({"usage": at_the_top} if at_the_top else {}))
    last["choices"][0]["finish_reason"] = "stop"
    fake.will(Reply(events=(first, last)))

    cb = asked(fake, host="groq", stream=True)

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (23, 19, 42)
    assert cb.calls[0].certainty == "exact"


@pytest.mark.parametrize("extra", [None, [], {"usage": 3}, {"usage": None}], ids=str)
def test_what_is_no_usage_there_is_none(fake, extra):
    fake.will(Reply(events=(chunk({"content": "The sea"}, x_groq=extra),)))

    assert asked(fake, host="groq", stream=True).calls[0].certainty in ("estimated", "lower_bound")


CHARGES: dict[str, tuple[dict[str, Any], str | None]] = {
    "a sum, as Perplexity's chat says it": ({"input_tokens_cost": 0.00001, "request_cost": 0.005, "total_cost": 0.005184}, "0.005184"),
    "a sum in dollars, as its responses say it": ({"currency": "USD", "total_cost": 0.0062}, "0.0062"),
    "another currency": ({"currency": "CNY", "total_cost": 0.03}, None),
    "no sum": ({"request_cost": 0.005}, None),
    "no amount": ({"total_cost": "free"}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", CHARGES)
def test_the_sum_of_a_cost_in_dollars_is_the_charge(fake, name):
    cost, expected = CHARGES[name]
    fake.will(Reply(body=chat({"prompt_tokens": 14, "completion_tokens": 170, "total_tokens": 184, "cost": cost})))

    usage = asked(fake, host="perplexity").calls[0].tokens

    assert usage.provider_cost == (None if expected is None else Decimal(expected))


CACHED: dict[str, dict[str, Any]] = {
    "Mistral": {"num_cached_tokens": 768},
    "Together": {"cached_tokens": 768},
    "Perplexity, inside of the details": {"prompt_tokens_details": {"cache_read_input_tokens": 768}},
    "OpenAI": {"prompt_tokens_details": {"cached_tokens": 768}},
}


@pytest.mark.parametrize("name", CACHED)
def test_cached_tokens_are_read_under_each_name(fake, name):
    fake.will(Reply(body=chat({"prompt_tokens": 801, "completion_tokens": 2, "total_tokens": 803, **CACHED[name]})))

    cb = asked(fake, host="mistral")

    assert (cb.prompt_tokens, cb.cached_tokens, cb.total_tokens) == (801, 768, 803)


def test_written_tokens_inside_of_the_details_are_part_of_the_prompt(fake):
    details = {"cache_creation_input_tokens": 100, "cache_read_input_tokens": 600}
    fake.will(Reply(body=chat({"prompt_tokens": 1000, "completion_tokens": 5, "total_tokens": 1005, "prompt_tokens_details": details})))  # fmt: skip

    cb = asked(fake, host="perplexity")

    assert (cb.prompt_tokens, cb.cached_tokens, cb.cache_write_tokens) == (1000, 600, 100)
