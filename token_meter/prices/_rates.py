"""Private rates as the user writes them, checked when they are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NoReturn

from token_meter._text import suggestion
from token_meter.exceptions import ConfigError
from token_meter.prices._rate_card import UNITS, RateTable
from token_meter.prices._validation import rate_of

STANDARD = frozenset({None, "", "auto", "default", "standard", "on_demand"})
"""The names that answers have for the standard tier."""

_NAMES = frozenset(
    {*UNITS, "provider", "model", "tier", "processing", "as_of", "note", "above", "like", "times", "until"}
)

_LEAST = Decimal("0.0001")
"""US dollars per 1M tokens. No list goes below 0.001 (genai-prices 0.2.3); a token of most models costs less."""


class Rates:
    """The rates of one provider for one model, in US dollars per 1M tokens; `audio_minute` per minute.

    A row is complete: a unit without a rate in it has no price, even if the public list has one. Rates are strings,
    `Decimal` or whole numbers. A float is refused, because the float 0.1 is not exactly a tenth.

    Args:
        provider: the provider's id, such as `openai` (see `PriceBook.provider_of`).
        model: the model as the answer names it; a `*` at the end matches any ending (`ft:gpt-4o-*`).
        tier: the service tier of the row; `None`: the standard one.
        processing: `batch` for a row for batches only.
        above: other rates for calls with more input tokens than the key: `{272_000: {"input": "4", ...}}`.
        as_of: the date of the agreement; shown in reports.
        note: where the agreement is written; shown in reports.
        rates: `input`, `cached_input`, `cache_write`, `cache_write_long`, `output`, `input_audio`, `cached_audio`,
            `output_audio`, `input_image`, `cached_image`, `output_image`, `audio_minute`.
    """

    __slots__ = ("as_of", "model", "note", "processing", "provider", "sheet", "tier")

    provider: str
    model: str
    tier: str | None
    processing: str | None
    as_of: str | None
    note: str | None
    sheet: RateTable

    def __init__(
        self,
        provider: str,
        model: str,
        *,
        tier: str | None = None,
        processing: str | None = None,
        above: Mapping[int | str, Mapping[str, Any]] | None = None,
        as_of: str | None = None,
        note: str | None = None,
        **rates: Decimal | str | int,
    ) -> None:
        where = f"Rates({provider!r}, {model!r})"
        words: dict[str, Any] = {"tier": tier, "processing": processing, "as_of": as_of, "note": note}
        for name, text in {"provider": provider, "model": model, **words}.items():
            if not isinstance(text, str) and (text is not None or name not in words):
                msg = f"{where}: {name} must be a string, not {text!r}"
                raise ConfigError(msg)
        for name, text in (("provider", provider), ("model", model)):
            if not text.strip():
                msg = f"{where}: {name} must be a name such as {'openai' if name == 'provider' else 'gpt-4o'!r}"
                raise ConfigError(msg)
        if not rates:
            msg = f'{where} has no rate; give at least one, such as input="0.80"'
            raise ConfigError(msg)
        bands = [(start_of(start, where), rates_of(band, where)) for start, band in bands_given(above, where)]
        if len({start for start, _ in bands}) < len(bands):
            msg = f"{where}: above names one number of input tokens twice"
            raise ConfigError(msg)
        for name, fixed in (
            ("provider", provider.strip().lower()),
            ("model", model.strip().lower()),
            ("tier", None if tier in STANDARD else tier),
            ("processing", processing or None),
            ("as_of", as_of),
            ("note", note),
            ("sheet", bands_of(rates_of(rates, where), bands)),
        ):
            object.__setattr__(self, name, fixed)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        msg = f"Rates are immutable; make new ones instead of setting {name!r}"
        raise AttributeError(msg)

    def __delattr__(self, name: str) -> NoReturn:
        self.__setattr__(name, None)

    def __repr__(self) -> str:
        shown = [repr(self.provider), repr(self.model)]
        shown += [f"{unit}={str(rate)!r}" for unit, rate in self.sheet[0][1].items()]
        above = {start: {unit: str(rate) for unit, rate in band.items()} for start, band in self.sheet[1:]}
        options = {"above": above or None, "tier": self.tier, "processing": self.processing, "as_of": self.as_of}
        shown += [f"{name}={value!r}" for name, value in options.items() if value is not None]
        return f"Rates({', '.join(shown)})"

    @property
    def source(self) -> str:
        """The source that a price by this row names."""
        words = ["override", self.note, self.as_of and f"of {self.as_of}"]
        return " ".join(word for word in words if word)


def rates_of(rates: Any, where: str) -> Mapping[str, Decimal]:
    if not isinstance(rates, Mapping):
        msg = f"{where}: rates above a limit must be a table of rates, not {rates!r}"
        raise ConfigError(msg)
    return {_unit(name, where): _per_million(value, f"{where}: {name}") for name, value in rates.items()}


def _per_million(value: object, name: str) -> Decimal:
    """Read a rate; refuse the price of one token, by which a million would cost next to nothing."""
    rate = rate_of(value, name)
    if 0 < rate < _LEAST:
        msg = (
            f"{name} is in US dollars per 1M tokens, and {rate:f} looks like the price of one token: "
            f'write "{rate * 1_000_000:f}"'
        )
        raise ConfigError(msg)
    return rate


def bands_given(above: Any, where: str) -> list[tuple[Any, Any]]:
    if above is None:
        return []
    if not isinstance(above, Mapping):
        msg = f"{where}: above must be a table from numbers of input tokens to rates, not {above!r}"
        raise ConfigError(msg)
    return list(above.items())


def _unit(name: str, where: str) -> str:
    if name not in UNITS:
        msg = f"{where}: {name!r} is not a rate{suggestion(name, sorted(_NAMES))}; rates are {', '.join(UNITS)}"
        raise ConfigError(msg)
    return name


def start_of(start: int | str, where: str) -> int:
    text = str(start).replace("_", "").replace(",", "")
    if isinstance(start, bool) or not (text.isascii() and text.isdigit()) or int(text) == 0:
        msg = f"{where}: above must name a number of input tokens such as 272000, not {start!r}"
        raise ConfigError(msg)
    return int(text)


def bands_of(rates: Mapping[str, Decimal], above: Iterable[tuple[int, Mapping[str, Decimal]]] = ()) -> RateTable:
    """Return rates and their bands in ascending order."""
    return ((0, rates), *sorted(above, key=lambda band: band[0]))
