"""Threads that meet: one that is held up, and some that start at the same time."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator

PATIENCE = 10.0


class Held:
    """What holds one thread up, at the first thing it does, until it is let go."""

    def __init__(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.entered, self._go = threading.Event(), threading.Event()
        self._work: Callable[[], object] = lambda: None

    def wait(self, *_: object) -> None:
        if threading.current_thread() is self.thread and not self.entered.is_set():
            self.entered.set()
            assert self._go.wait(PATIENCE)

    def start(self, work: Callable[[], object]) -> None:
        self._work = work
        self.thread.start()
        assert self.entered.wait(PATIENCE)

    def let_go(self) -> None:
        self._go.set()
        self.thread.join(PATIENCE)

    def _run(self) -> None:
        self._work()


def together(*works: Callable[[], object]) -> None:
    """Run them at the same time; what hangs fails the test, and hangs no run."""
    start = threading.Barrier(len(works))
    threads = [
        threading.Thread(target=lambda work=work: (start.wait(PATIENCE), work()), daemon=True)  # type: ignore[misc]
        for work in works
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a thread waits for ever"


@contextlib.contextmanager
def busily_switching() -> Iterator[None]:
    """Threads change places at every chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
