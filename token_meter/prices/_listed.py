"""Rows of a list price that the public list does not have yet: of a price file, and of the overlay."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

from token_meter.exceptions import ConfigError
from token_meter.prices import _rates
from token_meter.prices import _validation as given
from token_meter.prices._rate_card import EXACT, RateTable
from token_meter.prices._uplifts import matches

_OUT = ("output", "output_audio", "output_image")
_IN = "input"
_SNAPSHOT = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")


class Listed:
    """The list price of one model, in all its tiers, in US dollars per 1M tokens.

    Other than `Rates`, which are a contract, it is a list price: multipliers and regional uplifts apply to it.

    Args:
        provider: the provider's id, such as `openai`.
        model: the model as the answer names it; a `*` at the end matches any ending.
        like: a model whose price has the same shape. What the row does not name keeps the ratio that it has there: a
            rate to `input` (or `output`), a band or a tier to its base.
        above: other rates for calls with more input tokens than the key.
        times: the factor of each tier on all rates: `{"priority": "2", "flex": "0.5", "batch": "0.5"}`.
        until: the last day (UTC) on which the row holds, such as `2027-02-28`; a further row tells what holds then.
        note: where the price is published; shown in reports.
        rates: as in `Rates`.
    """

    __slots__ = ("factors", "like", "model", "note", "provider", "sheet", "until", "until_s")

    provider: str
    model: str
    like: str | None
    sheet: RateTable
    factors: Mapping[str, Decimal]
    until: str | None
    until_s: float
    note: str | None

    def __init__(
        self,
        provider: str,
        model: str,
        *,
        like: str | None = None,
        above: Mapping[int | str, Mapping[str, Any]] | None = None,
        times: Mapping[str, Decimal | str | int] | None = None,
        until: str | date | None = None,
        note: str | None = None,
        **rates: Decimal | str | int,
    ) -> None:
        where = f"listed {provider!r} {model!r}"
        for name, text in {"provider": provider, "model": model, "like": like, "note": note}.items():
            if not (isinstance(text, str) and text.strip()) and (text is not None or name in ("provider", "model")):
                msg = f"{where}: {name} must be a name such as {'openai' if name == 'provider' else 'gpt-4o'!r}"
                raise ConfigError(msg)
        if like is None and not rates:
            msg = f'{where} has no rate; give at least one, such as input="0.80", or like="gpt-4o"'
            raise ConfigError(msg)
        if like is not None and matches(model.strip().lower(), like.strip().lower()):
            msg = f"{where}: like names the model itself; it must name another one that has a price"
            raise ConfigError(msg)
        bands = [(_rates.start_of(start, where), _rates.rates_of(band, where)) for start, band in
                 _rates.bands_given(above, where)]  # fmt: skip
        if len({start for start, _ in bands}) < len(bands):
            msg = f"{where}: above names one number of input tokens twice"
            raise ConfigError(msg)
        last = _day(until, where)
        for name, fixed in (
            ("provider", provider.strip().lower()),
            ("model", model.strip().lower()),
            ("like", None if like is None else like.strip().lower()),
            ("sheet", _rates.bands_of(_rates.rates_of(rates, where), bands)),
            ("factors", _factors(times, where)),
            ("until", None if last is None else last.isoformat()),
            ("until_s", float("inf") if last is None else _end_of(last)),
            ("note", note),
        ):
            object.__setattr__(self, name, fixed)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = f"listed rates are immutable; make new ones instead of setting {name!r}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __repr__(self) -> str:
        words = [repr(self.provider), repr(self.model)]
        words += [f"{name}={value!r}" for name in ("like", "until") if (value := getattr(self, name))]
        words += [f"{unit}={str(rate)!r}" for unit, rate in self.sheet[0][1].items()]
        return f"Listed({', '.join(words)})"

    @property
    def terms(self) -> tuple[Any, ...]:
        """All that a price depends on."""
        return self.provider, self.model, self.like, self.sheet, sorted(self.factors.items()), self.until


def newest(rows: Sequence[Listed], provider: str, model: str, at_s: float) -> tuple[Listed | None, float]:
    """The row that holds for *model*, or for what it is a dated snapshot of, and since when it holds.

    Exact names come before patterns, and longer names before shorter ones.
    """
    names = {model, _SNAPSHOT.sub("", model)}
    fitting = [row for row in rows if row.provider == provider and any(matches(row.model, name) for name in names)]
    if not fitting:
        return None, 0
    name = max((row.model for row in fitting), key=lambda name: (not name.endswith("*"), len(name)))
    lasting = sorted((row for row in fitting if row.model == name), key=lambda row: row.until_s)
    since = max((row.until_s for row in lasting if row.until_s <= at_s), default=float("-inf"))
    return next((row for row in lasting if at_s < row.until_s), None), since


def shaped(row: Listed, like: RateTable) -> RateTable:
    """The standard rates of a row in the shape of *like*, another model's: its bands, unless the row has its own."""
    own, above = row.sheet[0][1], dict(row.sheet[1:])
    theirs = like[0][1]
    starts = sorted({0, *above}) if above else [start for start, _ in like]
    bands = []
    for start in starts:
        rates = {unit: _in_ratio(unit, rate, own, theirs) for unit, rate in _band_at(like, start).items()}
        bands.append((start, {**rates, **(own if start == 0 else above.get(start, {}))}))
    return tuple(bands)


