"""Budgets as users meet them: limits of meters over real clients, against the simulator and mock transports."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import random
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import openai
import pytest

import token_meter.budget
from tests.budget.any_openai import ANSWER, ASK, BOOK, PROMPT, URL, Server
from tests.conftest import sdk_http
from token_meter import BlindSpotWarning, BudgetExceededError, BudgetWarning, ConfigError, UnpricedModelError, meter
from token_meter.ledger import read_run
from token_meter.prices import PriceBook

ONE = PROMPT + ANSWER
ONE_COST = Decimal("0.0000312")  # 8 x $0.15 + 50 x $0.60 per million


draws_in_streams = pytest.mark.skipif(
    "stream" not in inspect.signature(openai.resources.Images.generate).parameters, reason="this SDK streams no images"
)


def _quiet(**limits: Any) -> Any:
    return meter(prices=BOOK, warn_at=None, **limits)


def _repeat(client: Any, times: int, **changes: Any) -> None:
    for _ in range(times):
        client.chat.completions.create(**{**ASK, **changes})


# Which limits hold.


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"max_cost": ONE_COST * 2}, "cost"),
        ({"max_tokens": ONE * 2}, "tokens"),
        ({"max_calls": 2}, "calls"),
    ],
    ids=["cost", "tokens", "calls"],
)
def test_each_kind_of_limit_stops_the_third_call(limits, field):
    """Two calls fit; the error says which limit, and everything about it."""
    server = Server()
    client = server.sync()
    with _quiet(name="agent", **limits) as cb, pytest.raises(BudgetExceededError) as caught:
        _repeat(client, 3)

    (limit,) = limits.values()
    assert server.seen == 2
    assert (caught.value.meter, caught.value.field) == (cb, field)
    assert caught.value.limit == caught.value.spent == limit
    assert caught.value.reserved == 0
    assert caught.value.wanted == limit / 2


def test_the_message_says_what_happened_and_what_to_do():
    """Limit, spent, reserved, wanted; then the remedies."""
    server = Server()
    with _quiet(name="agent", max_cost="0.00005") as cb:
        server.sync().chat.completions.create(**ASK)
        with pytest.raises(BudgetExceededError) as caught:
            server.sync().chat.completions.create(**ASK)

    assert str(caught.value) == (
        "meter 'agent' is limited to $0.00005 (max_cost): $0.0000312 spent, and this call may need $0.0000312. "
        "The call was not sent: give the call a smaller max_tokens, "
        "raise max_cost, or let it pass within `with cb.suspended():`"
    )
    assert cb.remaining.cost == Decimal("0.0000188")


@pytest.mark.parametrize(
    ("limits", "asked"), [({"max_tokens": 10}, {}), ({"max_cost": 1}, {"model": "acme"})], ids=["exceeded", "unpriced"]
)
def test_a_refusal_travels_to_another_process(limits, asked):
    """Out of a pool of processes comes the same error, with its numbers; the meter stays where it is."""
    with _quiet(**limits), pytest.raises(BudgetExceededError) as caught:
        Server().sync().chat.completions.create(**{**ASK, **asked})

    there = pickle.loads(pickle.dumps(caught.value))
    assert type(there) is type(caught.value)
    assert {**vars(caught.value), "meter": None} == vars(there)
    assert str(there) == str(caught.value)


def test_the_outermost_exceeded_meter_is_named():
    """All limits of the chain hold together."""
    server = Server()
    with _quiet(max_calls=1) as outer, _quiet(max_calls=1), pytest.raises(BudgetExceededError) as caught:
        _repeat(server.sync(), 2)

    assert caught.value.meter is outer


def test_an_inner_limit_stops_only_the_inner_block():
    """Afterwards the outer block goes on."""
    server = Server()
    client = server.sync()
    with _quiet(max_calls=2) as outer:
        with _quiet(max_calls=0) as inner, pytest.raises(BudgetExceededError) as caught:
            client.chat.completions.create(**ASK)
        client.chat.completions.create(**ASK)

    assert caught.value.meter is inner
    assert outer.remaining.calls == 1


def test_a_process_meter_limits_every_thread():
    """`scope="process"` needs no context."""
    server = Server()
    with _quiet(max_calls=1, scope="process"), ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(server.sync().chat.completions.create, **ASK) for _ in range(4)]
        refused = [call.exception() for call in calls]

    assert server.seen == 1
    assert sum(isinstance(error, BudgetExceededError) for error in refused) == 3


def test_a_decorator_gives_each_call_a_budget_of_its_own():
    """`@meter(max_calls=1)` limits one run of the function."""
    server = Server()
    client = server.sync()

    @meter(max_calls=1, warn_at=None, prices=BOOK)
    def work(times: int) -> None:
        for _ in range(times):
            client.chat.completions.create(**ASK)

    work(1)
    work(1)
    with pytest.raises(BudgetExceededError, match=r"meter 'test_a_decorator"):
        work(2)
    assert server.seen == 3


def test_a_closed_meter_limits_nothing():
    """The limit is the block's."""
    server = Server()
    with _quiet(max_calls=0):
        pass
    server.sync().chat.completions.create(**ASK)

    assert server.seen == 1


