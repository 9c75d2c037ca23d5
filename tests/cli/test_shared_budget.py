"""One budget for all processes of a run: no call too many is sent by any process, and none is refused that fits."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from token_meter.budget.account import Amounts, Ask, admit
from token_meter.ci.harness import RunSums
from token_meter.ci.shared_limits import RunLock, SharedAccount
from token_meter.ledger import Ledger
from token_meter.prices import DEFAULT_BOOK
from token_meter.simulator import Simulator
from token_meter.types import Call, Usage

USAGE = Usage(1_000_000, 0, 1_000_000)
ONE = Decimal("0.15")  # US dollars for a million prompt tokens of gpt-4o-mini

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


def account(run_dir: Path, name: str = "run", *, live_only: bool = False, **limits: object) -> SharedAccount:
    """An account as one process has it."""
    sums = RunSums(run_dir, DEFAULT_BOOK)
    return SharedAccount(Amounts(**limits), sums, RunLock(run_dir), name, live_only=live_only)  # type: ignore[arg-type]


def wanted(one: SharedAccount) -> tuple[Ask, ...]:
    """A call of a million tokens asks."""
    return (Ask(one, Amounts(ONE, 1_000_000, 1)),)


def ended(ledger: Ledger, n: int, source: str = "live") -> None:
    """The call has been counted."""
    ledger.call(
        Call(f"{n:016x}-1", 1_795_000_000.0, 1.0, "api.openai.com", "chat", "gpt-4o-mini", "gpt-4o-mini",
             usage=USAGE, status=200, provider="openai", source=source)  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A run's record."""
    made = Ledger.create(tmp_path)
    yield made
    made.close()


def test_what_one_process_holds_another_cannot_spend(ledger: Ledger) -> None:
    """Held, spent, given back: each is seen by the other at once."""
    mine, theirs = account(ledger.run_dir, cost=ONE * 2), account(ledger.run_dir, cost=ONE * 2)

    first, second = admit(wanted(mine)).reservation, admit(wanted(theirs)).reservation
    assert first is not None
    assert second is not None
    refused = admit(wanted(theirs))
    assert refused.reservation is None
    assert refused.exceeded[0].reserved == ONE * 2

    first.release(was_sent=False)  # it never left
    third = admit(wanted(theirs)).reservation
    assert third is not None
    for n, reservation in enumerate((second, third)):
        ended(ledger, n)
        reservation.release(was_sent=True)
    assert mine.spent == Amounts(ONE * 2, 2_000_000, 2)
    assert mine.remaining.cost == 0
    assert admit(wanted(mine)).reservation is None


def test_a_call_of_unknown_size_bars_no_other_of_the_run(ledger: Ledger) -> None:
    """Its process may die during the call, and its place would never be given back."""
    mine, theirs = account(ledger.run_dir, cost=ONE), account(ledger.run_dir, cost=ONE)
    unknown = Amounts(None, None, 1)

    assert admit([Ask(mine, unknown)]).reservation is not None
    assert admit([Ask(theirs, unknown)]).reservation is not None


def test_failed_calls_and_retries_count_as_the_rules_of_budgets_say(ledger: Ledger) -> None:
    """A call that was sent counts as made, with any outcome and any number of attempts."""
    mine, theirs = account(ledger.run_dir, calls=2), account(ledger.run_dir, calls=2)
    for one in (mine, theirs):
        reservation = admit(wanted(one)).reservation
        assert reservation is not None
        reservation.release(was_sent=True)

    assert admit(wanted(mine)).reservation is None
    assert mine.spent.calls == 2


def test_a_forked_child_shares_the_budget_and_not_the_lock(ledger: Ledger) -> None:
    """Parent and child take turns: of many who ask at once exactly as many get in as fit."""
    mine = account(ledger.run_dir, calls=20)
    context = multiprocessing.get_context("fork")

    def ask(results: object) -> None:
        granted = sum(admit(wanted(mine)).reservation is not None for _ in range(15))
        results.put(granted)  # type: ignore[attr-defined]

    results = context.SimpleQueue()
    children = [context.Process(target=ask, args=(results,)) for _ in range(3)]
    for child in children:
        child.start()
    granted = sum(admit(wanted(mine)).reservation is not None for _ in range(15))
    granted += sum(results.get() for _ in children)
    for child in children:
        child.join()

    assert granted == 20


def test_threads_of_a_process_share_it_too(ledger: Ledger) -> None:
    """As above, within a process."""
    mine = account(ledger.run_dir, calls=10)
    granted: list[bool] = []
    threads = [
        threading.Thread(target=lambda: granted.append(admit(wanted(mine)).reservation is not None)) for _ in range(25)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(granted) == 10


def test_a_killed_process_keeps_what_its_calls_held(ledger: Ledger) -> None:
    """They were sent and may be billed, so no other process may spend it."""
    mine = account(ledger.run_dir, calls=2)
    pid = os.fork()
    if pid == 0:
        admit(wanted(mine))
        os._exit(0)
    os.waitpid(pid, 0)

    assert admit(wanted(mine)).reservation is not None
    assert admit(wanted(mine)).reservation is None


def test_a_limit_on_spending_lets_replays_pass_until_it_is_reached(ledger: Ledger) -> None:
    """In a suite it is not known before whether a call is live: 0 means that the first live call is the last."""
    mine = account(ledger.run_dir, "spend", live_only=True, cost=Decimal(0))
    assert mine.reserves is False  # this is a suite

    theirs = account(ledger.run_dir, "spend", live_only=True, cost=Decimal(0))
    in_flight = admit(wanted(theirs)).reservation
    assert in_flight is not None
    for n in range(2):
        reservation = admit(wanted(mine)).reservation
        assert reservation is not None
        ended(ledger, n, "replay")
        reservation.release(was_sent=True)
    reservation = admit(wanted(mine)).reservation
    assert reservation is not None
    ended(ledger, 9, "live")
    reservation.release(was_sent=True)

    assert admit(wanted(mine)).reservation is None


def test_a_directory_that_cannot_be_written_limits_the_process_alone(tmp_path: Path) -> None:
    """The observer harms nothing: the calls go on, and the limit still holds here."""
    (tmp_path / "file").write_text("")
    mine = account(tmp_path / "file" / "run", calls=1)

    assert admit(wanted(mine)).reservation is not None
    assert admit(wanted(mine)).reservation is None


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
