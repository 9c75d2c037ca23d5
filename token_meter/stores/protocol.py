"""What a budget store promises, and the values that pass between it and its clients. It knows no meter and no price.

Amounts are integers, so that they add up without error in any engine; money is in nano-dollars, 1e-9 US dollars.
Times are the store's own, in milliseconds since the epoch: the clocks of its clients may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

VERSION = "1"
"""The version of what a store keeps. A store of another version answers no one."""
LEASE_MS = 900_000
"""How long a call may hold a reservation. So a process that was killed blocks a budget no longer than that."""
LATE_MS = 86_400_000
"""How long after its lease has expired a call may still be settled."""
REPEAT_MS = 3_600_000
"""How long a settled call's id is remembered, so that a repeated settlement changes nothing."""


class StoreError(Exception):
    """A store cannot be reached, or failed. The message has no address and no password."""


class Units(NamedTuple):
    """Nano-dollars, tokens and calls. `None` means: no limit, or an amount that cannot be estimated."""

    nano_usd: int | None = 0
    tokens: int | None = 0
    calls: int | None = 0


NOTHING = Units()


class Window(NamedTuple):
    """A stretch of time of one budget; what is spent in it is counted apart.

    Attributes:
        budget: the budget's name.
        start_ms: its first millisecond.
        end_ms: the first one after it; 0 if it never ends.
        back: how many windows of the same length before it count too.
    """

    budget: str
    start_ms: int = 0
    end_ms: int = 0
    back: int = 0

    @property
    def keep_ms(self) -> int:
        """How long a store must keep it after its end: for late settlements, and while later windows count it."""
        return max(LEASE_MS + REPEAT_MS, (self.end_ms - self.start_ms) * (self.back + 1))

    def before(self) -> list[Window]:
        """The earlier windows that count too."""
        length = self.end_ms - self.start_ms
        return [self._replace(start_ms=self.start_ms - n * length, end_ms=self.end_ms - n * length)
                for n in range(1, self.back + 1)]  # fmt: skip


class StoreAsk(NamedTuple):
    """What a call wants to reserve in one budget.

    Attributes:
        window: the budget, and its window now as the client believes.
        limit: what may be spent in that window.
        wanted: what the call may use at most; `None` in a field that cannot be estimated. Such calls run one at a time.
        is_enforced: refuse the call if it does not fit; else reserve all the same, and say so.
        definition: the budget's limits and period as JSON, for lists.
    """

    window: Window
    limit: Units
    wanted: Units
    is_enforced: bool = True
    definition: str = ""


class LeaseRequest(NamedTuple):
    """A call that asks to be sent.

    Attributes:
        id: the call's id. A request that is repeated with the same id changes nothing.
        asks: what it wants, the outermost budget first: it gets all of it, or nothing.
        lease_ms: for how long.
    """

    id: str
    asks: tuple[StoreAsk, ...]
    lease_ms: int = LEASE_MS


class Charge(NamedTuple):
    """What a call used of one budget, in the window in which it had reserved."""

    window: Window
    used: Units


class Settlement(NamedTuple):
    """The end of a call: its reservation is replaced by what it used; nothing, if it was not sent.

    A call whose lease has expired, or that was sent while its store was down, is settled in the same way. A settlement
    that is repeated changes nothing.
    """

    id: str
    charges: tuple[Charge, ...] = ()


class StoreState(NamedTuple):
    """The state of one budget, in its window and the earlier ones that count too.

    Attributes:
        spent: what settled calls used, plus `lost`.
        held: what calls in flight may still use.
        lost: what calls with an expired lease had reserved; a late settlement corrects it.
        unknown: calls in flight of unknown cost, and of unknown tokens.
    """

    spent: Units = NOTHING
    held: Units = NOTHING
    lost: Units = NOTHING
    unknown: tuple[int, int] = (0, 0)


class Exceeded(NamedTuple):
    """A limit that the call could exceed: the number of the ask, and `nano_usd`, `tokens` or `calls`."""

    number: int
    field: str


Status = Literal["done", "refused", "moved", "flushed", "version"]


class Answer(NamedTuple):
    """What a store says to one step.

    Attributes:
        status: `done`; `refused`, a limit is in the way; `moved`, a window is not the current one; `flushed`, the store
            has lost what it knew; `version`, it is of another version of token_meter. But for `done`, nothing is
            reserved. Settlements have been made, unless the version differs.
        now_ms: the store's time.
        epoch: changes when the store has lost what it knew.
        states: the state of each ask's budget before this call.
        exceeded: the first limit in the way; if `done`, the limits that are not enforced.
        evicts: the policy by which the server may drop what it keeps, told to a client without an epoch; else empty.
    """

    status: Status
    now_ms: int
    epoch: str
    states: tuple[StoreState, ...] = ()
    exceeded: tuple[Exceeded, ...] = ()
    evicts: str = ""


def checked(answer: Answer) -> Answer:
    """The answer of a store of this version.

    Raises:
        StoreError: it is of another one.
    """
    if answer.status == "version":
        msg = f"it is of version {answer.epoch!r}, and this token_meter reads version {VERSION!r}: use one "
        msg += "version of token_meter everywhere, or another `?namespace=` for this one"
        raise StoreError(msg)
    return answer


class BudgetRow(NamedTuple):
    """A budget in a list: its name, its definition, and its windows that the store still keeps, the latest first."""

    name: str
    definition: str
    windows: tuple[tuple[Window, StoreState], ...]


class LeaseRow(NamedTuple):
    """A call in flight, or one whose lease has expired (`is_lost`): until when, and what it reserved."""

    id: str
    until_ms: int
    is_lost: bool
    charges: tuple[Charge, ...]


@runtime_checkable
class BudgetStore(Protocol):
    """Keeps budgets by name. Each method is one atomic step, and may be repeated.

    A method raises `StoreError` if the store does not answer, within a quarter of a second.

    Attributes:
        label: what errors and lists call it, without a password.
    """

    label: str

    def step(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """Make the settlements, then reserve for the call in all its budgets, or in none.

        Args:
            settlements: calls that have ended.
            request: a call that asks to be sent.
            epoch: the epoch that this client has seen before; empty if none. In another one, nothing is reserved,
                until `put` has accepted it.
        """

    def read(self, windows: Sequence[Window]) -> Answer:
        """The states of these windows; all zero for one that was never used."""

    def put(self, window: Window, spent: Units, definition: str = "") -> None:
        """Set what has been spent in a window, and accept the present epoch.

        Calls in flight stay as they are. Those whose lease has expired are taken to be part of *spent*: a late
        settlement changes nothing in this window.
        """

    def budgets(self) -> list[BudgetRow]:
        """All budgets that the store knows, by name."""

    def leases(self) -> list[LeaseRow]:
        """All calls in flight, and those whose lease has expired, the oldest first."""

    def close(self) -> None:
        """Close the connection; a later step opens another one."""


@runtime_checkable
class AsyncBudgetStore(BudgetStore, Protocol):
    """A store that can be awaited. One without `astep` is called by async code as by other code."""

    async def astep(self, settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str = "") -> Answer:
        """The same as `step`."""
