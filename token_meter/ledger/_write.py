"""Appends each record to this process's shard in one write. Never raises into the observed code."""

from __future__ import annotations

import errno
import logging
import math
import os
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from token_meter._fork import in_child
from token_meter.exceptions import LedgerError
from token_meter.ledger import _line, _place
from token_meter.ledger._opening import opening_line
from token_meter.types import Call

_KEPT = 1_000  # records that wait for space on a full disk
_CHECK_EVERY = 64  # records between two checks whether the shard still exists, which cost 1 us each
_DAY_S = 86_400
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)
"""Descriptors, and room on a disk, may become free again: what failed for want of them is tried again."""
_log = logging.getLogger("token_meter")
_lock = threading.RLock()
"""One lock for all ledgers: a finalizer that interrupts a write of this thread may write to another ledger, and two
locks could deadlock with a thread that does the reverse."""


@in_child
def _after_fork() -> None:
    """Make a new lock in a forked child: a lock that another thread held would never be released there."""
    global _lock
    _lock = threading.RLock()


class _Shard(NamedTuple):
    pid: int
    fd: int
    path: Path


class Ledger:
    """Writes this process's records of one run.

    A record is with the operating system when the method returns: it survives `os._exit` and SIGKILL (not a power cut).
    One that is being written when SIGKILL comes may be cut at a page's end (Linux; 2 of 1,744 kills): readers count it.
    Any thread may write, and a forked child has a shard of its own; so has each day (UTC) of a ledger that *rotates*.
    A record that cannot be written is kept in memory (bounded) and tried again with the next one; `lost` counts those
    not on disk, `problem` says why.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike[str],
        *,
        worker: str | None = None,
        lazy: bool = False,
        rotates: bool = False,
    ) -> None:
        self.run_dir = Path(os.path.abspath(run_dir))
        self.worker = worker
        self._rotates = rotates
        self._until_s = math.inf  # when the day of the shard ends
        self._first_line = b""
        self.problem: str | None = None
        self._untold: str | None = None
        self._shard: _Shard | None = None
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._torn, self._unchecked = False, 0
        self._pid = os.getpid()
        self._refused_pid: int | None = None
        self._writing_pid: int | None = None
        if not lazy:
            with _lock:
                self._descriptor(os.getpid())
            self._tell()

    @classmethod
    def create(
        cls,
        data_dir: str | os.PathLike[str] = ".token_meter",
        *,
        worker: str | None = None,
        lazy: bool = False,
        rotates: bool = False,
    ) -> Ledger:
        """Begin a new run under *data_dir*; with *lazy* nothing is made before the first record."""
        return cls(_place.new_run_dir(data_dir), worker=worker, lazy=lazy, rotates=rotates)

    @classmethod
    def join(cls, run_dir: str | os.PathLike[str], *, worker: str | None = None, lazy: bool = False) -> Ledger:
        """Join a run that another process began."""
        return cls(run_dir, worker=worker, lazy=lazy)

    @classmethod
    def from_environment(cls, *, worker: str | None = None, lazy: bool = False) -> Ledger | None:
        """Join the run in `TOKEN_METER_RUN_DIR`; `None` if the variable is not set."""
        run_dir = os.environ.get(_place.RUN_DIR_VARIABLE)
        return cls(run_dir, worker=worker, lazy=lazy) if run_dir else None

    @property
    def lost(self) -> int:
        """The number of records that are not on disk."""
        return self._dropped + len(self._waiting)

    @property
    def shard(self) -> Path | None:
        """This process's file; `None` before it is created."""
        shard = self._shard
        return shard.path if shard is not None and shard.pid == os.getpid() else None

    @property
    def is_refused(self) -> bool:
        """Whether this process cannot write here, and does not try again."""
        return self._refused_pid == os.getpid()

    def __repr__(self) -> str:
        return f"Ledger({str(self.run_dir)!r}, lost={self.lost})"

    def start(
        self,
        id: str,
        model: str | None = None,
        *,
        context: str | None = None,
        phase: str | None = None,
        attempt: int | None = None,
    ) -> None:
        """Record that a call starts. A `start` without a `call` is a call in flight when the process died."""
        quoted = _line.quoted
        rest = f',"model":{quoted(_line.cut(model) or "")}' if model is not None else ""
        if context is not None:
            rest += f',"ctx":{quoted(_line.cut(context, 500) or "")}'
        if phase is not None:
            rest += f',"phase":{quoted(phase)}'
        if attempt is not None:
            rest += f',"try":{attempt:d}'
        self._append(f'{{"t":"start","v":2,"id":{quoted(id)},"ts":{time.time():.6f}{rest}}}\n'.encode("ascii"))

    def call(
        self,
        call: Call,
        *,
        context: str | None = None,
        phase: str | None = None,
        attempt: int | None = None,
        late: bool = False,
    ) -> bytes | None:
        """Record a call that ended. Return its line, on disk or not (see `lost`); `None` if JSON cannot hold it."""
        try:
            line = _line.call_line(call, context, phase, attempt, self.worker, late)
        except Exception as exc:  # noqa: BLE001 - the observer never harms the observed
            with _lock:
                self._dropped += 1
            self._report(f"a record could not be written as JSON: {type(exc).__name__}")
            self._tell()
            return None
        self._append(line)
        return line

    def note(self, kind: str, **facts: Any) -> None:
        """Add a fact about a `context` (id, outcome, file, line, attempts) or the `run` (labels, exit_status)."""
        try:
            line = _line.record(kind, **facts)
        except (TypeError, ValueError) as exc:
            self._report(f"a note could not be written as JSON: {type(exc).__name__}")
            self._tell()
            return
        self._append(line)

    def close(self) -> None:
        """Record that this process ended normally. A later record opens the shard again."""
        with _lock:
            shard = self._shard
            if shard is None or shard.pid != os.getpid():
                return
            if shard.fd >= 0 and self._still_there(shard.fd):
                self._put(_line.record("close", ts=round(time.time(), 6), lost=self.lost or None))
                if (shard := self._shard) is not None:  # of the next day, after midnight
                    self._shard = shard._replace(fd=-1)
                    with suppress(OSError):
                        os.close(shard.fd)
        self._tell()

    def _append(self, line: bytes) -> None:
        with _lock:
            self._put(line)
        if self._untold is not None:
            self._tell()

    def _put(self, line: bytes) -> None:
        """Write the waiting records, then *line*, under the lock, so that no other thread writes or closes between."""
        pid = os.getpid()
        if self._writing_pid == pid:  # a finalizer interrupts a write of this thread, which then writes this one too
            self._keep(line)
            return
        self._writing_pid = pid
        try:
            fd = self._descriptor(pid)
            if fd >= 0 and self._unchecked >= _CHECK_EVERY and not self._still_there(fd):
                fd = -1
            self._keep(line)
            if fd >= 0:
                self._write_waiting(fd)
        finally:
            self._writing_pid = None

    def _write_waiting(self, fd: int) -> None:
        """Write the waiting records, oldest first, until the disk is full. A torn line is ended by a line break."""
        while self._waiting:
            oldest = self._waiting.popleft()
            failed = _write(fd, b"\n" + oldest if self._torn else oldest)
            self._torn = failed is not None
            if failed is not None:
                self._waiting.appendleft(oldest)
                self._report(failed)
                return
            self._unchecked += 1

    def _still_there(self, fd: int) -> bool:
        """Whether the shard still exists: a write to a removed file succeeds, but is lost."""
        since, self._unchecked = self._unchecked, 0
        try:
            removed = os.name != "nt" and os.fstat(fd).st_nlink == 0
        except OSError:
            removed = True
        if removed:
            self._dropped += since
            self._let_go()
            self._refused_pid = os.getpid()
            self._report("the shard was removed while it was being written")
        return not removed

    def _let_go(self) -> None:
        shard, self._shard = self._shard, None
        if shard is not None and shard.fd >= 0:
            with suppress(OSError):
                os.close(shard.fd)

    def _keep(self, line: bytes) -> None:
        if len(self._waiting) < _KEPT:
            self._waiting.append(line)
        else:
            self._dropped += 1

    def _descriptor(self, pid: int) -> int:
        """Open this process's shard; a forked child closes its parent's first. The lock is held."""
        shard = self._shard
        if shard is not None and shard.pid == pid and shard.fd >= 0 and time.time() < self._until_s:
            return shard.fd
        if self._refused_pid == pid:
            return -1
        if self._pid != pid:
            self._forget_parent(pid)
            shard = None
        now = time.time()
        if now >= self._until_s:  # without a closing line: the process goes on
            self._let_go()
            shard = None
        try:
            if shard is None:
                _place.make_run_dir(self.run_dir)
                day = time.strftime("%Y%m%d", time.gmtime(now)) if self._rotates else ""
                path = _place.new_shard(self.run_dir, day)
                fd = _place.open_shard(path)
                self._until_s = now - now % _DAY_S + _DAY_S if self._rotates else math.inf
            else:
                path = shard.path
                fd = _place.open_shard(path, again=True)
            _place.hold(fd)
        except (OSError, LedgerError) as exc:
            if getattr(exc, "errno", None) not in _PASSING:
                self._refused_pid = pid
            self._report(str(exc))
            return -1
        self._shard = _Shard(pid, fd, path)
        if shard is None and (failed := _write(fd, self._opening())) is not None:
            self._torn = True
            self._waiting.appendleft(self._opening())
            self._report(failed)
        return fd

    def _forget_parent(self, pid: int) -> None:
        """Drop the waiting records and the torn line, which belong to the parent."""
        self._pid = pid
        self._until_s, self._first_line = math.inf, b""
        self._let_go()
        self._waiting = deque()
        self._dropped = 0
        self._torn = False

    def _opening(self) -> bytes:
        """The same for all shards of a process: it is one process."""
        if not self._first_line:
            self._first_line = opening_line(self.run_dir.name, self.worker)
        return self._first_line

    def _report(self, problem: str) -> None:
        if self.problem is None:
            self.problem = self._untold = problem

    def _tell(self) -> None:
        """Log the first problem. Not under the lock, because a finalizer may write a record while its thread logs."""
        problem, self._untold = self._untold, None
        if problem is not None:
            _log.warning("token_meter: ledger not written: %s", problem)


def _write(fd: int, line: bytes) -> str | None:
    """Write *line* with one system call; return the problem, if any."""
    try:
        written = os.write(fd, line)
    except OSError as exc:
        return exc.strerror or type(exc).__name__
    return None if written == len(line) else f"only {written} of {len(line)} bytes fitted (disk full, or a limit)"
