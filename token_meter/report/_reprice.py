"""Prices a report's tokens by another book, so that the remaining change is usage."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from token_meter.report._pricing import Pricing, priced_as
from token_meter.report._summary import ZERO, Group, ModelLine, Summary, Totals, total_of
from token_meter.types import Call, Usage


class Repricer:
    """Prices one side of a comparison by *book*, as of one moment.

    Both sides are priced in the same way, so that a report never differs from itself. A line that cannot be priced
    again keeps its cost if the report's book has the same version; else it is unpriced, or approximated.
    """

    def __init__(self, book: Pricing, side: Summary, at_s: float) -> None:
        self._prices = book.price_each if side.as_model is None else priced_as(book, side.as_model)
        self._is_its_own = is_priced_by(book, side)
        self._at_s = at_s
        self.approximate = False

    def line(self, line: ModelLine) -> Totals:
        """The line's sums with the new cost; a line without a price now is unpriced."""
        t = line.totals
        usages = line.usages
        unpriced = 0 if usages is None else min(t.unpriced, t.calls - sum(n for _, n in usages))  # those without usage
        partly = 0
        if usages is None:
            if self._is_its_own:
                return t
            self.approximate = True
            usages = ((_mean(t), t.calls),)
            unpriced = min(t.unpriced, t.unmeasured)
        cost = ZERO
        prices = self._prices(_call(line, self._at_s), (usage for usage, _ in usages))
        for (_, n), price in zip(usages, prices, strict=True):
            if price.cost is None:
                unpriced += n
            else:
                cost += price.cost * n
                partly += 0 if price.is_whole else n
        models = (line.kind.model,) if unpriced or partly else ()
        return replace(
            t, cost=cost, spent=cost * _live(t), unpriced=unpriced, live_unpriced=min(unpriced, t.live),
            partly_priced=partly, live_partly_priced=min(partly, t.live), unpriced_models=models,
        )  # fmt: skip

    def group(self, group: Group) -> Totals:
        """The group's sums with the new cost."""
        if group.models:
            return total_of(self.line(line) for line in group.models)
        t = group.totals
        if self._is_its_own or not t.calls:
            return t
        none = {"cost": ZERO, "spent": ZERO, "unpriced": t.calls, "live_unpriced": t.live, "partly_priced": 0,
                "live_partly_priced": 0}  # fmt: skip
        return replace(t, **none, unpriced_models=("(no model)",))  # type: ignore[arg-type]  # by name, as above


def is_priced_by(book: Pricing, side: Summary) -> bool:
    """Whether a report was priced by this book, compared by version and, for price files, by digest."""
    return (side.prices, side.digest) == (book.version, getattr(book, "digest", ""))


def _live(totals: Totals) -> Decimal:
    """The part of the cost that live calls caused; of a third, twelve digits."""
    if totals.cost:
        return round(totals.spent / totals.cost, 12)
    return round(Decimal(totals.live) / totals.calls, 12) if totals.calls else ZERO


def _mean(totals: Totals) -> Usage:
    counts = {
        name: None if count is None else round(count / max(1, totals.calls))
        for name, count in totals.tokens._asdict().items()
    }
    return Usage(**counts)


def _call(line: ModelLine, at_s: float) -> Call:
    k = line.kind
    return Call(
        "", at_s, 0.0, k.host, k.api, request_model=k.request_model, response_model=k.response_model,
        service_tier=k.tier, processing=k.processing, provider=k.provider, status=200,
    )  # fmt: skip
