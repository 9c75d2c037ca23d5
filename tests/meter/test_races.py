"""Threads that read, end calls and ask at the same time: who reads sees every call that has returned."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from time import sleep
from typing import Any

import pytest

from tests.budget.any_openai import ANSWER, ASK, BOOK, PROMPT, URL, Server, library
from tests.meter.races import LIMITS, MILLION, Book, blocks_that_fill
from tests.meter.test_reading import call, filled
from tests.meter.threads import together
from token_meter import BudgetExceededError, meter
from token_meter.budget.account import Ask, admit
from token_meter.budget.amounts import Amounts
from token_meter.types import Call, Usage

LOOKS: dict[str, Callable[[Any], object]] = {
    "cost": lambda cb: cb.cost,
    "total_cost": lambda cb: Decimal(str(cb.total_cost)),
    "by_model": lambda cb: cb.by_model["gpt-4o-mini"].cost,
    "by_tag": lambda cb: cb.by_tag["a"].cost,
    "to_dict": lambda cb: Decimal(cb.to_dict()["cost"]),
    "spent": lambda cb: cb.budget.account.spent.cost,
    "remaining": lambda cb: Decimal(100) - cb.remaining.cost,
}


@pytest.mark.parametrize("look", LOOKS)
def test_f121_a_look_sees_a_call_that_another_thread_prices(held, look):
    """That thread's price book takes its time, and the look waits for nothing of it."""
    cb = filled(call(tags=("a",)), prices=Book(held.wait), max_cost=100, warn_at=None)
    held.start(lambda: cb.cost)

    assert LOOKS[look](cb) == MILLION
    held.let_go()
    assert (cb.cost, cb.is_complete) == (MILLION, True)


def test_f121_no_line_hides_a_call_that_another_thread_prices(held):
    """Nor the block, nor the notebook's card."""
    cb = filled(call(), prices=Book(held.wait))
    held.start(lambda: cb.cost)

    assert all("$0.1500" in text for text in (repr(cb), str(cb), cb._repr_html_()))


def _chat(client: Any) -> None:
    client.chat.completions.create(**ASK)


def _run_of_assistants(client: Any) -> None:
    client.beta.threads.runs.create(thread_id="t", assistant_id="a", model="gpt-4o-mini")
    client.beta.threads.runs.retrieve("r", thread_id="t")


class Assistants(Server):
    """Answers runs too: queued when they are made, and done at the first look."""

    def __call__(self, request: Any) -> Any:
        if "/runs" not in request.url.path:
            return super().__call__(request)
        self.seen += 1
        usage = {"prompt_tokens": PROMPT, "completion_tokens": ANSWER, "total_tokens": PROMPT + ANSWER}
        status, used = ("queued", None) if request.method == "POST" else ("completed", usage)
        return library.Response(
            200,
            json={"id": "r", "object": "thread.run", "status": status, "model": "gpt-4o-mini", "usage": used},
        )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("send", [_chat, _run_of_assistants], ids=["chat", "assistants' run"])
def test_f121_a_limit_holds_while_another_thread_prices_the_call_that_used_it_up(held, send):
    """The call has given its reservation back, and its cost is not added yet."""
    client = Assistants().sync(max_retries=0)
    one = BOOK.price(call()._replace(base_url=URL, usage=Usage(PROMPT, ANSWER, PROMPT + ANSWER))).cost
    with meter(prices=Book(held.wait), max_cost=one, warn_at=None) as cb:
        send(client)
        held.start(lambda: cb.cost)

        with pytest.raises(BudgetExceededError, match="max_cost"):
            send(client)


@pytest.mark.parametrize("limit", LIMITS)
def test_f121_no_limit_is_passed_by_threads_that_ask_and_end(limit):
    """Eleven of 24 calls of one size fit, for any interleaving of threads. (`make soak` looks at 5,000 blocks.)"""
    blocks_that_fill(limit, 200)


