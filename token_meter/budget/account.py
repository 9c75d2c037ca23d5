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
from typing import Any, NamedTuple

from token_meter._fork import in_child
from token_meter._money import EXACT, format_usd, left, parse_count, parse_usd, plus

DEFAULT_OUTPUT_TOKENS = 1024
"""Output tokens that are reserved for a call that sets no cap of its own (`max_tokens` or the like).

A longer answer overshoots the limit, at most by what the calls in flight generate beyond this number. Set it to your
longest answer: `token_meter.budget.DEFAULT_OUTPUT_TOKENS = 8000`.
"""

_NO_COST = Decimal(0)
_SMALL = Decimal("0.01")

_lock = threading.RLock()
_generation = 0


@in_child
def _after_fork() -> None:
    """Start a forked child with nothing in flight, and with a new lock: a thread of its parent may hold the old one."""
    global _lock, _generation
    _lock = threading.RLock()
    _generation += 1


class Amounts(NamedTuple):
    """US dollars, tokens and calls. `None` means: no limit, an unknown amount, or not read, depending on the use."""

    cost: Decimal | None = None
    tokens: int | None = None
    calls: int | None = None


_WORDS = {
    "cost": ("max_cost", "spent", "give the call a smaller max_tokens, raise ", "max_cost"),
    "tokens": ("max_tokens", "used", "give the call a smaller max_tokens, raise ", "the meter's max_tokens"),
    "calls": ("max_calls", "made", "raise ", "max_calls"),
}


def shown(field: str, amount: Any) -> str:
    """Format an amount of *field*. A cost below a cent keeps every digit, because readers compare it with the limit."""
    if field == "cost":
        return f"${amount.normalize(EXACT):f}" if 0 < amount < _SMALL else format_usd(amount)
    return f"{amount:,} {field if amount != 1 else field[:-1]}"


def parse_limits(max_cost: Any = None, max_tokens: Any = None, max_calls: Any = None) -> Amounts | None:
    """Read the three limits of a meter; `None` when there is none.

    Raises:
        ConfigError: a limit is not a valid amount.
    """
    if max_cost is None and max_tokens is None and max_calls is None:
        return None
    return Amounts(
        None if max_cost is None else parse_usd(max_cost, name="max_cost"),
        None if max_tokens is None else parse_count(max_tokens, name="max_tokens"),
        None if max_calls is None else parse_count(max_calls, name="max_calls"),
    )


class Excess(NamedTuple):
    """A limit that one more call could exceed. Amounts are US dollars, tokens or calls, depending on the field.

    Attributes:
        account: the account that has the limit.
        field: `cost`, `tokens` or `calls`.
        limit: the limit.
        spent: what finished calls used.
        reserved: what calls in flight may still use.
        wanted: what the call may use; `None` when that cannot be estimated.
    """

    account: Account
    field: str
    limit: Any
    spent: Any
    reserved: Any
    wanted: Any

    @property
    def is_transient(self) -> bool:
        """Whether the limit is not reached, and the call only has to wait for another one of unknown size."""
        return self.wanted is None and bool(plus(self.spent, self.reserved) < self.limit)

    def describe(self, whose: str, option: str | None = None) -> str:
        """A message with what happened, the values, and what to do; *option* is what the user set the limit by."""
        argument, verb, words, name = _WORDS[self.field]
        remedy, need = f"{words}{option or name}", "an amount that cannot be estimated"
        why = f"and this call may need {need if self.wanted is None else shown(self.field, self.wanted)}"
        if self.is_transient:
            why += ", as may another one that is in flight: together they could overshoot by any amount"
            remedy = "send such calls one after the other"
        return (
            f"{whose} is limited to {shown(self.field, self.limit)} but {shown(self.field, self.spent)} {verb}, "
            f"{shown(self.field, self.reserved)} reserved for calls in flight, {why} ({option or argument}). "
            f"The call was not sent: {remedy}{'' if option else ', or let it pass within `with cb.suspended():`'}"
        )


class Ask(NamedTuple):
    """What a call wants to reserve in one account. If `is_enforced` is false, it reserves even beyond the limit."""

    account: Account
    wanted: Amounts
    is_enforced: bool = True


class Admission(NamedTuple):
    """The result of `admit`: a reservation, or `None` where the call could exceed an enforced limit."""

    reservation: Reservation | None
    exceeded: tuple[Excess, ...]


_Spent = Callable[[Amounts], Amounts]
_SpentNow = Callable[[Amounts], Amounts | None]


class _PriceIsAsked(Exception):
    """A finished call has no price yet, and a price book must not be asked while the lock is held."""