def in_tier(standard: RateTable, like: RateTable, of_tier: RateTable) -> RateTable:
    """*standard* rates moved by as much as the tier of another model differs from its own standard price."""
    bands = []
    for start, rates in standard:
        usual, there = _band_at(like, start), _band_at(of_tier, start)
        bands.append((start, {
            unit: EXACT.divide(EXACT.multiply(rate, there[unit]), usual[unit])
            for unit, rate in rates.items() if unit in there and usual.get(unit)
        }))  # fmt: skip
    return tuple(bands)


def multiplied(sheet: RateTable, factor: Decimal) -> RateTable:
    """All rates times *factor*."""
    return tuple(
        (start, {unit: EXACT.multiply(rate, factor) for unit, rate in rates.items()}) for start, rates in sheet
    )


def _band_at(sheet: RateTable, start: int) -> Mapping[str, Decimal]:
    return [rates for begins, rates in sheet if begins <= start][-1]


def _in_ratio(unit: str, rate: Decimal, own: Mapping[str, Decimal], theirs: Mapping[str, Decimal]) -> Decimal:
    """*rate* of the other model, moved by as much as its base differs from ours."""
    total = "output" if unit in _OUT else _IN
    moved = next((name for name in (unit, total) if name in own and theirs.get(name)), None)
    return rate if moved is None else EXACT.divide(EXACT.multiply(rate, own[moved]), theirs[moved])


def _factors(times: Any, where: str) -> Mapping[str, Decimal]:
    found = {}
    for tier, factor in given.table(times, f"{where}: times").items():
        name = given.word(tier, f"{where}: times")
        if name in _rates.STANDARD:
            msg = f"{where}: times has {tier!r}, which is the standard price itself; name a tier such as priority"
            raise ConfigError(msg)
        found[name] = given.rate_of(factor, f"{where}: times.{tier}")
    return found


def _day(until: Any, where: str) -> date | None:
    if until is None:
        return None
    try:
        if isinstance(until, datetime) or not isinstance(until, (str, date)):
            raise ValueError
        return until if isinstance(until, date) else date.fromisoformat(until)
    except ValueError:
        msg = f"{where}: until must be a day such as 2027-02-28, not {until!r}"
        raise ConfigError(msg) from None


def _end_of(last: date) -> float:
    try:
        return datetime.combine(last + timedelta(days=1), datetime.min.time(), UTC).timestamp()
    except OverflowError:
        return float("inf")
