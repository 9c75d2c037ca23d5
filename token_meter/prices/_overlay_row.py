"""One row of the overlay, and how it completes a public price."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from token_meter.prices._rate_card import EXACT, RateTable
from token_meter.prices._uplifts import matches


class Row(NamedTuple):
    """One row of the overlay: rates for some models of one provider.

    Attributes:
        provider: the provider's id.
        models: names, exact or with a `*` for any ending.
        source: where the rates are published.
        read: the date when the source was read.
        rates: US dollars per 1M tokens; the whole price, unless `adds`.
        above: other rates for calls with more input tokens than the key.
        adds: the row completes the public price instead of replacing it.
        times: rates as a multiple of another rate of the same public price.
        hour_off: on days without peak hours (`_holidays.py`), the public price of this UTC hour applies all day.
        corrects: the row takes the place of a public price that is wrong, or stale.
        tier: the service tier; `*`: any.
        processing: `batch` for batches; `*`: any.
    """

    provider: str
    models: tuple[str, ...]
    source: str
    read: str
    rates: Mapping[str, str] = {}
    above: tuple[tuple[int, Mapping[str, str]], ...] = ()
    adds: bool = False
    times: Mapping[str, tuple[str, str]] = {}
    hour_off: int | None = None
    tier: str = ""
    processing: str = ""
    corrects: bool = False

    @property
    def sheet(self) -> RateTable:
        """The row's own rates, in bands."""
        bands = ((0, self.rates), *self.above)
        return tuple((start, {unit: Decimal(rate) for unit, rate in rates.items()}) for start, rates in bands)

    @property
    def is_whole(self) -> bool:
        """Whether the row is a complete price, without the public one."""
        return bool(self.rates) and not self.adds

    def covers(self, provider: str, model: str, tier: str, processing: str) -> bool:
        """Whether the row applies to this model in this tier."""
        return (
            self.provider == provider
            and self.tier in ("*", tier)
            and self.processing in ("*", processing)
            and any(matches(pattern, model) for pattern in self.models)
        )


def complete(sheet: RateTable, row: Row) -> RateTable:
    """Add the rates of *row* to a public price, band by band. Rates that the public price has are not changed."""
    bands = []
    own = dict(row.sheet[0][1])
    for start, rates in sheet:
        made = {
            unit: EXACT.multiply(rates[base], Decimal(times))
            for unit, (base, times) in row.times.items()
            if base in rates
        }
        bands.append((start, {**own, **made, **rates}))
    return tuple(bands)