def test_calls_that_are_no_model_calls_pass():
    """Listing models uses no budget."""
    http = sdk_http.Client(transport=sdk_http.MockTransport(lambda _: sdk_http.Response(200, json={"data": []})))
    client = openai.OpenAI(api_key="test", base_url=URL, http_client=http)
    with _quiet(max_calls=0):
        assert list(client.models.list()) == []


def test_azure_calls_pass_the_gate():
    """A deployment is rewritten into the path only after the gate."""
    server = Server()
    http = sdk_http.Client(transport=sdk_http.MockTransport(server))
    book = PriceBook(models={("https://acme.openai.azure.com/", "prod"): "gpt-4o-mini"})
    client = openai.AzureOpenAI(
        api_key="test", azure_endpoint="https://acme.openai.azure.com", api_version="2024-10-21", http_client=http
    )
    with meter(max_cost=ONE_COST, prices=book, warn_at=None), pytest.raises(BudgetExceededError):
        _repeat(client, 2, model="prod")

    assert server.seen == 1


# Raw clients.


def test_a_raw_client_is_refused_in_send():
    """Without an SDK the HTTP client is the last place to refuse."""
    server = Server()
    client = sdk_http.Client(transport=sdk_http.MockTransport(server))
    with _quiet(max_tokens=ONE):
        client.post(f"{URL}/chat/completions", json=ASK)
        with pytest.raises(BudgetExceededError):
            client.post(f"{URL}/chat/completions", json=ASK)

    assert server.seen == 1


async def test_a_raw_async_client_is_refused_in_send():
    """The same for the other colour."""
    server = Server()
    async with sdk_http.AsyncClient(transport=sdk_http.MockTransport(server)) as client:
        with _quiet(max_calls=0), pytest.raises(BudgetExceededError):
            await client.post(f"{URL}/chat/completions", json=ASK)

    assert server.seen == 0


# Reservations.


async def test_a_gather_of_a_hundred_on_a_budget_for_ten_is_ten_on_the_bill(simulator):
    """The server's own bill says so; the sum stays within the limit."""
    book = PriceBook(hosts={simulator.url: "openai"})
    async with simulator.async_client() as client:
        with meter(max_cost=ONE_COST * 10, prices=book, warn_at=None) as cb:
            calls = [client.chat.completions.create(**ASK) for _ in range(100)]
            found = await asyncio.gather(*calls, return_exceptions=True)

    sent = [one for one in found if not isinstance(one, BudgetExceededError)]
    assert 1 <= len(sent) <= 10
    assert simulator.bill().calls == len(sent)
    assert cb.cost == simulator.bill().cost <= ONE_COST * 10
    assert cb.reserved == (0, 0, 0)


async def test_a_gather_of_calls_of_unknown_size_overshoots_by_one_at_most(simulator):
    """What an image costs shows in its answer: one is sent at a time, even while a call of known size is in flight."""
    book = PriceBook(hosts={simulator.url: "openai"})
    image = {"model": "gpt-image-1", "prompt": "a rose"}
    async with simulator.async_client() as client:
        with meter(max_cost="0.01", prices=book, warn_at=None) as cb:
            asked = [client.images.generate(**image) for _ in range(20)]
            found = await asyncio.gather(client.chat.completions.create(**ASK), *asked, return_exceptions=True)

    refused = [one for one in found if isinstance(one, BudgetExceededError)]
    assert (len(refused), simulator.bill().calls) == (19, 2)
    assert all("send such calls one after the other" in str(one) for one in refused)
    assert cb.reserved == (0, 0, 0)


