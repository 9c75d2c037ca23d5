"""One budget for all processes of a run: no call too many is sent by any process, and none is refused that fits."""

from __future__ import annotations

import multiprocessing
import os
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from token_meter import BudgetExceededError, Meter, meter
from token_meter.budget.amounts import Amounts
from token_meter.budget.shared_call import SharedAsk, SharedCall
from token_meter.ci.run_budgets import RunBudget, RunStore, count_earlier
from token_meter.ledger import Ledger, RunReader, find_shards
from token_meter.prices import DEFAULT_BOOK
from token_meter.simulator import Simulator
from token_meter.stores import StoreError
from token_meter.types import Call, Usage

USAGE = Usage(1_000_000, 0, 1_000_000)
ONE = Decimal("0.15")  # US dollars for a million prompt tokens of gpt-4o-mini
LARGE = Amounts(ONE, 1_000_000, 1)

HAMMER = """
import multiprocessing, sys, threading, asking
def one():
    try:
        asking.ask()
    except Exception:
        return 0
    return 1
def work(_):
    done = []
    threads = [threading.Thread(target=lambda: done.append(one())) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return sum(done) + one() + one()
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        print(sum(pool.map(work, range(3), chunksize=1)))
"""


def limit_of(run_dir: Path, name: str = "run", *, live_only: bool = False, **limits: Any) -> RunBudget:
    """A limit as one process has it."""
    return RunBudget(name, Amounts(**limits), RunStore(run_dir), live_only=live_only)


def begin(budget: RunBudget, wanted: Amounts = LARGE) -> SharedCall:
    """A call of a million tokens asks, and is let in, or refused by an exception."""
    owner = Meter(max_calls=0).budget
    assert owner is not None
    call = SharedCall([SharedAsk(owner, budget, wanted, True)])
    call.run()
    return call


def end(call: SharedCall, source: str = "live", *, was_sent: bool = True) -> None:
    """The call has ended."""
    if was_sent:
        call.count(
            Call("a-1", 1_795_000_000.0, 1.0, "api.openai.com", "chat", "gpt-4o-mini", "gpt-4o-mini", usage=USAGE,
                 status=200, provider="openai", source=source)  # type: ignore[arg-type]
        )  # fmt: skip
    call.end(was_sent=was_sent)
    call.run()


def granted(budget: RunBudget, times: int) -> int:
    """How many of so many calls are let in."""
    n = 0
    for _ in range(times):
        try:
            begin(budget)
            n += 1
        except BudgetExceededError:
            pass
    return n


def test_what_one_process_holds_another_cannot_spend(tmp_path: Path) -> None:
    """Held, spent, given back: each is seen by the other at once."""
    mine, theirs = limit_of(tmp_path / "r", cost=ONE * 2), limit_of(tmp_path / "r", cost=ONE * 2)

    first, second = begin(mine), begin(theirs)
    with pytest.raises(BudgetExceededError) as refused:
        begin(theirs)
    assert refused.value.reserved == ONE * 2

    end(first, was_sent=False)  # it never left
    third = begin(theirs)
    end(second)
    end(third)
    assert mine.read().spent == Amounts(ONE * 2, 2_000_000, 2)
    assert mine.remaining.cost == 0
    assert granted(mine, 1) == 0


def test_a_call_of_unknown_size_bars_no_other_of_the_run(tmp_path: Path) -> None:
    """Images of a suite are drawn in parallel, until the limit is reached."""
    mine, theirs = limit_of(tmp_path / "r", cost=ONE), limit_of(tmp_path / "r", cost=ONE)
    unknown = Amounts(None, None, 1)

    end(begin(mine, unknown))
    with pytest.raises(BudgetExceededError):
        begin(theirs, unknown)
    free = limit_of(tmp_path / "s", cost=ONE)
    begin(free, unknown)
    begin(free, unknown)


def test_a_forked_child_shares_the_budget(tmp_path: Path) -> None:
    """Parent and child take turns: of many who ask at once exactly as many get in as fit."""
    mine = limit_of(tmp_path / "r", calls=20)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    children = [context.Process(target=lambda: results.put(granted(mine, 15))) for _ in range(3)]
    for child in children:
        child.start()
    n = granted(mine, 15) + sum(results.get() for _ in children)
    for child in children:
        child.join()

    assert n == 20


