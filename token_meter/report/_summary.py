"""The contents of a report, as frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from token_meter.report._by import By, keys_of_row
from token_meter.types import Usage

GroupType: TypeAlias = Literal[
    "test", "fixture", "outside", "label", "tag", "script", "model", "file", "process", "day"
]  # fmt: skip
Status: TypeAlias = Literal["ok", "warn", "exceeded", "unknown"]
STATUSES: tuple[Status, ...] = get_args(Status)


ZERO = Decimal(0)
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Tokens(NamedTuple):
    """The six counts in every report; `None` if no call reported one."""

    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    total_tokens: int | None = None

    def plus(self, other: Tokens) -> Tokens:
        """Add field by field; an unknown plus a number is the number."""
        return Tokens(
            *(a if b is None else b if a is None else a + b for a, b in zip(self, other, strict=True)),
        )


NO_TOKENS = Tokens()


class Kind(NamedTuple):
    """All properties of a call that its price depends on, except usage and time."""

    request_model: str | None = None
    response_model: str | None = None
    provider: str | None = None
    host: str | None = None
    api: str = "chat"
    tier: str | None = None
    processing: str | None = None

    @property
    def model(self) -> str:
        """The name to show."""
        return self.response_model or self.request_model or "(no model)"


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over some calls. `cost` and `spent` hold what is known: with calls in `open`, they are lower bounds.

    An SDK's retries are counted as calls here, because each has its own outcome, but not by a limit on calls.
    What begins with `live_` says what is uncertain about `spent`, apart from `cost`. A call is `unpriced` or
    `partly_priced`, never both.
    """

    calls: int = 0
    live: int = 0
    replayed: int = 0
    mocked: int = 0
    failed: int = 0
    unpriced: int = 0
    estimated: int = 0
    unmeasured: int = 0
    late: int = 0
    tokens: Tokens = NO_TOKENS
    cost: Decimal = ZERO
    spent: Decimal = ZERO
    duration_s: float = 0.0
    unpriced_models: tuple[str, ...] = ()
    retries: int = 0
    live_unpriced: int = 0
    live_estimated: int = 0
    partly_priced: int = 0
    live_partly_priced: int = 0

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.calls + other.calls,
            self.live + other.live,
            self.replayed + other.replayed,
            self.mocked + other.mocked,
            self.failed + other.failed,
            self.unpriced + other.unpriced,
            self.estimated + other.estimated,
            self.unmeasured + other.unmeasured,
            self.late + other.late,
            self.tokens.plus(other.tokens),
            self.cost + other.cost,
            self.spent + other.spent,
            self.duration_s + other.duration_s,
            tuple(dict.fromkeys(self.unpriced_models + other.unpriced_models)),
            self.retries + other.retries,
            self.live_unpriced + other.live_unpriced,
            self.live_estimated + other.live_estimated,
            self.partly_priced + other.partly_priced,
            self.live_partly_priced + other.live_partly_priced,
        )

    @property
    def open(self) -> int:
        """Calls whose price is not known, or only in part: with any, `cost` is a lower bound."""
        return self.unpriced + self.partly_priced

    @property
    def live_open(self) -> int:
        """The same of live calls, for `spent`."""
        return self.live_unpriced + self.live_partly_priced

    def known_cost(self, *, spent: bool = False) -> Decimal | None:
        """The sum, if only a lower bound; `None` where no part of it is known, which is never 0."""
        amount, missing = (self.spent, self.live_open) if spent else (self.cost, self.open)
        return amount if amount or not missing else None

    @property
    def known_tokens(self) -> int | None:
        """All tokens that were reported; `None` where there are calls, and none reported any."""
        return None if self.calls and self.tokens == NO_TOKENS else self.total_tokens

    @property
    def total_tokens(self) -> int:
        """All tokens that were reported, for display and limits."""
        t = self.tokens
        return t.total_tokens if t.total_tokens is not None else (t.prompt_tokens or 0) + (t.completion_tokens or 0)


def total_of(parts: Iterable[Totals]) -> Totals:
    """The sum of *parts*."""
    total = Totals()
    for part in parts:
        total += part
    return total


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model's share of a group.

    Attributes:
        usages: the distinct usages and their numbers of calls, for exact re-pricing; `None` if there were too many.
        reason: why its calls have no price.
        source: the source of its price.
    """

    kind: Kind
    totals: Totals
    usages: tuple[tuple[Usage, int], ...] | None = None
    reason: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One row of a report: a test, a fixture, a model, a day, …"""

    id: str
    type: GroupType
    totals: Totals
    models: tuple[ModelLine, ...] = ()
    phases: Mapping[str, Decimal | None] = field(default_factory=dict)
    attempts: int = 1
    processes: int = 1
    outcome: str | None = None
    file: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The run of a report, and whether its ledger is complete."""

    id: str | None = None
    command: tuple[str, ...] = ()
    exit_status: int | None = None
    complete: bool = True
    began_s: float | None = None
    duration_s: float | None = None
    processes: int = 0
    unclean_processes: int = 0
    in_flight: int = 0
    in_flight_contexts: tuple[str, ...] = ()
    skipped_records: int = 0
    lost_records: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    running_processes: int = 0


@dataclass(frozen=True, slots=True)
class Vcs:
    """The commit of a run."""

    commit: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    merge_base: str | None = None
    ci: str | None = None
    run_url: str | None = None
    pr: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One limit or rule and its result.

    Attributes:
        scope: `run`, a test id, `total` of a diff, …
        field: `cost`, `spent`, `tokens`, `calls`, `unpriced`.
        limit: a number, or the rule's text.
        actual: the measured value.
        status: `unknown` if unpriced calls make it undecidable.
        text: one line of text.
        culprit: a test's id, for annotations.
    """

    scope: str
    field: str
    limit: Decimal
    actual: Decimal
    status: Status
    text: str
    rule: str | None = None
    culprit: str | None = None

    @property
    def known_actual(self) -> Decimal | None:
        """What was found; `None` where nothing of it is known."""
        return None if self.status == "unknown" and not self.actual else self.actual


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice; `code` is stable for programs, `text` is for readers."""

    code: str
    text: str
    model: str | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole report."""

    by: By
    totals: Totals
    models: tuple[ModelLine, ...]
    groups: tuple[Group, ...]
    run: Run = field(default_factory=Run)
    vcs: Vcs | None = None
    prices: str = ""
    digest: str = ""
    overrides: int = 0
    created: str = ""
    prices_as_of: str = ""
    checks: tuple[Check, ...] = ()
    notices: tuple[Notice, ...] = ()
    as_model: str | None = None
    tool_version: str = field(default="0")

    def keys_of(self, group: Group) -> tuple[str, ...]:
        """What a row stands for: its id, or two keys where rows are by two things."""
        return keys_of_row(self.by, group.id)

    @property
    def what(self) -> str:
        """What a row is, in one word: `test`, `model`, the `customer` of `tag:customer`.

        Without tests, as of a service or by `token-meter run`, a row by test is all that a `program` did.
        """
        if self.by == "test" and self.groups and not any(group.type in ("test", "fixture") for group in self.groups):
            return "program"
        return ", ".join(part.partition(":")[2] or part for part in self.by.split(","))

    @property
    def largest(self) -> tuple[Group, ...]:
        """The groups, the most expensive first."""
        return tuple(sorted(self.groups, key=lambda g: (-g.totals.cost, -g.totals.total_tokens, g.id)))
