"""One budget for all processes of a run: reservations are lines in files next to the shards, under one lock.

A call takes the lock, reads what every process has spent and reserved, and writes its own reservation, so that calls of
many processes cannot spend the same dollar. The reservation is released by one line that needs no lock.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Protocol

from token_meter._money import EXACT
from token_meter.budget.account import Account, Amounts, Excess
from token_meter.exceptions import LedgerError
from token_meter.ledger._place import host_name, make_run_dir, open_own, open_shard

if sys.platform != "win32":  # without file locks, calls that ask at the same instant may each be admitted
    import fcntl

_WAIT_S = 2.0
"""Seconds that a call waits for the lock, because a process that was stopped with the lock must not block others."""
_LOOKS, _PAUSE_S = 4, 0.005
"""Attempts before a refusal: an ended call is counted a moment before its reservation is released."""


class Tails:
    """Reads the lines appended to a run's files since the last `read`. A file that cannot be read is tried again."""

    def __init__(self, run_dir: Path, suffix: str) -> None:
        self._run_dir = run_dir
        self._suffix = suffix
        self._offsets: dict[str, int] = {}

    def read(self) -> list[bytes]:
        try:
            with os.scandir(self._run_dir) as entries:
                files = [entry.path for entry in entries if entry.name.endswith(self._suffix)]
        except OSError:
            return []
        lines: list[bytes] = []
        for path in files:
            offset = self._offsets.get(path, 0)
            try:
                if os.stat(path).st_size <= offset:
                    continue
                with open(path, "rb") as file:
                    file.seek(offset)
                    whole, newline, _ = file.read().rpartition(b"\n")
            except OSError:
                continue
            self._offsets[path] = offset + len(whole) + len(newline)
            lines += whole.splitlines()
        return lines


class RunLock:
    """A lock between the processes of a run. It stops waiting after a while, so that no program is blocked."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "lock"
        self._fd = -1
        self._pid = 0

    def __enter__(self) -> RunLock:
        if sys.platform != "win32":
            with suppress(OSError, LedgerError):
                if self._pid != os.getpid():  # a forked child shares its parent's lock until it opens its own
                    self._fd, self._pid = -1, os.getpid()
                    make_run_dir(self._path.parent)
                    self._fd = open_own(self._path, os.O_RDWR | os.O_CLOEXEC)
                until = time.monotonic() + _WAIT_S
                while self._fd >= 0:
                    try:
                        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        if time.monotonic() > until:
                            break
                        time.sleep(0.0005)
                    else:
                        break
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32" and self._fd >= 0:
            with suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_UN)


class Holds:
    """The reservations of one budget over all processes, and the number of calls that were sent."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self._run_dir = run_dir
        self._suffix = f".{name}.held"
        self._tails = Tails(run_dir, self._suffix)
        self._fd = -1
        self._pid = 0
        self._is_torn = False
        self.cost = Decimal(0)
        self.tokens = self.in_flight = self.made = 0

    def read(self) -> None:
        """Read the lines that were written since."""
        for line in self._tails.read():
            self._take(line)

    def write(self, wanted: Amounts, sign: int, *, was_sent: bool = False) -> None:
        """Reserve, or release. One system call and no lock, because a finalizer may release."""
        line = b"%+d %s %d %d\n" % (sign, str(wanted.cost or 0).encode(), wanted.tokens or 0, was_sent)
        try:
            if self._pid != os.getpid():
                path = self._run_dir / f"{host_name()}.pid{os.getpid()}.{os.urandom(4).hex()}{self._suffix}"
                self._fd, self._pid, self._is_torn = open_shard(path), os.getpid(), False
            whole = b"!\n" + line if self._is_torn else line  # ends a torn line, which this process has counted
            if os.write(self._fd, whole) == len(whole):
                self._is_torn = False
                return
        except OSError:
            pass
        self._is_torn = True
        self._take(line)  # the reservation holds at least in this process

    def _take(self, line: bytes) -> None:
        try:
            sign, cost, tokens, was_sent = line.split()
            n, sent = int(sign), int(was_sent)
            self.cost = EXACT.fma(n, Decimal(cost.decode()), self.cost)
            self.tokens += n * int(tokens)
        except (ValueError, InvalidOperation):
            return
        self.in_flight += n
        self.made += sent


class _GivenBack(deque[tuple[Amounts, bool]]):
    """Releases an account's reservations, for all processes at once."""

    def __init__(self, holds: Holds) -> None:
        super().__init__()
        self._holds = holds

    def append(self, item: tuple[Amounts, bool]) -> None:
        wanted, was_sent = item
        self._holds.write(wanted, -1, was_sent=was_sent)


class Spent(Protocol):
    """The sums of all processes of a run: US dollars, US dollars of live calls, tokens."""

    run_dir: Path
    cost: Decimal
    spent: Decimal
    tokens: int

    def read(self) -> Spent:
        """Read the lines that were written since."""


class SharedAccount(Account):
    """An account that all processes of a run share.

    Calls whose size cannot be estimated may run in parallel here, since a process that died in one would block others.

    With *live_only*, only the cost of live calls counts. If answers may come from a cassette or a mock, it is not known
    before a call is sent whether it is live. Then `reserves` is false: only spent money counts, and the calls in flight
    when the limit is reached overshoot it.
    """

    def __init__(self, limits: Amounts, sums: Spent, lock: RunLock, name: str, *, live_only: bool = False) -> None:
        super().__init__(limits, lambda _: Amounts())
        self.lock = lock
        self.live_only = live_only
        self._sums = sums
        self._holds = Holds(sums.run_dir, name)
        self._released = _GivenBack(self._holds)

    @property
    def reserves(self) -> bool:
        """Whether calls reserve budget before they are sent."""
        return not self.live_only or not {"pytest", "vcr", "respx"} & sys.modules.keys()

    def _settle(self) -> None:
        holds = self._holds
        holds.read()  # before the shards, where a call is counted before its reservation is released
        self._cost, self._tokens, self._in_flight, self._made = holds.cost, holds.tokens, holds.in_flight, holds.made
        if not self.reserves:
            self._cost, self._tokens = Decimal(0), 0

    def _spent_now(self) -> Amounts:
        sums = self._sums.read()
        return Amounts(sums.spent if self.live_only else sums.cost, sums.tokens, self._made)

    def _reserve(self, wanted: Amounts, sign: int) -> None:
        self._holds.write(wanted, sign)

    def _excess(self, wanted: Amounts, *, is_enforced: bool = True) -> Excess | None:
        excess: Excess | None = None
        for look in range(_LOOKS):
            if look:
                time.sleep(_PAUSE_S)
            find = super()._excess if self.reserves else self._overspent
            excess = find(wanted, is_enforced=is_enforced)
            if excess is None:
                return None
        return excess

    def _overspent(self, wanted: Amounts, *, is_enforced: bool = True) -> Excess | None:
        """The limit on the cost of live calls where nothing is reserved: exceeded when more than that was spent."""
        limit, spent = self.limits.cost, self._spent_now().cost
        if limit is None or spent is None or spent <= limit or wanted.cost == 0:
            return None
        return Excess(self, "cost", limit, spent, Decimal(0), wanted.cost)


def shares(meter: Any, sums: Spent, lock: RunLock, name: str, *, live_only: bool = False) -> None:
    """Make the limits of *meter* apply to all processes of the run together."""
    if meter.budget is not None:
        meter.budget.account = SharedAccount(meter.budget.account.limits, sums, lock, name, live_only=live_only)
