"""Records that could not be written: they are kept in memory, and passed to the process that judges the run.

A process leaves an empty file next to the shards, whose name says why. This works even on a full disk.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from token_meter.exceptions import LedgerError
from token_meter.ledger import Ledger, Row, RunFacts, RunReader
from token_meter.ledger._place import UNWRITTEN, host_name, make_run_dir, marks_in, open_own

_KEPT = 10_000  # calls that are kept in memory for the report; limits count all of them


class Missing(NamedTuple):
    """The gaps in a run's ledger.

    Attributes:
        reasons: the different reasons; empty if nothing is missing.
        lost: the known number of records that are not on disk.
        lines: those of them that are in memory, as ledger lines.
    """

    reasons: tuple[str, ...] = ()
    lost: int = 0
    lines: tuple[bytes, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.reasons)

    def __str__(self) -> str:
        return f"ledger not written: {'; '.join(self.reasons)}"

    def plus(self, other: Missing) -> Missing:
        """Add the losses of another process."""
        reasons = dict.fromkeys((*self.reasons, *other.reasons))
        return Missing(tuple(reasons), self.lost + other.lost, self.lines + other.lines)

    def with_marks(self, run_dir: Path) -> Missing:
        """Add the marks of the run's processes, each of which has lost at least one record."""
        told = [name.removesuffix(UNWRITTEN).split(".", 2)[-1] for name in marks_in(run_dir)]
        return Missing(tuple(dict.fromkeys((*self.reasons, *told))), max(self.lost, len(told)), self.lines)


NOTHING_MISSING = Missing()


class Unwritten:
    """The losses of this process's ledger, checked after each record."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lines: list[bytes] = []
        self._mark: Path | None = None
        self._pid = 0

    def look(self) -> bool:
        """Return whether a record is not on disk, and leave a mark for the other processes."""
        if not self._ledger.lost:
            return False
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._mark = self._ledger.run_dir / _mark_of(_reason(self._ledger))
            with suppress(OSError):
                os.close(open_own(self._mark, os.O_WRONLY))
        return True

    def say(self, why: str) -> None:
        """Leave a mark that a limit of the run could not be held over all processes."""
        with suppress(OSError):
            os.close(open_own(self._ledger.run_dir / _mark_of(_short(why)), os.O_WRONLY))

    def call(self, line: bytes | None) -> None:
        """Keep a call's line that may not be on disk. Readers count it once if they find it there."""
        if self.look() and line is not None and len(self._lines) < _KEPT:
            self._lines.append(line)

    def settle(self) -> Missing:
        """Return what is missing at the end. If everything was written in the end, remove the mark."""
        if self.look():
            return Missing((_reason(self._ledger),), self._ledger.lost, tuple(self._lines))
        if self._mark is not None and self._pid == os.getpid():
            with suppress(OSError):
                self._mark.unlink()
        return NOTHING_MISSING


class WholeRun(RunReader):
    """The rows of some shards, and the rows that are only in memory."""

    def __init__(self, shards: Iterable[Path], missing: Missing) -> None:
        super().__init__(shards)
        self._missing = missing

    def _more(self) -> Iterator[Row]:
        self._section, self._process = b"", "(not written)"
        for line in self._missing.lines:
            row = self._other(line.rstrip(b"\n"))
            if row is not None:
                yield row

    @property
    def facts(self) -> RunFacts:
        """The facts of the lines so far, including that some are missing."""
        facts = super().facts
        return facts._replace(lost_records=max(facts.lost_records, self._missing.lost)) if self._missing else facts


def missed_by_children(run_dir: Path) -> Missing:
    """Report a run directory that children could not create."""
    try:
        if not run_dir.is_dir():
            make_run_dir(run_dir)
            run_dir.rmdir()
    except (OSError, LedgerError) as error:
        return unkept(error)
    return NOTHING_MISSING


def unkept(error: OSError | LedgerError, lines: Iterable[bytes] = ()) -> Missing:
    """The losses of a run whose directory cannot be written; only *lines* are kept in memory."""
    kept = tuple(lines)
    return Missing((_short(str(error)),), max(1, len(kept)), kept)


def _mark_of(reason: str) -> str:
    return f"{host_name()}.pid{os.getpid()}.{reason}{UNWRITTEN}"


def _reason(ledger: Ledger) -> str:
    return _short(ledger.problem or "the reason is unknown")


def _short(problem: str) -> str:
    """The reason without error number and path, for a file's name."""
    text = re.sub(r"^\[\w+ \d+\] |: ['\"].*$", "", problem, flags=re.DOTALL)
    return re.sub(r"[^\w ,()-]+", "_", text)[:80]
