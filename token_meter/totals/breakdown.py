"""All sums of one meter: in all, by model and by tag, and what has no whole price. It knows no lock and no queue."""

from __future__ import annotations

from collections.abc import Sequence

from token_meter.totals.totals import BoundedGroups, Totals
from token_meter.types import Call, Price

_UNKNOWN = "(unknown)"


class Breakdown:
    """Mutable; one writer at a time (the meter's lock)."""

    __slots__ = ("by_model", "by_tag", "partial", "reasons", "sums")

    def __init__(self) -> None:
        self.sums = Totals()
        self.by_model = BoundedGroups()
        self.by_tag = BoundedGroups()
        self.reasons: dict[str, str] = {}
        self.partial: dict[str, str] = {}

    def count(self, alike: Sequence[Call]) -> None:
        """Add calls of one kind that have ended; their cost comes later."""
        sums = Totals.of(alike)
        for place in self._places(alike[0]):
            place.add(sums)

    def charge(self, alike: Sequence[Call], price: Price) -> str | None:
        """Add what calls of one kind cost together; return why their model turns out to have no whole price."""
        for place in self._places(alike[0]):
            place.charge(price.cost, len(alike), is_whole=price.is_whole)
        model = alike[0].model or _UNKNOWN
        reasons = self.reasons if price.cost is None else self.partial
        if price.is_whole or model in reasons or len(reasons) >= BoundedGroups.LIMIT:
            return None
        reasons[model] = price.reason or f"without {', '.join(price.missing) or 'a price'}"
        return f"{'not known' if price.cost is None else 'known only in part'}: {reasons[model]}"

    def _places(self, call: Call) -> list[Totals]:
        """The sums in which such a call counts."""
        return [self.sums, self.by_model[call.model or _UNKNOWN], *map(self.by_tag.__getitem__, call.tags)]

    def copy(self) -> Breakdown:
        """The same, as of now."""
        twin = Breakdown()
        twin.sums = self.sums.copy()
        twin.by_model, twin.by_tag = self.by_model.copy(), self.by_tag.copy()
        twin.reasons, twin.partial = self.reasons.copy(), self.partial.copy()
        return twin
