"""What stands in the place of a price file that cannot be read."""

from __future__ import annotations

import math
from datetime import date

from token_meter.prices._book import PriceBook
from token_meter.prices._lookup import Entry
from token_meter.types import Call, Price


class UnreadableBook(PriceBook):
    """In the place of a price file that cannot be read: nothing has a price but the provider's own charge.

    Args:
        why: the reason, in words for the user.
    """

    __slots__ = ("_why",)

    def __init__(self, why: str) -> None:
        super().__init__()
        object.__setattr__(self, "_why", why)

    @property
    def version(self) -> str:
        return f"none: {self._why}"

    @property
    def as_of(self) -> date | None:
        return None

    def _resolve(self, call: Call) -> Entry:
        return Entry(-math.inf, math.inf, None, None, Price(None, None, self._why), free=False)

    _why: str
