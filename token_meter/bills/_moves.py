"""What is on another day's bill than on ours: calls over midnight, and batches, which run when the provider likes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from token_meter.bills._ours import Cell, OurCell
from token_meter.bills._rows import NOTHING, Tokens

_BATCH_DAYS = (1, *range(-1, -31, -1))
"""Days from ours to that of a bill: a batch is ours when it was made, or first seen to have ended, maybe long after."""


class Moves:
    """The days of a comparison, and what is moved between them. Days without a bill may have anything."""

    def __init__(
        self, ours: Mapping[Cell, OurCell], outside: Mapping[Cell, OurCell], bill: Mapping[Cell, Tokens],
        *, has_requests: bool,
    ) -> None:  # fmt: skip
        self._ours, self._outside, self._bill, self._has_requests = ours, outside, bill, has_requests
        self._moved: dict[Cell, Tokens] = {}
        self.batches: set[Cell] = set()  # cells that gave or got some, whose requests cannot be compared
        self._since = self._until = ""

    def found(self, since: str, until: str) -> dict[Cell, Tokens]:
        """What each cell of the days from *since* to before *until* gets, or gives away."""
        self._since, self._until = since, until
        cells = sorted([*self._ours.items(), *self._outside.items()], key=lambda item: str(item[0]))
        for cell, ours in cells:
            for _, days, tokens in sorted(ours.near_midnight):
                self._move_call(cell, _after(cell, days), tokens)
        for cell, ours in cells:
            if any(ours.batches):
                self._move_batches(cell, ours.batches)
        return {cell: tokens for cell, tokens in self._moved.items() if self._is_compared(cell) and any(tokens)}

    def _is_compared(self, cell: Cell) -> bool:
        return self._since <= cell.day < self._until

    def _missing(self, cell: Cell) -> Tokens:
        """What a day of the bill has more than ours."""
        ours = self._ours.get(cell)
        counted = ours.tokens if ours is not None else NOTHING
        return self._bill.get(cell, NOTHING).minus(counted).minus(self._moved.get(cell, NOTHING))

    def _move(self, cell: Cell, other: Cell, tokens: Tokens) -> None:
        self._moved[cell] = self._moved.get(cell, NOTHING).minus(tokens)
        self._moved[other] = self._moved.get(other, NOTHING).plus(tokens)

    def _move_call(self, cell: Cell, other: Cell, tokens: Tokens) -> None:
        """Move a call where its day of the bill lacks it, and the other one has it."""
        here, there = self._is_compared(cell), self._is_compared(other)
        if not tokens.total or not (here or there):
            return
        lacks, has = self._missing(cell), self._missing(other)
        counts = self._has_requests and not any(
            ours is not None and ours.batches.requests for ours in (self._ours.get(cell), self._ours.get(other))
        )
        if here and (lacks.input > -tokens.input or lacks.output > -tokens.output or (counts and lacks.requests >= 0)):
            return
        if there and (has.input < tokens.input or has.output < tokens.output or (counts and has.requests <= 0)):
            return
        self._move(cell, other, tokens)

    def _move_batches(self, cell: Cell, batches: Tokens) -> None:
        """Move what a day of the bill lacks, up to its batches, to the days that have more than ours."""
        for only_compared in (True, False):
            for days in _BATCH_DAYS:
                other = _after(cell, days)
                here, there = self._is_compared(cell), self._is_compared(other)
                if there != only_compared or not (here or there):
                    continue
                limits = [batches.plus(self._moved.get(cell, NOTHING))]
                limits += [NOTHING.minus(self._missing(cell))] if here else []
                limits += [self._missing(other)] if there else []
                tokens = Tokens(0, *(max(min(counts), 0) for counts in list(zip(*limits, strict=True))[1:]))
                if tokens.total:
                    self._move(cell, other, tokens)
                    self.batches |= {cell, other}


def _after(cell: Cell, days: int) -> Cell:
    return cell._replace(day=(date.fromisoformat(cell.day) + timedelta(days=days)).isoformat())
