"""What holds without the GIL too: each step is one that Python does whole, or the lock is held."""

from __future__ import annotations

import gc
import os
import threading
from collections import deque
from typing import Any

import pytest

from tests.meter.test_pieces import pending
from tests.meter.test_reading import call
from tests.meter.threads import PATIENCE, Held, together
from token_meter.call import pending_estimate as _guess
from token_meter.call.background import BackgroundCalls
from token_meter.ledger import Ledger, read_run
from token_meter.types import Call


class SlowCall(Call):
    """A call whose thread is held up when it gets its estimate."""

    held: Held

    def _replace(self, **changes: Any) -> Any:
        self.held.wait()
        return Call(*self)._replace(**changes)


def test_f166_a_guess_that_another_thread_settles_is_no_call_without_usage(held):
    """Two threads that estimate at once come to the same."""
    before = _guess._memory.held
    made = pending("a rose")
    slow = SlowCall(*made.call)
    slow.held = held
    made.call = slow
    held.start(made.resolve)
    found = made.resolve()
    held.let_go()

    assert found.usage is not None
    assert found == made.resolve()
    assert _guess._memory.held == before, "its bytes were given back twice"


def test_f166_bytes_that_wait_are_counted_exactly(busy_switching):
    """Guesses come, are settled twice at once, and go."""
    gc.collect()
    before = _guess._memory.held
    for _ in range(200):
        made = pending("a rose")
        together(made.resolve, made.resolve)
        del made

    assert _guess._memory.held == before


class Parked:
    """A attempt that is parked, as the car park sees it."""

    class endpoint:
        base_url = "http://x/v1"

    def __init__(self, gone: deque[Parked]) -> None:
        self._gone = gone

    def expire(self) -> None:
        self._gone.append(self)


@pytest.mark.parametrize(("ids", "left"), [(1, 1), (50, 50)])
def test_f166_no_flight_that_is_parked_gets_lost(busy_switching, ids, left):
    """Threads park under the same ids: one attempt stays under each, and every other is told that it waits no longer."""
    for _ in range(100):
        parking, gone = BackgroundCalls(), deque[Parked]()

        def track(parking: BackgroundCalls = parking, gone: deque[Parked] = gone) -> None:
            for number in range(50):
                parking.track(Parked(gone), str(number % ids))  # type: ignore[arg-type]

        together(track, track, track)
        assert (len(parking), len(gone)) == (left, 150 - left)
        parking.expire_all()
        assert (len(parking), len(set(gone))) == (0, 150)


def test_f166_a_record_is_written_after_the_torn_one_of_another_thread_was_ended(tmp_path, monkeypatch):
    """The disk took half of a record: the next begins a line of its own, and both are read."""
    ledger, write = Ledger.create(tmp_path), os.write
    is_torn, is_done = threading.Event(), threading.Event()

    def torn(fd: int, data: bytes) -> int:
        if is_torn.is_set():
            return write(fd, data)
        is_torn.set()
        done = write(fd, data[: len(data) // 2])
        is_done.wait(0.2)  # the other thread waits for its turn, and this for nothing, or it has written already
        return done

    def second() -> None:
        assert is_torn.wait(PATIENCE)
        ledger.call(call()._replace(id="second"))
        is_done.set()

    monkeypatch.setattr(os, "write", torn)
    together(lambda: ledger.call(call()._replace(id="first")), second)
    ledger.close()

    assert {row.call.id for row in read_run(ledger.run_dir, merge=False)} == {"first", "second"}
