"""A meter of the whole process that keeps sums by provider, model, operation and chosen tags, bounded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from token_meter._meter import Meter
from token_meter.totals.breakdown import Breakdown
from token_meter.totals.totals import Totals
from token_meter.types import Call

if TYPE_CHECKING:
    from token_meter.prices import PriceBook

OTHER = "(other)"


class Key(NamedTuple):
    """What sums are kept by; `place` is the base URL, or the host, by which a price book knows who is paid."""

    place: str | None
    provider: str | None
    host: str | None
    api: str
    request_model: str | None
    response_model: str | None
    tags: tuple[str | None, ...] = ()


class Grouping(NamedTuple):
    """The names of the tags that split sums, and how many sets of values there may be."""

    tags: tuple[str, ...] = ()
    limit: int = 900

    def key_of(self, call: Call) -> Key:
        """The key of a call; of several tags with one name the last one counts, as in reports."""
        values = [_value(call.tags, f"{name}=") for name in self.tags]
        place = call.base_url or call.host
        return Key(place, call.provider, call.host, call.api, call.request_model, call.response_model, tuple(values))


def _value(tags: tuple[str, ...], start: str) -> str | None:
    return next((tag[len(start) :] for tag in reversed(tags) if tag.startswith(start)), None)


class GroupedBreakdown(Breakdown):
    """All sums of a meter, and those by key.

    A tenth of the sets is kept for models: when the others are used up, values of tags become `(other)` and the model
    stays. Beyond all of them, everything is `(other)`.
    """

    __slots__ = ("_grouping", "groups")

    def __init__(self, grouping: Grouping) -> None:
        super().__init__()
        self._grouping = grouping
        self.groups: dict[Key, Totals] = {}

    def _places(self, call: Call) -> list[Totals]:
        return [self.sums, self.groups.setdefault(self.bounded(self._grouping.key_of(call)), Totals())]

    def bounded(self, key: Key) -> Key:
        """The key under which such a call counts."""
        limit, groups = self._grouping.limit, self.groups
        if key not in groups and key.tags and len(groups) >= limit - limit // 10:
            key = key._replace(tags=(OTHER,) * len(key.tags))
        if key not in groups and len(groups) >= limit - 1:
            key = Key(None, OTHER, None, OTHER, OTHER, OTHER, (OTHER,) * len(key.tags))
        return key

    def copy(self) -> GroupedBreakdown:
        twin = GroupedBreakdown(self._grouping)
        twin.sums, twin.reasons = self.sums.copy(), self.reasons.copy()
        twin.groups = {key: sums.copy() for key, sums in self.groups.items()}
        return twin


class ProcessMeter(Meter):
    """Counts every call of the process. It stands in no context, and says nothing in the program."""

    is_quiet = True
    names_asked = True

    def __init__(self, grouping: Grouping, prices: PriceBook | str | os.PathLike[str] | None) -> None:
        super().__init__("opentelemetry", prices=prices, on_unpriced="ignore", scope="process")
        self._grouping = grouping
        self._totals = GroupedBreakdown(grouping)

    def begin_in_child(self) -> None:
        super().begin_in_child()
        self._totals = GroupedBreakdown(self._grouping)

    def groups(self) -> Mapping[Key, Totals]:
        """The sums of this moment by key, priced."""
        still = self._frozen()
        return still.groups if isinstance(still, GroupedBreakdown) else {}

    def key_of(self, call: Call) -> Key:
        """The key under which a call counts."""
        totals, key = self._totals, self._grouping.key_of(call)
        return totals.bounded(key) if isinstance(totals, GroupedBreakdown) else key

    @property
    def book(self) -> PriceBook:
        """The price book in use."""
        return self._prices_in_use()

    def provider_of(self, key: Key) -> str | None:
        """Who is paid."""
        if key.provider is not None or key.place is None:
            return key.provider
        return self._prices_in_use().provider_of(key.place)