def test_f121_who_reads_sees_every_call_that_has_returned(busy_switching):
    """Of tokens, requests and dollars, while other threads add and read; in thousands of looks."""
    cb = meter(prices=Book(lambda _: sleep(0)))
    short: list[tuple[int, int, Decimal]] = []
    returned = deque[bool]()

    def work() -> None:
        for _ in range(400):
            cb.add(call())
            returned.append(True)
            least = len(returned)
            tokens, requests, cost = cb.total_tokens, cb.successful_requests, cb.cost
            if tokens < least * 10**6 or requests < least or cost < least * MILLION:
                short.append((tokens, requests, cost))

    with cb:
        together(work, work, work, work)

    assert short == []
    assert (cb.total_tokens, cb.cost) == (1600 * 10**6, 1600 * MILLION)


def test_f121_plain_data_is_of_one_moment_while_calls_end(busy_switching):
    """Each call is in all of its sums, priced, or in none."""
    cb = meter(prices=Book(lambda _: sleep(0)))
    seen: list[dict[str, Any]] = []

    def end() -> None:
        for _ in range(300):
            cb.add(call())
            _ = cb.total_tokens

    with cb:
        together(end, end, lambda: seen.extend(cb.to_dict() for _ in range(100)))

    for data in seen:
        for sums in (data, *data["by_model"].values()):
            assert Decimal(sums["cost"]) == sums["total_tokens"] // 10**6 * MILLION
            assert sums["total_tokens"] == data["total_tokens"]


@pytest.mark.parametrize("look", LOOKS)
def test_f121_a_price_book_may_read_the_meter_that_asks_it(look):
    """It finds the sums as they are; and so may a thread that it waits for."""
    seen: list[object] = []

    def read(_: Call) -> None:
        if not seen:
            seen.append(None)
            seen.append((cb.cost, cb.total_tokens, len(cb.by_model), cb.remaining.cost, str(cb)[:11]))
            together(lambda: seen.append(cb.cost))

    cb = filled(call(tags=("a",)), prices=Book(read), max_cost=100, warn_at=None)

    assert LOOKS[look](cb) == MILLION
    assert seen[1:] == [(0, 10**6, 1, 100, "token_meter"), MILLION]


def test_f121_a_price_book_may_make_a_call_under_the_same_limit():
    """It asks the limit while it is asked for the price of a call under it."""
    granted: list[bool] = []

    def ask(_: Call) -> None:
        if not granted:
            granted.append(True)
            granted.append(admit([Ask(cb.budget.account, Amounts(MILLION, 10**6, 1))]).reservation is not None)

    cb = filled(call(), prices=Book(ask), max_cost=100, warn_at=None)
    together(lambda: cb.cost)

    assert (granted, cb.cost) == ([True, True], MILLION)


def test_f121_a_price_book_that_fails_is_told_once_and_leaves_a_gap():
    """The other calls are priced, and the sums do not pass for the bill."""

    def fail(asked: Call) -> None:
        if asked.model == "bad":
            raise KeyError(asked.model)

    cb = filled(call("bad"), call(), prices=Book(fail), on_unpriced="ignore")
    with pytest.raises(KeyError, match="bad"):
        _ = cb.cost

    assert (cb.cost, cb.unpriced_calls, cb.is_complete) == (MILLION, 1, False)
    assert dict(cb.unpriced_models) == {"bad": "the price book failed (KeyError)"}


def test_f121_calls_whose_cost_is_never_read_do_not_pile_up():
    """A program that only looks at tokens, after each call."""
    priced: list[Call] = []
    with meter(prices=Book(priced.append)) as cb:
        for _ in range(1100):
            cb.add(call())
            _ = cb.total_tokens

    assert len(priced) > 1000


def test_f121_a_call_that_ends_waits_for_no_reader(held):
    """A finalizer may bring it to one meter while its thread holds another one's lock, and another thread the reverse."""
    cb = filled()

    def hold() -> None:
        with cb._own_lock():
            held.wait()

    held.start(hold)
    together(lambda: cb.add(call()))
    held.let_go()

    assert cb.total_tokens == 10**6


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_f121_a_child_that_was_forked_while_a_thread_priced_prices_for_itself(held):
    """Neither the lock nor the note of who asks the price book is its parent's."""
    cb = filled(call(), prices=Book(held.wait), max_cost=100, warn_at=None)
    held.start(lambda: cb.cost)
    child = os.fork()
    if child == 0:
        os._exit(0 if (cb.cost, cb.remaining.cost) == (MILLION, 100 - MILLION) else 1)

    assert os.waitpid(child, 0)[1] == 0
