"""A forked child: its limits go on from where its parent's stood, and what it reports is its own."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

import httpx
import pytest

from tests.blind import modules
from tests.conftest import CHAT_BODY
from tests.neighbours.children import in_child
from token_meter import BudgetExceededError, Call, Meter, Usage, meter
from token_meter.ledger import read_run
from token_meter.prices import DEFAULT_BOOK

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork"),
    pytest.mark.filterwarnings("ignore::token_meter.BlindSpotWarning"),
]


@pytest.fixture
def client() -> Any:
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=CHAT_BODY))) as client:
        yield client


def _ask(client: httpx.Client, times: int = 1) -> int:
    """How many of so many calls were let in."""
    for n in range(times):
        try:
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
            client.post(modules.CHAT, json=body)
        except BudgetExceededError:
            return n
    return times


def _sums(cb: Meter) -> tuple[int, int, int, int, bool]:
    by_model = sum(sub.total_tokens for sub in cb.by_model.values())
    return cb.successful_requests, cb.total_tokens, by_model, len(cb.calls), cb.cost > 0


KINDS: list[dict[str, Any]] = [{}, {"scope": "process"}, {"tags": ["t"]}, {"max_cost": 1}, {"handlers": [repr]}]


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("options", KINDS, ids=str)
def test_f126_what_a_child_reports_is_its_own(options, is_read, client):
    """Whether the parent had read its sums or not."""
    with meter(keep_calls=True, warn_at=None, **options) as cb:
        _ask(client, 5)
        if is_read:
            assert cb.total_tokens == 75
        at_once, later = in_child(lambda: (_sums(cb), (_ask(client, 2), _sums(cb))[1]))

        assert at_once == (0, 0, 0, 0, False)
        assert later == (2, 30, 30, 2, True)
        assert in_child(lambda: (cb.blind_spots, cb.is_complete)) == ((), True)
    assert _sums(cb) == (5, 75, 75, 5, True)


LIMITS: list[dict[str, Any]] = [{"max_calls": 5}, {"max_tokens": 75}, {"max_cost": "0.00002250"}]


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("scope", ["context", "process"])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_f126_the_limits_of_a_child_know_what_its_parent_used(limits, scope, is_read, client):
    """Three of five are made before the fork: two are left, for the child as for the parent, and for a child of a child."""
    with meter(warn_at=None, scope=scope, **limits) as cb:
        assert _ask(client, 3) == 3
        if is_read:
            assert cb.total_tokens == 45

        assert in_child(lambda: _ask(client, 9)) == 2
        assert in_child(lambda: (_ask(client, 1), in_child(lambda: _ask(client, 9)))) == (1, 1)
        assert _ask(client, 9) == 2


def test_f126_a_fork_waits_for_a_thread_that_is_adding_up(client):
    """What it has taken from the queue and not yet added would be lost in the child."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow:
        """A call whose answer takes its time to be read."""

        def settle(self) -> Call:
            begun.set()
            go_on.wait(10)
            return Call("a", 1.0, 0.1, "h", "chat", "m", usage=Usage(1, 2, 3), status=200)

    with meter(max_tokens=10, warn_at=None) as cb:
        cb._inbox.append(Slow())  # type: ignore[arg-type]
        reader = threading.Thread(target=cb.sums_now, kwargs={"priced": False})
        reader.start()
        begun.wait(10)
        threading.Timer(0.05, go_on.set).start()

        assert in_child(lambda: (cb.total_tokens, cb.remaining.tokens)) == (0, 7)
        reader.join()
        assert cb.total_tokens == 3


def test_a_fork_does_not_wait_for_long(client):
    """A lock that is held by who knows whom costs a second at most."""
    held, done = threading.Event(), threading.Event()

    with meter() as cb:

        def hold() -> None:
            with cb._own_lock():
                held.set()
                done.wait(30)

        holder = threading.Thread(target=hold)
        holder.start()
        held.wait(10)
        try:
            assert in_child(lambda: _ask(client, 1) + cb.total_tokens) == 16
        finally:
            done.set()
            holder.join()


def test_f126_a_ledger_has_each_call_once(client, tmp_path):
    """Of parent and child."""
    with meter(ledger=tmp_path) as cb:
        _ask(client, 2)
        in_child(lambda: _ask(client, 3))

    rows = list(read_run(tmp_path, merge=False))
    assert len(rows) == len({row.call.id for row in rows}) == 5
    assert cb.successful_requests == 2


def test_a_stream_that_was_open_at_the_fork_is_none_of_the_childs():
    """Nor does its end make less than none of them."""
    with meter() as cb:
        cb.opened_stream()

        def act() -> tuple[int, int]:
            before = cb.open_streams
            cb.closed_stream()
            return before, cb.open_streams

        assert in_child(act) == (0, 0)
        assert cb.open_streams == 1
        cb.closed_stream()


def test_a_meter_that_is_closed_at_the_fork_is_data():
    """The child may read it, print it, send it."""
    with meter(prices=DEFAULT_BOOK) as cb:
        cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1, completion_tokens=2)

    assert in_child(lambda: cb.total_tokens) == 3
    assert sys.platform != "win32"