@draws_in_streams
def test_a_stream_of_unknown_size_that_was_let_go_bars_no_other(simulator):
    """The SDK's stream is a reference cycle, so that only the collector ends it."""
    book = PriceBook(hosts={simulator.url: "openai"})
    with simulator.client() as client, meter(max_cost=5, prices=book, warn_at=None) as cb:
        for _ in range(3):
            next(iter(client.images.generate(model="gpt-image-1", prompt="a rose", stream=True, partial_images=2)))

    gc.collect()
    assert simulator.bill().calls == 3
    assert cb.reserved == (0, 0, 0)


@draws_in_streams
def test_a_call_that_only_has_to_wait_is_not_on_record_as_refused(simulator, tmp_path):
    """The limit holds, and the program asks again: no report fails for it."""
    book = PriceBook(hosts={simulator.url: "openai"})
    with simulator.client() as client, meter(max_cost=5, prices=book, warn_at=None, ledger=tmp_path) as cb:
        events = client.images.generate(model="gpt-image-1", prompt="a rose", stream=True, partial_images=2)
        next(iter(events))
        with pytest.raises(BudgetExceededError, match="one after the other"):
            client.images.generate(model="gpt-image-1", prompt="a rose")
        events.close()

    reading = read_run(tmp_path)
    list(reading)
    assert (cb.failed_requests, "refused" in reading.facts.run) == (0, False)


@pytest.mark.parametrize("failure", ["status", "network"])
def test_calls_of_unknown_size_pass_one_after_the_other(failure):
    """Failed ones and retries give back what they held, as all calls do."""
    seen: list[str] = []

    def answer(request: Any) -> Any:
        seen.append(request.url.path)
        if failure == "network":
            raise sdk_http.ConnectError("no")
        return sdk_http.Response(500, headers={"retry-after-ms": "1"}, json={})

    http = sdk_http.Client(transport=sdk_http.MockTransport(answer))
    client = openai.OpenAI(api_key="test", base_url=URL, http_client=http, max_retries=1)
    with _quiet(max_cost=1, max_tokens=100) as outer, _quiet(max_cost=1) as inner:
        for _ in range(2):
            with pytest.raises(openai.APIError):
                client.with_options(max_retries=1).images.generate(model="gpt-image-1", prompt="a rose")

    assert len(seen) == 4
    assert (outer.reserved, inner.reserved) == ((0, 0, 0), (0, 0, 0))


