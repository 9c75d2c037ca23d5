"""The arguments and the answers of `budget.lua`. It knows no server."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex

from token_meter.stores.protocol import (
    LATE_MS,
    REPEAT_MS,
    VERSION,
    Answer,
    Charge,
    Exceeded,
    LeaseRequest,
    LeaseRow,
    Settlement,
    StoreState,
    Units,
    Window,
)


def head(epoch: str = "") -> tuple[str | int, ...]:
    """The arguments of every step."""
    return (VERSION, epoch, token_hex(8), LATE_MS, REPEAT_MS)


def step_arguments(settlements: Sequence[Settlement], request: LeaseRequest | None, epoch: str) -> list[str | int]:
    """The arguments of `settle` and of `reserve`."""
    found: list[str | int] = [*head(epoch), len(settlements)]
    for settlement in settlements:
        found += (settlement.id, len(settlement.charges))
        for w, used in settlement.charges:
            found += (f"w:{w.start_ms}:{w.end_ms}:{w.budget}", w.end_ms, w.keep_ms, *(amount or 0 for amount in used))
    if request is None:
        return [*found, "settle"]
    found += ("reserve", request.id, request.lease_ms, len(request.asks))
    for ask in request.asks:
        w = ask.window
        found += (w.budget, w.start_ms, w.end_ms, w.back, w.keep_ms)
        found += ["" if amount is None else amount for amount in (*ask.limit, *ask.wanted)]
        found += (int(ask.is_enforced), ask.definition)
    return found


def answer_of(text: str) -> Answer:
    """What the script said."""
    status, now, about, exceeded, *states = text.split("\n")
    epoch, _, evicts = about.partition(" ")
    numbers = [int(number) for number in exceeded.split()]
    return Answer(
        status, int(now), epoch,  # type: ignore[arg-type]  # a word of the script, which is ours
        tuple([_state(line) for line in states]),
        tuple([Exceeded(number, Units._fields[k]) for number, k in zip(numbers[::2], numbers[1::2], strict=True)]),
        evicts,
    )  # fmt: skip


def _state(line: str) -> StoreState:
    n, t, c, hn, ht, hc, ln, lt, lc, un, ut = map(int, line.split(" "))
    return StoreState(Units(n, t, c), Units(hn, ht, hc), Units(ln, lt, lc), (un, ut))


def lease_of(line: str) -> LeaseRow:
    """A line of `leases`."""
    state, until, id, *charges = line.split("\t")
    return LeaseRow(id, int(float(until)), state == "lost", tuple(map(_charge, charges)))


def _charge(text: str) -> Charge:
    n, t, c, window = text.split(" ", 3)
    return Charge(window_of(window), Units(*(int(x) if x else None for x in (n, t, c))))


def window_of(text: str) -> Window:
    """The window of a key."""
    start, end, name = text.split(":", 2)
    return Window(name, int(start), int(end))
