"""What the simulated provider bills, by API key. It stores no key, prompt or answer."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any

from token_meter.simulator.rates import cost_of
from token_meter.types import Usage


@dataclass(frozen=True, slots=True)
class Entry:
    """One billed generation.

    Attributes:
        number: 1, 2, 3, … in the order in which the generations began.
        key: the label of the API key.
        id: the response id, which an option can make equal for all answers.
        path: the requested path, without options and query.
        api: the API, such as `chat` or `embeddings`.
        model: the model that served it.
        status: the HTTP status of the answer.
        usage: the billed tokens.
        cost: US dollars by the provider's own list; `None` if the model has no price.
        tier: the service tier that served it.
        streamed: the answer is a stream.
        reports_usage: this API reports usage to its clients (speech and translations do not).
        delivered: the usage was written to an open socket.
        aborted: the client left before the end; the tokens generated until then are billed.
        is_open: the answer is still being sent.
        at_s: when it was billed, in seconds since the epoch: the provider's clock, at the end of the answer.
        project: the id of its project or workspace, in administrators' reports.
        key_id: the id of its key there, which cannot be derived from the key.
        batch: it was a line of a batch.
    """

    number: int
    key: str
    id: str
    path: str
    api: str
    model: str
    status: int
    usage: Usage
    cost: Decimal | None
    tier: str | None = None
    streamed: bool = False
    reports_usage: bool = True
    delivered: bool = False
    aborted: bool = False
    is_open: bool = True
    at_s: float = 0.0
    project: str = "proj_sim"
    key_id: str = ""
    batch: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        plain = asdict(replace(self, usage=Usage()))
        return plain | {"usage": self.usage.to_dict(), "cost": None if self.cost is None else str(self.cost)}


@dataclass(frozen=True, slots=True)
class Bill:
    """The bill of one key, or of all.

    Attributes:
        key: the label of the key; `None` for all keys together.
        entries: the billed generations, in order.
        requests: the number of requests on model routes, including refused and failed ones.
        failures: the number of them that were answered with a status of 400 or above.
    """

    key: str | None
    entries: tuple[Entry, ...] = ()
    requests: int = 0
    failures: int = 0

    @property
    def calls(self) -> int:
        """The number of billed generations."""
        return len(self.entries)

    @property
    def open(self) -> int:
        """The number of answers that are still being sent; the bill may change until this is 0."""
        return sum(entry.is_open for entry in self.entries)

    @property
    def aborted(self) -> int:
        """The number of answers whose client left before the end."""
        return sum(entry.aborted for entry in self.entries)

    @property
    def delivered(self) -> int:
        """The number of usages that were sent to a client."""
        return sum(entry.delivered for entry in self.entries)

    @property
    def usage(self) -> Usage:
        """All tokens, added up."""
        return sum((entry.usage for entry in self.entries), Usage())

    @property
    def prompt_tokens(self) -> int:
        """Tokens that were sent."""
        return self.usage.prompt_tokens or 0

    @property
    def completion_tokens(self) -> int:
        """Tokens that were generated."""
        return self.usage.completion_tokens or 0

    @property
    def total_tokens(self) -> int:
        """Tokens that were sent and generated."""
        return self.usage.total_tokens or 0

    @property
    def cost(self) -> Decimal:
        """US dollars for all entries that have a price."""
        return sum((entry.cost for entry in self.entries if entry.cost is not None), Decimal(0))

    @property
    def unpriced(self) -> int:
        """The number of entries without a price."""
        return sum(entry.cost is None for entry in self.entries)

    @property
    def by_model(self) -> dict[str, Bill]:
        """The bill of each model."""
        return self._by(lambda entry: entry.model)

    @property
    def by_path(self) -> dict[str, Bill]:
        """The bill of each path."""
        return self._by(lambda entry: entry.path)

    def _by(self, name_of: Callable[[Entry], str]) -> dict[str, Bill]:
        names = dict.fromkeys(map(name_of, self.entries))
        return {name: Bill(self.key, tuple(e for e in self.entries if name_of(e) == name)) for name in names}

    def _sums(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "usage": self.usage.to_dict(),
            "cost": str(self.cost),
            "unpriced": self.unpriced,
            "delivered": self.delivered,
            "aborted": self.aborted,
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return {
            "key": self.key,
            **self._sums(),
            "open": self.open,
            "requests": self.requests,
            "failures": self.failures,
            "by_model": {name: bill._sums() for name, bill in self.by_model.items()},
            "by_path": {name: bill._sums() for name, bill in self.by_path.items()},
            "entries": [entry.to_dict() for entry in self.entries],
        }


def label_of(key: str | None) -> str:
    """The label of *key* in a bill: a test key as it is, any other by a digest, because bills may be shown."""
    if not key:
        return "anonymous"
    return key if key.startswith("sim-") else "key-" + hashlib.sha256(key.encode()).hexdigest()[:8]


class Books:
    """The bills of all keys, written by the server's thread and read by any thread."""

    def __init__(self) -> None:
        self.clock: Callable[[], float] = time.time
        self._lock = threading.Lock()
        self._entries: dict[int, Entry] = {}
        self._requests: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._open: Counter[str] = Counter()
        self._number = 0

    def ask(self, key: str) -> None:
        """Count a request."""
        with self._lock:
            self._requests[key] += 1

    def refuse(self, key: str) -> None:
        """Count a request that was answered with an error."""
        with self._lock:
            self._failures[key] += 1

    def begin(self, **what: Any) -> int:
        """Open an entry and return its number; *what* are the known fields of `Entry`."""
        cost = cost_of(what["usage"], what["model"], what.get("tier"))
        with self._lock:
            self._number += 1
            what = {"at_s": self.clock(), "key_id": f"key_{what['key']}", **what}
            entry = self._entries[self._number] = Entry(number=self._number, cost=cost, **what)
            self._open[entry.key] += 1
            return entry.number

    def change(self, number: int, **what: Any) -> None:
        """Change an entry, unless `reset` has removed it."""
        with self._lock:
            entry = self._entries.get(number)
            if entry is None:
                return
            if entry.is_open and not what.get("is_open", True):
                self._open[entry.key] -= 1
                what = {"at_s": self.clock(), **what}
            entry = replace(entry, **what)
            if "usage" in what:
                entry = replace(entry, cost=cost_of(entry.usage, entry.model, entry.tier))
            self._entries[number] = entry

    def bill(self, key: str | None = None) -> Bill:
        """The current bill of *key* (a label), or of all keys."""
        with self._lock:
            entries = tuple(e for e in self._entries.values() if key is None or e.key == key)
            if key is None:
                return Bill(None, entries, self._requests.total(), self._failures.total())
            return Bill(key, entries, self._requests[key], self._failures[key])

    def labels(self) -> list[str]:
        """The labels of all keys with a request."""
        with self._lock:
            return list(self._requests)

    def open(self, key: str | None = None) -> int:
        """The number of answers that are being sent to *key*, or to all keys."""
        with self._lock:
            return self._open.total() if key is None else self._open[key]

    def settled_bill(self, key: str | None, settle_s: float) -> Bill:
        """The bill, after at most *settle_s* seconds of waiting for answers that are still being sent."""
        deadline = time.monotonic() + settle_s
        while self.open(key) and time.monotonic() < deadline:
            time.sleep(0.002)
        return self.bill(key)

    def reset(self, keys: Iterable[str] | None = None) -> None:
        """Delete the entries of *keys*, or all entries."""
        with self._lock:
            if keys is None:
                self._entries.clear()
                self._requests.clear()
                self._failures.clear()
                self._open.clear()
                return
            gone = set(keys)
            self._entries = {n: e for n, e in self._entries.items() if e.key not in gone}
            for key in gone:
                self._requests.pop(key, None)
                self._failures.pop(key, None)
                self._open.pop(key, None)
