"""Computes what a finished call costs in US dollars, and names the source of the price."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from token_meter.prices._book import PriceBook
from token_meter.prices._by_model import BY_MODEL
from token_meter.prices._counts import contradicts
from token_meter.prices._hosts import (
    DEFAULT_BASE_URL,
    DEFAULT_PROVIDER,
    STATED_IN_HEADERS,
    forget_hosts,
    know_hosts,
    states_in_header,
)  # fmt: skip
from token_meter.prices._listed import Listed
from token_meter.prices._rates import Rates
from token_meter.prices._unreadable import UnreadableBook

if TYPE_CHECKING:
    from token_meter.prices._listing import (
        PriceRow,
        describe,
        known_models,
        known_providers,
        nearest,
        sellers,
        unknown_providers,
        unreached_providers,
    )

__all__ = [
    "BY_MODEL",
    "DEFAULT_BASE_URL",
    "DEFAULT_BOOK",
    "DEFAULT_PROVIDER",
    "STATED_IN_HEADERS",
    "Listed",
    "PriceBook",
    "PriceRow",
    "Rates",
    "UnreadableBook",
    "contradicts",
    "describe",
    "forget_hosts",
    "know_hosts",
    "known_models",
    "known_providers",
    "nearest",
    "sellers",
    "states_in_header",
    "unknown_providers",
    "unreached_providers",
]

DEFAULT_BOOK = PriceBook()
"""The book of list prices, without private rates."""

_LISTING = frozenset(
    {
        "PriceRow",
        "describe",
        "known_models",
        "known_providers",
        "nearest",
        "sellers",
        "unknown_providers",
        "unreached_providers",
    }
)


def __getattr__(name: str) -> Any:
    """Load the listing of prices on first use, because no call needs it."""
    if name in _LISTING:
        from token_meter.prices import _listing

        return getattr(_listing, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
