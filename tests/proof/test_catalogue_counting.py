"""The fault catalogue, F30 to F45 and F70 to F75: every call exactly once, and every value as it was meant."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import httpx2
import openai
import pytest

from tests.contract import shapes
from tests.contract.shapes import result
from tests.contract.test_transport import _assert_reads, _at
from tests.proof.canned import USAGE, answering, ask, event, json_body, streaming, telling
from token_meter import CallbackHandler, meter
from token_meter.runtime.hub import HUB
from token_meter.totals.totals import BoundedGroups


async def test_f30_parsing_a_raw_answer_again_adds_nothing(make, simulator):
    """LangChain's own way to call: raw, then parsed, once or twice."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as outer, meter() as inner:
        await shapes.raw(client)

    assert inner.total_tokens == outer.total_tokens == simulator.bill("sim-test").total_tokens
    assert inner.successful_requests == 1


def test_f31_details_are_parts_and_never_added():
    """Cached, reasoning and audio tokens are parts of the totals, and reported with them."""
    usage = {
        **USAGE, "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }  # fmt: skip
    with telling(json_body(usage)) as client, meter() as cb:
        ask(client)

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (10, 5, 15)
    assert (cb.cached_tokens, cb.reasoning_tokens, cb.audio_tokens) == (8, 4, 1)


@pytest.mark.parametrize("total", [20, 12])
def test_f32_a_total_that_is_no_sum_is_kept_as_reported(total):
    """Above the sum and below it: no count is changed, nothing on top is output, and the sum is not called the bill."""
    with (
        telling(json_body({**USAGE, "total_tokens": total})) as client,
        meter(keep_calls=True, on_unpriced="ignore") as cb,
    ):
        ask(client)

    assert (cb.prompt_tokens, cb.completion_tokens, cb.total_tokens) == (10, 5, total)
    assert cb.calls[0].tokens.billable_output_tokens == 5
    assert not cb.is_complete


async def test_f33_creating_and_retrieving_twice_is_one_call(make, simulator):
    """54 instead of 18 for those who count every answer."""
    client = make.openai(base_url=simulator.base_url, api_key="sim-test")
    with meter() as cb:
        answer = await result(client.responses.create(model="gpt-4o-mini", input="Which rose?"))
        for _ in range(2):
            await result(client.responses.retrieve(answer.id))

    assert (cb.total_tokens, cb.successful_requests) == (simulator.bill("sim-test").total_tokens, 1)


@pytest.mark.parametrize("options", ["fail=500x1", "fail=429x1+503x1"])
async def test_f35_retries_are_attempts_of_one_call(make, simulator, options):
    """Only the answer has tokens."""
    client = make.openai(base_url=_at(simulator, options), api_key="sim-test")
    with meter() as cb:
        await shapes.chat(client)

    _assert_reads(cb, simulator.bill("sim-test"))
    assert cb.failed_requests == simulator.bill("sim-test").failures > 0


async def test_f36_usage_in_an_error_body_is_not_counted(make, simulator):
    """A 429 with usage: it is not billed."""
    client = make.openai(base_url=_at(simulator, "status=429"), api_key="sim-test", max_retries=0)
    with meter() as cb, pytest.raises(openai.RateLimitError):
        await shapes.chat(client)

    assert (cb.total_tokens, cb.failed_requests, cb.unmeasured_calls) == (0, 1, 0)


async def test_f37_a_redirect_counts_its_last_answer(make, simulator):
    """The 307 carries usage too."""
    client = make.openai(base_url=_at(simulator, "redirect"), api_key="sim-test")
    with meter() as cb:
        await shapes.chat(client)

    _assert_reads(cb, simulator.bill("sim-test"))


def test_f39_a_hundred_answers_with_one_id_are_a_hundred_calls():
    """Nothing is deduplicated by the provider's id."""
    with telling(json_body(USAGE)) as client, meter() as cb:
        for _ in range(100):
            ask(client)

    assert (cb.successful_requests, cb.total_tokens) == (100, 1500)


def test_f41_installing_again_and_again_patches_once():
    """Every meter installs; one function stands between."""
    with meter(), meter(), meter() as cb, telling(json_body(USAGE)) as client:
        once = httpx2.Client.__dict__["send"]
        HUB._http.install()
        assert httpx2.Client.__dict__["send"] is once
        ask(client)

    assert cb.successful_requests == 1


def test_f42_an_answer_from_a_cache_of_the_callers_costs_nothing():
    """No request, no tokens: only the wire counts."""
    import functools

    with telling(json_body(USAGE)) as client, meter() as cb:
        cached = functools.cache(lambda: ask(client))
        cached()
        cached()

    assert cb.successful_requests == 1


def test_f44_every_open_meter_gets_a_call_once():
    """Nested, entered twice, and of the process."""
    with (
        telling(json_body(USAGE)) as client,
        meter(scope="process") as whole,
        meter() as outer,
        outer,
        meter() as inner,
    ):
        ask(client)

    assert [cb.total_tokens for cb in (whole, outer, inner)] == [15, 15, 15]


VALUES = {
    "null": None, "a string of digits": "11", "7.0": 7.0, "7.9": 7.9, "true": True, "negative": -1, "1e400": 10**400,
    "too large": 2**63, "underscores": "1_000", "spaces": " 7 ", "full width": "１１", "a list": [1], "an object": {},
}  # fmt: skip


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_f70_odd_counts_are_counts_or_unknown_and_never_harm(value):
    """A digit string and an integral float are counts; in the place of anything else stands an estimate."""
    usage = {"prompt_tokens": value, "completion_tokens": 5, "total_tokens": 15}
    with telling(json_body(usage)) as client, meter(on_unpriced="ignore") as cb, contextlib.suppress(ValueError):
        ask(client)

    counted = {"11": 11, "7.0": 7, "None": 0}.get(str(value))
    assert cb.completion_tokens == 5
    assert cb.prompt_tokens == (10 if counted is None else counted)
    assert cb.estimated_calls == (counted is None)
    assert not cb.is_complete


@pytest.mark.parametrize(
    "body",
    [
        b'{"usage":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"usage":{"prompt_tokens":' + b"9" * 5_000 + b"}}",
        b'{"usage":{"prompt_tokens":1,"prompt_tokens":NaN}}',
        b"\xff\xfe\x00{",
        b"",
    ],
    ids=["deep", "huge", "NaN", "no text", "empty"],
)
def test_f71_hostile_json_is_unknown_and_leaves_the_caller_what_it_had(body):
    """The same outcome as bare; no failure inside."""

    def outcome() -> str:
        with telling(body) as client:
            try:
                return type(ask(client)).__name__
            except Exception as error:
                return type(error).__name__

    bare = outcome()
    with meter() as cb:
        metered = outcome()

    assert metered == bare
    assert (cb.successful_requests, cb.total_tokens) == (1, 0)


@pytest.mark.parametrize(
    "name", ["\ud800", "a\x00b", "x" * 10_000_000, "\u202egnp"], ids=["surrogate", "nul", "long", "bidi"]
)
def test_f72_odd_model_names_pass_through_every_output(name, tmp_path):
    """Cut at 200 characters, visible, and writable everywhere."""
    from token_meter.ledger import Ledger, read_run

    ledger = Ledger.create(tmp_path)
    body = json.dumps({**json_body(USAGE), "model": name}).encode()
    with telling(body) as client, meter(keep_calls=True, ledger=ledger, on_unpriced="ignore") as cb:
        with contextlib.suppress(Exception):
            ask(client)
    ledger.close()

    assert cb.total_tokens == 15
    assert all(len(model) <= 210 for model in cb.by_model)
    for text in (str(cb), repr(cb), cb._repr_html_(), json.dumps(cb.to_dict())):
        assert "\x00" not in text
        assert "\u202e" not in text
    assert sum(row.call.tokens.total_tokens or 0 for row in read_run(ledger.run_dir)) == 15


def test_f73_a_flood_of_model_names_is_bounded():
    """Beyond the limit new names share one group, and the totals still hold."""
    groups = BoundedGroups()
    for number in range(BoundedGroups.LIMIT * 3):
        groups[f"model-{number}"].prompt_tokens += 1

    assert len(groups) == BoundedGroups.LIMIT + 1
    assert sum(sums.prompt_tokens for sums in groups.values()) == BoundedGroups.LIMIT * 3


def test_f74_single_calls_are_kept_only_when_asked_and_bounded():
    """Totals by default; `keep_calls=3` keeps three."""
    with telling(json_body(USAGE)) as client, meter() as plain, meter(keep_calls=3) as kept:
        for _ in range(600):
            ask(client)

    assert len(kept.calls) == 3
    with pytest.raises(ValueError, match="keep_calls"):
        _ = plain.calls
    assert (plain.total_tokens, kept.total_tokens) == (9000, 9000)
    assert not plain._inbox


def test_f75_a_clock_that_jumps_back_makes_no_negative_duration(monkeypatch):
    """Durations come from a clock that cannot jump; wall time is only shown."""
    hours = iter(range(10_000, 0, -1))
    with telling(json_body(USAGE)) as client, meter(keep_calls=True) as cb:
        monkeypatch.setattr(time, "time", lambda: float(next(hours)))
        ask(client)
        ask(client)
        monkeypatch.undo()

    assert all(call.duration_s >= 0 for call in cb.calls)
    assert len(cb.calls) == 2


def test_f18_a_stream_and_its_repeat_inside_one_answer_are_one():
    """Usage on every event of one stream is one usage."""
    with streaming(*[event(USAGE)] * 5, b"data: [DONE]\n\n") as client, meter() as cb:
        list(ask(client, stream=True))

    assert cb.total_tokens == 15


def test_f102_f38_a_handler_that_calls_a_model_counts_two_calls_and_hears_one():
    """Its own call is no nested one: another answer, another bill."""

    class Curious(CallbackHandler):
        subscribers = 0

        def on_llm_end(self, response: Any, **_: Any) -> None:
            self.subscribers += 1
            ask(client)

    handler = Curious()
    with telling(json_body(USAGE)) as client, meter(handlers=[handler]) as cb:
        ask(client)

    assert (cb.successful_requests, handler.subscribers) == (2, 1)


async def test_f35_three_gathered_calls_with_retries_read_the_bill(make, simulator):
    """Attempts of several calls do not mix."""
    client = make.openai(base_url=_at(simulator, "fail=500x1"), api_key="sim-test")
    with meter() as cb:
        if make.is_async:
            await asyncio.gather(*[shapes.chat(client) for _ in range(3)])
        else:
            for _ in range(3):
                await shapes.chat(client)

    assert cb.total_tokens == simulator.bill("sim-test").total_tokens
    assert (cb.successful_requests, cb.failed_requests) == (3, 3)


def test_f36_a_refusal_with_usage_then_success_counts_the_success():
    """429 with usage, then 200."""
    statuses = iter([429, 200])

    def answer(_: Any) -> Any:
        return httpx2.Response(next(statuses), headers={"retry-after-ms": "1"}, json=json_body(USAGE))

    with answering(answer) as client, meter() as cb:
        ask(client.with_options(max_retries=1))

    assert (cb.total_tokens, cb.failed_requests, cb.successful_requests) == (15, 1, 1)
