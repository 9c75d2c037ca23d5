"""A price book as reports use it, and what the same tokens would cost with another model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from token_meter.prices import BY_MODEL
from token_meter.types import Call, Price, Usage


class Pricing(Protocol):
    """A price book, as far as reports use it."""

    @property
    def version(self) -> str:
        """The price data in use, for reports."""

    def price(self, call: Call) -> Price:
        """What a call costs. Never raises."""

    def price_each(self, call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        """What calls like *call* cost with each of *usages*. Never raises."""


def priced_as(book: Pricing, as_model: str) -> Callable[[Call, Iterable[Usage | None]], Iterator[Price]]:
    """Return a function that prices calls as if *as_model* had answered: whose provider sells it, else its maker."""
    provider, colon, model = as_model.partition(":")

    def prices(call: Call, usages: Iterable[Usage | None]) -> Iterator[Price]:
        call = call._replace(
            request_model=model if colon else as_model, response_model=None, service_tier=None, processing=None
        )
        uncharged = [u if u is None or u.provider_cost is None else u._replace(provider_cost=None) for u in usages]
        if colon:
            yield from book.price_each(call._replace(host=None, base_url=None, provider=provider), uncharged)
            return
        there = book.price_each(call._replace(host=None, base_url=None, provider=BY_MODEL), uncharged)
        for here, maker in zip(book.price_each(call, uncharged), there, strict=True):
            if here.cost is not None or maker.cost is None:
                hint = f"{here.reason}; or say who sells it: PROVIDER:{as_model}"
                yield here if here.cost is not None or here.reason is None else here._replace(reason=hint)
            else:
                yield maker

    return prices
