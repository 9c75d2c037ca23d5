"""Puts like calls together, and asks a price book what they cost. It knows no lock and no queue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import TYPE_CHECKING

from token_meter.types import Call, Price

if TYPE_CHECKING:
    from token_meter.prices import PriceBook

_kind_of = itemgetter(
    *map(
        Call._fields.index,
        ("host", "api", "request_model", "response_model", "certainty", "status", "service_tier", "tags", "processing",
         "provider", "base_url"),
    )
)  # fmt: skip
"""All that sums and prices depend on, but the usage and the time."""


def alike(calls: Iterable[Call]) -> Iterator[list[Call]]:
    """The same calls in groups that are counted under the same names and priced by the same rates."""
    groups: dict[object, list[Call]] = {}
    for call in calls:
        try:
            groups.setdefault(_kind_of(call), []).append(call)
        except TypeError:  # a record made by hand may hold a list, which no dictionary takes as a key
            yield [call]
    yield from groups.values()


def prices_of(
    book: PriceBook, groups: Iterable[list[Call]], failures: list[Exception]
) -> list[tuple[list[Call], Price]]:
    """What like calls cost: one price for a group where the book has one, else one for each call.

    A book that fails has no price for that call; the exception is added to *failures*.
    """
    priced = []
    for group in groups:
        price = book.price_together(group) if len(group) > 1 else None
        if price is not None:
            priced.append((group, price))
        else:
            priced.extend(([call], _price_or_note(book, call, failures)) for call in group)
    return priced


def _price_or_note(book: PriceBook, call: Call, failures: list[Exception]) -> Price:
    try:
        return book.price(call)
    except Exception as error:
        failures.append(error)
        return Price(reason=f"the price book failed ({type(error).__name__})")
