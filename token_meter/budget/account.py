"""Limits and reservations: whether one more call still fits.

Before a call is sent, it reserves what it may use in the accounts of all limits that apply to it, in one step. When its
usage has been counted, the reservation is released. So parallel calls cannot spend the same dollar. A call whose size
cannot be estimated reserves nothing: it is sent if the limit is not reached and no other such call is in flight.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from token_meter._fork import in_child
from token_meter._money import EXACT, left, plus
from token_meter.budget.amounts import Amounts
from token_meter.budget.assumed import Least
from token_meter.budget.excess import Assumed, Excess

if TYPE_CHECKING:
    from token_meter.context.ports import WaitingEstimate
    from token_meter.types import Call

_NO_COST = Decimal(0)

_lock = threading.RLock()
_generation = 0


@in_child
def _after_fork() -> None:
    """Start a forked child with nothing in flight, and with a new lock: a thread of its parent may hold the old one."""
    global _lock, _generation
    _lock = threading.RLock()
    _generation += 1


class Ask(NamedTuple):
    """What a call wants to reserve in one account.

    Attributes:
        account: the account.
        wanted: what the call may use.
        is_enforced: the limit refuses the call; else it reserves even beyond the limit.
        least: what it counts as at least, if its end does not tell what it used; `None`: only what it tells.
        remedy: what the caller can change in the request, for the message of a refusal.
    """

    account: Account
    wanted: Amounts
    is_enforced: bool = True
    least: Least | None = None
    remedy: str = ""


class Released:
    """A reservation that was given back. It is held until it was worked out what the call used beyond what it told.

    Attributes:
        ask: what was reserved.
        was_sent: the call counts as made.
        calls: its attempts, as they ended.
        assumed: what counts beyond what they told; `None` while nobody has worked it out.
    """

    __slots__ = ("ask", "assumed", "calls", "was_sent")

    def __init__(self, ask: Ask, calls: Sequence[Call | WaitingEstimate], *, was_sent: bool) -> None:
        self.ask, self.calls, self.was_sent = ask, calls, was_sent
        limits = ask.account.limits
        is_told = not calls or ask.least is None or (limits.cost is None and limits.tokens is None)
        self.assumed = Assumed() if is_told else None


class Admission(NamedTuple):
    """The result of `admit`: a reservation, or `None` where the call could exceed an enforced limit."""

    reservation: Reservation | None
    exceeded: tuple[Excess, ...]


_Spent = Callable[[Amounts], Amounts]
_SpentNow = Callable[[Amounts], Amounts | None]
_WorkOut = Callable[[Sequence[Released]], None]


class _PriceIsAsked(Exception):
    """A finished call has no price yet, and a price book must not be asked while the lock is held."""


def _leave_it(_: Sequence[Released]) -> None:
    """Work out nothing: what calls tell is all that counts."""


class Account:
    """What one meter may spend, and what is reserved of it.

    Args:
        limits: the limits.
        spent: reads cost and tokens of the finished calls, before their reservations are released. It may be slow, as
            a user's own price book can be, and is called without a lock.
        spent_now: the same for a caller with the lock; `None` where a price book must be asked. Default: *spent*.
        work_out: works out what is assumed of calls that have ended, without a lock; it may leave them as they are.
    """

    __slots__ = (
        "_assumed", "_at_once", "_blind", "_cost", "_generation", "_in_flight", "_made", "_released", "_settling",
        "_spent", "_tokens", "_work_out", "limits",
    )  # fmt: skip

    def __init__(
        self, limits: Amounts, spent: _Spent, spent_now: _SpentNow | None = None, work_out: _WorkOut = _leave_it
    ) -> None:
        self.limits = limits
        self._spent = spent
        self._at_once = spent_now or spent
        self._work_out = work_out
        self._made = 0
        self._assumed = Assumed()
        # A release is one append: it is atomic, and safe in a finalizer that interrupts the holder of the lock.
        self._released: deque[Released] = deque()
        self._renew()

    def _renew(self) -> None:
        self._generation = _generation
        for ended in self._released:  # at a fork: calls that ended before it
            self._made += ended.was_sent
            self._assumed = self._assumed.and_more(ended.assumed or Assumed())
        self._released.clear()
        self._cost, self._tokens, self._in_flight, self._settling = _NO_COST, 0, 0, False
        self._blind = (0, 0, 0)  # calls in flight whose cost or tokens cannot be estimated

    def _settle(self) -> None:
        """Subtract what was released since the last time; the lock is held."""
        if self._generation != _generation:
            self._renew()
        if self._settling:
            return
        self._settling = True
        try:
            for _ in range(len(self._released)):
                ended = self._released.popleft()
                if ended.assumed is None:
                    self._released.append(ended)
                    continue
                self._reserve(ended.ask.wanted, -1)
                self._made += ended.was_sent
                self._assumed = self._assumed.and_more(ended.assumed)
        finally:
            self._settling = False

    def _reserve(self, wanted: Amounts, sign: int) -> None:
        self._in_flight += sign
        self._blind = _unforeseen(self._blind, wanted, sign)
        if wanted.tokens is not None:
            self._tokens += sign * wanted.tokens
        if wanted.cost is not None:
            add = EXACT.add if sign > 0 else EXACT.subtract
            self._cost = add(self._cost, wanted.cost)

    @property
    def is_behind(self) -> bool:
        """Whether calls have ended of which it is not worked out yet what is assumed."""
        return any(ended.assumed is None for ended in self._released.copy())

    def catch_up(self) -> None:
        """Work out what is assumed of calls that have ended. It may ask a price book: no lock may be held."""
        waiting = [ended for ended in self._released.copy() if ended.assumed is None]
        if waiting:
            self._work_out(waiting)

    @property
    def reserved(self) -> Amounts:
        """What calls in flight may still use."""
        self.catch_up()
        with _lock:
            self._settle()
            return Amounts(self._cost, self._tokens, self._in_flight)

    @property
    def spent(self) -> Amounts:
        """What finished calls used, for the fields that have a limit, and what is assumed of them."""
        return self._looked_up()[0]

    @property
    def remaining(self) -> Amounts:
        """What one more call may use, never below 0; `None` where there is no limit."""
        spent, reserved = self._looked_up()
        return Amounts(*(left(*each) for each in zip(self.limits, spent, reserved, strict=True)))

    def _looked_up(self) -> tuple[Amounts, Amounts]:
        """The spent and the reserved amounts. A call that ends meanwhile may be in both, but is never in neither."""
        self.catch_up()
        self._spent(self.limits)
        with _lock:
            self._settle()
            reserved, spent = Amounts(self._cost, self._tokens, self._in_flight), self._spent_now()
        return spent or self._whole(self._spent(self.limits)), reserved

    def _spent_now(self) -> Amounts | None:
        found = self._at_once(self.limits)
        return None if found is None else self._whole(found)

    def _whole(self, spent: Amounts) -> Amounts:
        cost, tokens, assumed = spent.cost or _NO_COST, spent.tokens or 0, self._assumed
        if assumed.calls and self.limits.cost is not None:
            cost = plus(cost, assumed.cost)
        return Amounts(cost, tokens if self.limits.tokens is None else tokens + assumed.tokens, self._made)

    def _excess(self, ask: Ask) -> Excess | None:
        """The first limit that a call exceeds or, if enforced, could exceed by an unknown amount; the lock is held.

        Releases are subtracted before the spent sum is read: a call whose reservation is gone is then in that sum.

        Raises:
            _PriceIsAsked: the spent sum is not known yet.
        """
        self._settle()
        spent = self._spent_now()
        if spent is None:
            raise _PriceIsAsked
        reserved = Amounts(self._cost, self._tokens, self._in_flight)
        sums = zip(Amounts._fields, self.limits, spent, reserved, ask.wanted, self._blind, strict=True)
        for field, limit, used, held, more, blind in sums:
            if limit is None or (more == 0 and field != "calls"):  # a call that uses nothing fits, even over the limit
                continue
            committed = plus(used, held)
            # At most one call at a time may overshoot by an unknown amount. A limit that only warns lets all pass.
            unseen = committed >= limit or (blind and ask.is_enforced)
            if unseen if more is None else plus(committed, more) > limit:
                return Excess(self, field, limit, used, held, more, self._assumed, ask.remedy)
        return None


class Reservation:
    """What one call holds until it ends, in every account that applies to it."""

    __slots__ = ("_asks", "_generation", "_open")

    def __init__(self, asks: tuple[Ask, ...]) -> None:
        self._asks = asks
        self._generation = _generation
        self._open = [True]  # popped by the release: once, also between threads and a finalizer

    @property
    def is_enforced(self) -> bool:
        """Whether a limit could have refused the call."""
        return any(ask.is_enforced for ask in self._asks)

    def release(self, *, was_sent: bool, calls: Sequence[Call | WaitingEstimate] = ()) -> None:
        """Give everything back; a second time does nothing. If *was_sent*, the call counts as made. Takes no lock.

        *calls* are its attempts: what they do not tell counts as it was reserved.

        A forked child gives nothing back: its accounts start without the reservations of its parent.
        """
        try:
            self._open.pop()
        except IndexError:
            return
        if self._generation == _generation:
            for ask in self._asks:
                ask.account._released.append(Released(ask, calls, was_sent=was_sent))


def admit(asks: Sequence[Ask]) -> Admission:
    """Check all limits that apply to a call, outermost first; reserve in all accounts or in none, in one step."""
    while True:
        for ask in asks:
            # This prices and estimates finished calls, which can be slow, so it happens outside of the lock.
            ask.account.catch_up()
            ask.account._spent(ask.account.limits)
        # A call that ended since has no price yet: try again. All waiting callers do, so calls in flight run out.
        with suppress(_PriceIsAsked), _lock:
            return _decide(asks)


def _decide(asks: Sequence[Ask]) -> Admission:
    exceeded = []
    for ask in asks:
        excess = ask.account._excess(ask)
        if excess is not None:
            exceeded.append(excess)
            if ask.is_enforced:
                return Admission(None, tuple(exceeded[-1:]))
    reservation = Reservation(tuple(asks))
    for ask in asks:
        ask.account._reserve(ask.wanted, +1)
    return Admission(reservation, tuple(exceeded))


def _unforeseen(blind: tuple[int, int, int], wanted: Amounts, sign: int) -> tuple[int, int, int]:
    """Count one call more, or less, in the fields whose amount cannot be estimated."""
    cost, tokens, calls = (n + sign * (amount is None) for n, amount in zip(blind, wanted, strict=True))
    return cost, tokens, calls
