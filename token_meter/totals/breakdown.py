"""All sums of one meter: in all, by model and by tag, and why a model has no price. It knows no lock and no queue."""

from __future__ import annotations

from token_meter.totals.totals import BoundedGroups, Totals
from token_meter.types import Call, Price


class Breakdown:
    """Mutable; one writer at a time (the meter's lock)."""

    __slots__ = ("by_model", "by_tag", "reasons", "sums")

    def __init__(self) -> None:
        self.sums = Totals()
        self.by_model = BoundedGroups()
        self.by_tag = BoundedGroups()
        self.reasons: dict[str, str] = {}

    def count(self, call: Call) -> None:
        """Add a call that has ended; its cost comes later."""
        self.sums.count(call)
        self.by_model[call.model or "(unknown)"].count(call)
        for tag in call.tags:
            self.by_tag[tag].count(call)

    def charge(self, call: Call, price: Price) -> str | None:
        """Add what a counted call cost; give the reason when its model turns out to have no price, or not of all."""
        cost, is_whole = price.cost, price.reason is None
        self.sums.charge(cost, is_whole=is_whole)
        model = call.model or "(unknown)"
        self.by_model[model].charge(cost, is_whole=is_whole)
        for tag in call.tags:
            self.by_tag[tag].charge(cost, is_whole=is_whole)
        if (is_whole and cost is not None) or model in self.reasons or len(self.reasons) >= BoundedGroups.LIMIT:
            return None
        self.reasons[model] = price.reason or "no price"
        return self.reasons[model]

    def copy(self) -> Breakdown:
        """The same, as of now."""
        twin = Breakdown()
        twin.sums = self.sums.copy()
        twin.by_model, twin.by_tag = self.by_model.copy(), self.by_tag.copy()
        twin.reasons = self.reasons.copy()
        return twin