def test_f65_threads_at_a_barrier_share_a_budget():
    """Fifty threads at once, ten calls."""
    server = Server()
    barrier = threading.Barrier(50)

    def call(_: int) -> bool:
        client = server.sync()
        barrier.wait()
        try:
            client.chat.completions.create(**ASK)
        except BudgetExceededError:
            return False
        return True

    with _quiet(max_tokens=ONE * 10) as cb, ThreadPoolExecutor(50) as pool:
        passed = list(pool.map(call, range(50)))

    assert sum(passed) == server.seen == 10
    assert cb.total_tokens == ONE * 10
    assert cb.reserved == (0, 0, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_fifty_calls_cancelled_at_random_points_leave_nothing_reserved(simulator, seed):
    """Before the headers, in the body, in the stream, at the end."""
    rng = random.Random(seed)
    book = PriceBook(hosts={simulator.url: "openai"})
    async with simulator.async_client(max_retries=0) as client:

        async def call(number: int) -> None:
            answer = await client.chat.completions.create(**ASK, stream=bool(number % 2))
            if number % 2:
                async for _ in answer:
                    pass

        async def cancel_after(task: asyncio.Task[None], turns: int) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()

        with meter(max_tokens=10**6, max_cost=10, prices=book) as cb:
            tasks = [asyncio.create_task(call(number)) for number in range(50)]
            cancels = [cancel_after(task, rng.randrange(400)) for task in tasks]
            await asyncio.gather(*cancels)
            await asyncio.gather(*tasks, return_exceptions=True)
            del tasks
            gc.collect()

            assert cb.reserved == (0, 0, 0)
            # What was cancelled may be paid, and counts as it was reserved.
            assert 10**6 - 50 * ONE <= cb.remaining.tokens <= 10**6 - cb.total_tokens
            assert cb.total_tokens <= 50 * ONE


def test_a_call_without_a_cap_reserves_the_default(monkeypatch):
    """Prompt and `DEFAULT_OUTPUT_TOKENS`, which is yours to set."""
    server = Server()
    open_ended = {name: value for name, value in ASK.items() if name != "max_tokens"}
    with _quiet(max_tokens=PROMPT + 1023), pytest.raises(BudgetExceededError) as caught:
        server.sync().chat.completions.create(**open_ended)
    assert caught.value.wanted == PROMPT + 1024

    monkeypatch.setattr(token_meter.budget, "DEFAULT_OUTPUT_TOKENS", 20)
    with _quiet(max_tokens=PROMPT + 20) as cb:
        server.sync().chat.completions.create(**open_ended)
    assert cb.total_tokens == ONE  # it overshoots by what the answer has beyond the default


@pytest.mark.parametrize("failure", ["status", "exception", "bad argument"])
def test_a_failed_call_gives_everything_back_but_what_may_be_paid(failure):
    """An answer that was lost on its way may be paid: it counts as it was reserved, and is in no sum."""

    def answer(_: Any) -> Any:
        if failure == "exception":
            msg = "gone"
            raise sdk_http.ReadError(msg)
        return sdk_http.Response(400, json={"error": {"message": "no"}})

    http = sdk_http.Client(transport=sdk_http.MockTransport(answer))
    client = openai.OpenAI(api_key="test", base_url=URL, http_client=http, max_retries=0)
    bad = {"extra_headers": {"x": object()}} if failure == "bad argument" else {}
    with _quiet(max_tokens=1000, max_calls=5) as cb:
        with pytest.raises((openai.OpenAIError, TypeError)):
            client.chat.completions.create(**ASK, **bad)

        assert cb.reserved == (0, 0, 0)
        assert (cb.remaining.tokens, cb.total_tokens) == (1000 - ONE if failure == "exception" else 1000, 0)
        assert cb.remaining.calls == (5 if failure == "bad argument" else 4)


@pytest.mark.parametrize("way", ["read", "closed", "dropped unread", "dropped half read"])
def test_a_stream_holds_its_reservation_until_it_ends(simulator, way):
    """Read, closed, or only dropped."""
    with simulator.client() as client, meter(max_tokens=1000, warn_at=None) as cb:
        stream = client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True})
        assert cb.reserved.tokens == ONE
        if way == "read":
            list(stream)
        elif way == "closed":
            next(stream)
            stream.close()
        elif way == "dropped half read":
            next(stream)
        del stream
        gc.collect()

        assert cb.reserved.tokens == 0


def test_calls_in_a_forked_child_start_with_nothing_reserved():
    """What the parent has in flight does not count against the child."""
    code = """
import os, sys
from tests.budget.any_openai import *
server = Server()
with meter(max_tokens=100, warn_at=None) as cb:
    stream = server.sync().chat.completions.create(**ASK, stream=True)
    pid = os.fork()
    if pid == 0:
        fresh = cb.reserved.tokens == 0
        server.sync().chat.completions.create(**ASK)
        list(stream)
        os._exit(0 if fresh and cb.reserved.tokens == 0 else 3)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert cb.reserved.tokens == 58
    sys.exit(code)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


# Letting calls pass.


def test_on_exceed_warn_lets_calls_pass_and_warns_once():
    """A limit that is only watched."""
    server = Server()
    client = server.sync()
    with _quiet(max_calls=1, on_exceed="warn") as cb:
        client.chat.completions.create(**ASK)
        with pytest.warns(BudgetWarning, match="1 call made, and this would be one more") as caught:
            _repeat(client, 3)

    assert len(caught) == 1
    assert server.seen == 4
    assert cb.remaining.calls == 0


def test_suspended_lets_calls_through_within_it_and_only_there():
    """A last call to wrap up; it still counts."""
    server = Server()
    client = server.sync()
    with _quiet(max_calls=0) as cb:
        with cb.suspended():
            client.chat.completions.create(**ASK)
        with pytest.raises(BudgetExceededError):
            client.chat.completions.create(**ASK)

    assert server.seen == cb.successful_requests == 1


def test_suspending_an_inner_meter_leaves_the_outer_limit():
    """One meter's limits at a time."""
    server = Server()
    with _quiet(max_calls=0) as outer, _quiet(max_calls=0) as inner, inner.suspended():
        with pytest.raises(BudgetExceededError) as caught:
            server.sync().chat.completions.create(**ASK)

    assert caught.value.meter is outer


