"""A base's tokens at the head's prices, so that what is left of a change is usage. It knows no rule."""

from __future__ import annotations

import time
from dataclasses import replace

from token_meter.report._collect import Pricing
from token_meter.report._summary import ZERO, Group, ModelLine, Summary, Totals, total_of
from token_meter.types import Call, Usage


class Repricer:
    """Prices a base's tokens by the head's book, at the head's time."""

    def __init__(self, book: Pricing, head: Summary) -> None:
        self.book = book
        self.at_s = head.run.began_s or 0.0
        self.approximate = False
        if not self.at_s:
            self.at_s = time.time()

    def line(self, line: ModelLine) -> Totals:
        """Give the line's sums with another cost; what has no price now is unpriced."""
        t = line.totals
        usages = line.usages
        if usages is None:
            self.approximate = True
            usages = ((_mean(t), t.calls),)
        cost = ZERO
        unpriced = 0
        for usage, n in usages:
            price = self.book.price(_call(line, usage, self.at_s))
            if price.cost is None:
                unpriced += n
            else:
                cost += price.cost * n
        if not usages:
            cost, unpriced = t.cost, t.unpriced
        share = t.spent / t.cost if t.cost else ZERO
        models = (line.kind.model,) if unpriced else ()
        return replace(t, cost=cost, spent=cost * share, unpriced=unpriced, unpriced_models=models)

    def group(self, group: Group) -> Totals:
        """Give the group's sums with another cost."""
        return total_of(self.line(line) for line in group.models) if group.models else group.totals


def _mean(totals: Totals) -> Usage:
    counts = {
        name: None if count is None else round(count / max(1, totals.calls))
        for name, count in totals.tokens._asdict().items()
    }
    return Usage(**counts)


def _call(line: ModelLine, usage: Usage, at_s: float) -> Call:
    k = line.kind
    return Call(
        "", at_s, 0.0, k.host, k.flavour, model_asked=k.model_asked, model_served=k.model_served, usage=usage,
        service_tier=k.tier, processing=k.processing, provider=k.provider, status=200,
    )  # fmt: skip
