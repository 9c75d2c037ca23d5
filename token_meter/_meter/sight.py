"""What a meter knows that it does not see. It is looked for when a block begins, ends or is read, never at a call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from token_meter.context.unseen import UNSEEN
from token_meter.totals.accumulator import Accumulator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from token_meter.blind_spots import BlindSpot
    from token_meter.context.ports import Sink


class SightedAccumulator(Accumulator):
    """Sums, and what is not in them."""

    sink: Sink | None = None
    was_opened = False
    names_asked = False  # sums also by the model that was asked for, where the answer names another
    is_quiet = False  # says nothing in the program: a run reports what it could not see
    _blind: dict[str, BlindSpot] | None = None

    @property
    def blind_spots(self) -> tuple[BlindSpot, ...]:
        """What this meter knows that it did not see, or saw and could not read: what, why, and what to do."""
        if self.is_open:
            self._look_around()
        return tuple((self._blind or {}).values())

    @property
    def partly_priced_models(self) -> Mapping[str, str]:
        """The models whose price is known only in part, with what the cost leaves out."""
        return self._told().partial

    @property
    def is_complete(self) -> bool:
        """Whether the sums are the bill: nothing is estimated, unmeasured, unpriced, late, still open or unseen."""
        return self._saw_all(super().is_complete)

    def _saw_all(self, is_counted: bool) -> bool:
        return is_counted and not self.blind_spots and not self.never_opened

    @property
    def never_opened(self) -> bool:
        """Whether this meter has no block and counted nothing: its zeros say nothing."""
        sums = self._counted()
        return not self.was_opened and not (sums.successful_requests or sums.failed_requests)

    def _look_around(self) -> None:
        for spot in UNSEEN.look():
            self.note_blind_spot(spot)

    def _left_elsewhere(self) -> None:
        from token_meter._meter.blind_notes import ELSEWHERE

        self.note_blind_spot(ELSEWHERE, once=False)

    def note_blind_spot(self, spot: BlindSpot, *, once: bool = True) -> None:
        """Note what this meter cannot see, and say so: *once* in this process, or once in each meter. Never raises."""
        from token_meter._meter.blind_notes import note

        if spot.what not in (self._blind or ()):
            self._blind = {**(self._blind or {}), spot.what: spot}
            note(self, spot, once=once)