# Soft warnings.


def test_a_warning_comes_when_the_share_is_spent():
    """By default at 80 %, once, after the call that reached it."""
    server = Server()
    client = server.sync()
    with meter("agent", max_tokens=ONE * 10, prices=BOOK):
        for _ in range(7):
            client.chat.completions.create(**ASK)
        with pytest.warns(BudgetWarning, match=r"meter 'agent' has used 464 tokens of its limit of 580") as caught:
            _repeat(client, 3)

    assert len(caught) == 1


def test_a_warning_made_an_error_does_not_take_a_paid_answer():
    """It can stop the next call, but not the one that is paid."""
    server = Server()
    with meter(max_calls=1, prices=BOOK), warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = server.sync().chat.completions.create(**ASK)

    assert answer.usage.total_tokens == ONE
    token_meter.runtime.hub.HUB.internal_errors.clear()  # the swallowed warning is counted there, as it must be


# Models without a price.


def test_an_unpriced_model_passes_when_told_to_ignore_it():
    """`on_unpriced="ignore"`: it takes nothing of the cost limit."""
    server = Server()
    with _quiet(max_cost="0.01", on_unpriced="ignore") as cb:
        server.sync().chat.completions.create(**{**ASK, "model": "acme-7b"})

    assert cb.remaining.cost == Decimal("0.01") - cb.cost


def test_on_unpriced_raise_refuses_without_any_limit():
    """Some want every call priced."""
    server = Server()
    with _quiet(on_unpriced="raise"), pytest.raises(UnpricedModelError, match="acme-7b"):
        server.sync().chat.completions.create(**{**ASK, "model": "acme-7b"})

    assert server.seen == 0


def test_an_unpriced_model_passes_a_limit_of_tokens():
    """Tokens need no price."""
    server = Server()
    with _quiet(max_tokens=ONE):
        server.sync().chat.completions.create(**{**ASK, "model": "acme-7b"})

    assert server.seen == 1


# The seam.


def test_without_the_gate_a_refusal_comes_from_send(monkeypatch):
    """An SDK that hides `request`: told, and refused one floor down."""
    server = Server()
    base = openai._base_client

    class Hidden:
        pass

    monkeypatch.setattr(base, "SyncAPIClient", Hidden)
    with pytest.warns(BlindSpotWarning, match="cannot stop calls of openai"), _quiet(max_calls=0):
        with pytest.raises((BudgetExceededError, openai.APIConnectionError)):
            server.sync().chat.completions.create(**ASK)

    token_meter.runtime.hub.HUB.internal_errors.clear()
    assert server.seen == 0


def test_the_gate_waits_for_an_openai_that_is_imported_later():
    """A meter that is open before the import limits calls of the late SDK."""
    code = """
import sys
from token_meter import meter, BudgetExceededError
with meter(max_calls=0) as cb:
    assert "openai" not in sys.modules
    from tests.budget.any_openai import *
    try:
        Server().sync().chat.completions.create(**ASK)
    except BudgetExceededError as error:
        sys.exit(7 if type(error) is BudgetExceededError else 3)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 7, done.stderr


def test_without_limits_remaining_is_unknown():
    """None is no limit; it is not 0."""
    with meter() as cb:
        assert cb.remaining == (None, None, None)


@pytest.mark.parametrize("wrong", [{"max_cost": "x"}, {"max_calls": -1}, {"on_exceed": "explode"}, {"warn_at": 80}])
def test_a_wrong_limit_is_told_at_once(wrong):
    """Not at the first call."""
    with pytest.raises(ConfigError):
        meter(**{"max_tokens": 1, **wrong})
