"""The one rule of all stores: whether a call fits. The Lua script says the same in its own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from token_meter.stores.protocol import Exceeded, StoreAsk, StoreState, Units


class Verdict(NamedTuple):
    """Whether a call fits, and the limit in its way; if it fits, the limits that are not enforced."""

    status: Literal["done", "refused"]
    exceeded: tuple[Exceeded, ...]


def verdict(asks: Sequence[StoreAsk], states: Sequence[StoreState]) -> Verdict:
    """Whether a call fits into all of its budgets, the outermost first."""
    exceeded = []
    for number, (ask, state) in enumerate(zip(asks, states, strict=True)):
        field = exceeded_field(ask, state)
        if field is not None:
            exceeded.append(Exceeded(number, field))
            if ask.is_enforced:
                return Verdict("refused", tuple(exceeded[-1:]))
    return Verdict("done", tuple(exceeded))


def exceeded_field(ask: StoreAsk, state: StoreState) -> str | None:
    """The first limit that *ask* could exceed.

    A call of unknown size passes if the limit is not reached and no other such call is in flight.
    """
    blind = (*state.unknown, 0)
    rows = zip(ask.limit, ask.wanted, state.spent, state.held, blind, strict=True)
    for field, (limit, wanted, spent, held, unknown) in zip(Units._fields, rows, strict=True):
        if limit is None or wanted == 0:  # a call that uses nothing fits, even over the limit
            continue
        committed = (spent or 0) + (held or 0)
        if (committed >= limit or unknown) if wanted is None else committed + wanted > limit:
            return field
    return None


def unknown_of(wanted: Units) -> tuple[int, int]:
    """How many amounts of a call cannot be estimated: its cost, its tokens."""
    return int(wanted.nano_usd is None), int(wanted.tokens is None)


def total(many: Iterable[Units]) -> Units:
    """The sum; an unknown amount adds nothing."""
    rows = [tuple(amount or 0 for amount in row) for row in many]
    return Units(*map(sum, zip(*rows, strict=True))) if rows else Units()


def is_current(ask: StoreAsk, now_ms: int) -> bool:
    """Whether the ask's window is the one of this moment."""
    window = ask.window
    return not window.end_ms or window.start_ms <= now_ms < window.end_ms
