"""The list of published prices behind a book: the one that comes with genai-prices, or one of a dated file."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple, Protocol

from token_meter.prices import _overlay, _public
from token_meter.prices._listed import Listed
from token_meter.prices._rate_card import RateTable


class PriceList(Protocol):
    """Published prices by provider and model."""

    @property
    def stamp(self) -> str:
        """What reports say of it: name, and date and hash or version."""

    @property
    def label(self) -> str:
        """What the source of a price says."""

    @property
    def as_of(self) -> date | None:
        """The day of its data; `None` when it is not known."""

    @property
    def data(self) -> object | None:
        """The snapshot of genai-prices to ask; `None`: the current one of the process."""

    @property
    def current(self) -> object | None:
        """What look-ups stand on, `None` before it is loaded; another object after an update."""

    def own(self, provider: str, model: str, tier: str, processing: str) -> RateTable | None:
        """Rates that the list has outside of a snapshot of genai-prices."""

    def pairs(self, provider: str, model: str) -> Iterable[tuple[str, str]]:
        """Tier and processing of each of those rates."""

    def names(self, provider: str) -> Iterable[str]:
        """The models with such rates."""

    def providers(self) -> Iterable[str]:
        """The providers with such rates."""


class Bundled:
    """The data of the installed genai-prices, or what the app has updated it to."""

    @property
    def stamp(self) -> str:
        return _public.stamp()

    label = stamp

    @property
    def as_of(self) -> date | None:
        if updated := _public.updated_at():
            return date.fromisoformat(updated[:10])
        found = _overlay.RELEASED.get(_public.version())
        return None if found is None else date.fromisoformat(found)

    data = None

    @property
    def current(self) -> object | None:
        return _public.current()

    def own(self, provider: str, model: str, tier: str, processing: str) -> RateTable | None:
        return None

    def pairs(self, provider: str, model: str) -> Iterable[tuple[str, str]]:
        return ()

    def names(self, provider: str) -> Iterable[str]:
        return ()

    def providers(self) -> Iterable[str]:
        return ()


BUNDLED = Bundled()


class Sources(NamedTuple):
    """Where a book finds list prices: rows of its own, and a list.

    Attributes:
        rows: the rows of the book, before all others.
        public: the list.
    """

    rows: tuple[Listed, ...] = ()
    public: PriceList = BUNDLED


BUILT_IN = Sources()