def test_threads_of_a_process_share_it_too(tmp_path: Path) -> None:
    """As above, within a process."""
    mine = limit_of(tmp_path / "r", calls=10)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(granted(mine, 1))) for _ in range(25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(found) == 10


def test_f125_a_killed_process_keeps_what_its_calls_held(tmp_path: Path) -> None:
    """They were sent and may be billed, so no other process may spend it until their leases run out."""
    mine = limit_of(tmp_path / "r", calls=2)
    pid = os.fork()
    if pid == 0:
        begin(mine)
        os._exit(0)
    os.waitpid(pid, 0)

    assert granted(mine, 2) == 1
    assert [lease.is_lost for lease in mine.client.store.leases()] == [False, False]


def test_a_limit_on_spending_lets_replays_pass_until_it_is_reached(tmp_path: Path) -> None:
    """In a suite it is not known before whether a call is live: 0 means that the first live call is the last."""
    mine = limit_of(tmp_path / "r", "spend", live_only=True, cost=Decimal(0))
    assert mine.reserves is False  # this is a suite
    theirs = limit_of(tmp_path / "r", "spend", live_only=True, cost=Decimal(0))

    begin(theirs)  # in flight
    for source in ("replay", "mock", "live"):
        assert mine.over() is None
        end(begin(mine), source)

    assert mine.over() == "spent"
    assert granted(mine, 1) == 0
    begin(mine, Amounts(Decimal(0), 0, 1))  # what is free passes


def test_a_directory_that_cannot_be_written_limits_the_process_alone(tmp_path: Path) -> None:
    """The observer harms nothing: the calls go on, and the limit still holds here."""
    (tmp_path / "file").write_text("")

    assert granted(limit_of(tmp_path / "file" / "run", calls=1), 3) == 1


def test_f123_a_store_that_is_held_for_too_long_lets_calls_pass_and_the_run_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never past the limit without a word."""
    said: list[str] = []
    budget = RunBudget("run", Amounts(calls=1), RunStore(tmp_path / "r"), failed=said.append)
    end(begin(budget))

    def held(*_: object) -> None:
        msg = "OperationalError: database is locked"
        raise StoreError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(budget.client.store, "step", held)
        begin(budget)
    assert said == ["limits not shared: OperationalError: database is locked"]


def test_f124_a_refusal_is_one_step_and_no_pause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It held the lock of all processes for three pauses, to look whether a call would end meanwhile."""
    budget = limit_of(tmp_path / "r", calls=0)
    steps: list[Any] = []
    store = budget.client.store
    monkeypatch.setattr(store, "step", lambda *args, step=store.step: (steps.append(args), step(*args))[1])

    assert granted(budget, 5) == 0
    assert len(steps) == 5


def test_f123_a_process_that_joins_a_run_reads_no_records(tmp_path: Path) -> None:
    """It read them all under the lock, and the others went on without the lock."""
    run_dir = tmp_path / "r"
    mine = limit_of(run_dir, calls=9)
    begin(mine)
    (run_dir / "vm.pid1.0123abcd.jsonl").mkdir()  # whoever opens it fails

    assert granted(limit_of(run_dir, calls=9), 20) == 8


def test_a_run_without_a_call_has_no_file(tmp_path: Path) -> None:
    assert limit_of(tmp_path / "r", calls=1).over() is None
    assert not (tmp_path / "r").exists()


def test_a_run_that_is_continued_counts_what_it_used_before(tmp_path: Path) -> None:
    ledger = Ledger.create(tmp_path)
    with meter(ledger=ledger) as cb:
        for source in ("live", "live", "mock"):
            cb.record("gpt-4o-mini", provider="openai", prompt_tokens=1_000_000, completion_tokens=0, source=source)
    budgets = [
        limit_of(ledger.run_dir, cost=ONE * 9),
        limit_of(ledger.run_dir, "spend", live_only=True, cost=ONE * 9),
    ]
    count_earlier(budgets, RunReader(find_shards([ledger.run_dir])), DEFAULT_BOOK)

    assert [budget.read().spent for budget in budgets] == [
        Amounts(ONE * 3, 3_000_000, 3),
        Amounts(ONE * 2, 2_000_000, 2),
    ]


@pytest.mark.parametrize("limit", [("--max-calls", "7"), ("--max-tokens", "1500")])
def test_no_call_too_many_leaves_a_pool_of_threads_in_processes(
    tm: Run, simulator: Simulator, limit: tuple[str, str]
) -> None:
    """Three processes with four threads each, through the command: the server's bill is the judge."""
    done = tm("run", "--prices", "prices.toml", *limit, "--", "python", "app.py", program=HAMMER)

    bill = simulator.bill()
    assert done.returncode == 3, done.stderr
    assert int(done.stdout) == bill.calls
    if limit[0] == "--max-calls":
        assert bill.calls == 7
    else:
        assert 1 <= bill.calls <= 13  # each holds 1,032 tokens and uses 38: the 14th cannot fit
