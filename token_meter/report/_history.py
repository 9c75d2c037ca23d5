"""The history of runs: a file with one line of sums for each run, next to their directories."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from token_meter.ledger._place import open_own
from token_meter.report._formatting import cost_text, counted, exact
from token_meter.report._summary import Summary, Totals

FILE = "history.jsonl"
_READ = 256 * 1024  # from the end: some 1,000 runs
_MOST = 10**18


class Point(NamedTuple):
    """One run.

    Attributes:
        created: the time of its report, ISO 8601 in UTC.
        cost: US dollars; a lower bound if *unpriced* or *partly_priced* is above 0.
        spent: the part of *cost* that live calls caused.
        command: the program and its first words.
        live: the number of *calls* that a server answered; all of them, if it is not recorded.
        live_unpriced: the number of these without a price; the largest possible, if it is not recorded.
        partly_priced: the number of *calls* whose price is known only in part; *live_partly_priced*: of *live*.
    """

    created: str
    run: str
    calls: int
    tokens: int
    cost: Decimal
    spent: Decimal
    unpriced: int = 0
    commit: str = ""
    branch: str = ""
    command: str = ""
    live: int | None = None
    live_unpriced: int | None = None
    partly_priced: int = 0
    live_partly_priced: int = 0

    @property
    def totals(self) -> Totals:
        """Its sums, as far as the history has them."""
        live = self.calls if self.live is None else self.live
        return Totals(
            self.calls, live, unpriced=self.unpriced, cost=self.cost, spent=self.spent,
            live_unpriced=min(live, self.unpriced) if self.live_unpriced is None else self.live_unpriced,
            partly_priced=self.partly_priced, live_partly_priced=self.live_partly_priced,
        )  # fmt: skip

    @property
    def title(self) -> str:
        """One line of text."""
        parts = (self.created[:16].replace("T", " "), self.commit[:12], counted(self.calls, "call"))
        return f"{cost_text(self.totals)} · {' · '.join(part for part in parts if part)}"


def point_of(summary: Summary) -> Point:
    """The line of a summary in the history."""
    vcs, t = summary.vcs, summary.totals
    return Point(
        summary.created, summary.run.id or "", t.calls, t.total_tokens, t.cost, t.spent, t.unpriced,
        (vcs.commit or "")[:12] if vcs is not None else "", (vcs.branch or "")[:100] if vcs is not None else "",
        " ".join(summary.run.command)[:200], t.live, t.live_unpriced,
        t.partly_priced, t.live_partly_priced,
    )  # fmt: skip


def remember(summary: Summary, data_dir: str | os.PathLike[str]) -> None:
    """Add a run to the history, with one write.

    Raises:
        OSError: it cannot be written.
    """
    data = {k: exact(v) if isinstance(v, Decimal) else v for k, v in point_of(summary)._asdict().items()}
    fd = open_own(Path(data_dir, FILE), os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, json.dumps(data).encode("ascii") + b"\n")
    finally:
        os.close(fd)


def history(data_dir: str | os.PathLike[str], last: int = 30) -> tuple[Point, ...]:
    """Read the last runs, oldest first. Of a run that was reported several times, the last report counts."""
    try:
        with open(Path(data_dir, FILE), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _READ))
            lines = file.read().splitlines()
    except OSError:
        return ()
    found: dict[str, Point] = {}
    for line in lines:
        point = _point(line)
        if point is not None:
            found.pop(point.run, None)
            found[point.run] = point
    return tuple(found.values())[-last:]


def _point(line: bytes) -> Point | None:
    try:
        data = json.loads(line)
        text: dict[str, Any] = {
            name: str(data.get(name, "")) for name in ("created", "run", "commit", "branch", "command")
        }
        counts: dict[str, Any] = {
            name: int(data.get(name, 0))
            for name in ("calls", "tokens", "unpriced", "partly_priced", "live_partly_priced")
        }
        counts["live"] = int(data.get("live", counts["calls"]))
        counts["live_unpriced"] = int(data.get("live_unpriced", min(counts["live"], counts["unpriced"])))
        cost, spent = Decimal(data["cost"]), Decimal(data["spent"])
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        return None  # torn, or written by another program
    if not (cost.is_finite() and spent.is_finite() and 0 <= cost < _MOST and 0 <= spent < _MOST):
        return None
    if not all(0 <= count < _MOST for count in counts.values()):
        return None
    return Point(cost=cost, spent=spent, **text, **counts)