class Account:
    """What one meter may spend, and what is reserved of it.

    Args:
        limits: the limits.
        spent: reads cost and tokens of the finished calls, before their reservations are released. It may be slow, as
            a user's own price book can be, and is called without a lock.
        spent_now: the same for a caller with the lock; `None` where a price book must be asked. Default: *spent*.
    """

    __slots__ = (
        "_at_once", "_blind", "_cost", "_generation", "_in_flight", "_made", "_released", "_settling", "_spent",
        "_tokens", "limits",
    )  # fmt: skip

    def __init__(self, limits: Amounts, spent: _Spent, spent_now: _SpentNow | None = None) -> None:
        self.limits = limits
        self._spent = spent
        self._at_once = spent_now or spent
        self._made = 0
        # A release is one append: it is atomic, and safe in a finalizer that interrupts the holder of the lock.
        self._released: deque[tuple[Amounts, bool]] = deque()
        self._renew()

    def _renew(self) -> None:
        self._generation = _generation
        self._made += sum(was_sent for _, was_sent in self._released)  # at a fork: calls that ended before it
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
            while self._released:
                wanted, was_sent = self._released.popleft()
                self._reserve(wanted, -1)
                self._made += was_sent
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
    def reserved(self) -> Amounts:
        """What calls in flight may still use."""
        with _lock:
            self._settle()
            return Amounts(self._cost, self._tokens, self._in_flight)

    @property
    def spent(self) -> Amounts:
        """What finished calls used, for the fields that have a limit."""
        return self._looked_up()[0]

    @property
    def remaining(self) -> Amounts:
        """What one more call may use, never below 0; `None` where there is no limit."""
        spent, reserved = self._looked_up()
        return Amounts(*(left(*each) for each in zip(self.limits, spent, reserved, strict=True)))

    def _looked_up(self) -> tuple[Amounts, Amounts]:
        """The spent and the reserved amounts. A call that ends meanwhile may be in both, but is never in neither."""
        self._spent(self.limits)
        with _lock:
            self._settle()
            reserved, spent = Amounts(self._cost, self._tokens, self._in_flight), self._spent_now()
        return spent or self._whole(self._spent(self.limits)), reserved

    def _spent_now(self) -> Amounts | None:
        found = self._at_once(self.limits)
        return None if found is None else self._whole(found)

    def _whole(self, spent: Amounts) -> Amounts:
        return Amounts(spent.cost or _NO_COST, spent.tokens or 0, self._made)

    def _excess(self, wanted: Amounts, *, is_enforced: bool = True) -> Excess | None:
        """The first limit that *wanted* exceeds or, if enforced, could exceed by an unknown amount; the lock is held.

        Releases are subtracted before the spent sum is read: a call whose reservation is gone is then in that sum.

        Raises:
            _PriceIsAsked: the spent sum is not known yet.
        """
        self._settle()
        spent = self._spent_now()
        if spent is None:
            raise _PriceIsAsked
        reserved = Amounts(self._cost, self._tokens, self._in_flight)
        sums = zip(Amounts._fields, self.limits, spent, reserved, wanted, self._blind, strict=True)
        for field, limit, used, held, more, blind in sums:
            if limit is None or (more == 0 and field != "calls"):  # a call that uses nothing fits, even over the limit
                continue
            committed = plus(used, held)
            # At most one call at a time may overshoot by an unknown amount. A limit that only warns lets all pass.
            unseen = committed >= limit or (blind and is_enforced)
            if unseen if more is None else plus(committed, more) > limit:
                return Excess(self, field, limit, used, held, more)
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

    def release(self, *, was_sent: bool) -> None:
        """Give everything back; a second time does nothing. If *was_sent*, the call counts as made. Takes no lock.

        A forked child gives nothing back: its accounts start without the reservations of its parent.
        """
        try:
            self._open.pop()
        except IndexError:
            return
        if self._generation == _generation:
            for ask in self._asks:
                ask.account._released.append((ask.wanted, was_sent))


def admit(asks: Sequence[Ask]) -> Admission:
    """Check all limits that apply to a call, outermost first; reserve in all accounts or in none, in one step."""
    while True:
        for ask in asks:
            # This prices and estimates finished calls, which can be slow, so it happens outside of the lock.
            ask.account._spent(ask.account.limits)
        # A call that ended since has no price yet: try again. All waiting callers do, so calls in flight run out.
        with suppress(_PriceIsAsked), _lock:
            return _decide(asks)


def _decide(asks: Sequence[Ask]) -> Admission:
    exceeded = []
    for ask in asks:
        excess = ask.account._excess(ask.wanted, is_enforced=ask.is_enforced)
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
