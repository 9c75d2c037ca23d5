"""How money is read and shown, once for every face. It knows no price and no meter."""

from __future__ import annotations

from contextvars import ContextVar
from decimal import Decimal, InvalidOperation

from token_meter.exceptions import ConfigError

PLACES: ContextVar[int | None] = ContextVar("token_meter.money_places", default=None)
"""Decimal places of money for people; `None`: 4, and 2 from ten dollars on."""


def format_usd(amount: Decimal) -> str:
    """Show US dollars for people: `$0.2031`, `$12.40`, `-$0.0200`; a cost above zero never reads `$0.00`."""
    if amount == 0:
        return "$0.00"
    sign, size = ("-", -amount) if amount < 0 else ("", amount)
    asked = PLACES.get()
    places = 4 if asked is None else asked
    smallest = Decimal(1).scaleb(-places)
    if size < smallest:
        return f"{'>' if sign else '<'}{sign}${smallest:f}"
    return f"{sign}${size:,.2f}" if size >= 10 and asked is None else f"{sign}${size:,.{places}f}"


def fine_usd(amount: Decimal) -> str:
    """The same for one program's own calls, where small sums are the rule: two digits of them, `$0.000041`."""
    size = abs(amount)
    if not size or size >= Decimal("0.0001"):
        return format_usd(amount)
    rounded = size.quantize(Decimal(1).scaleb(size.adjusted() - 1))
    return f"{'-' if amount < 0 else ''}${rounded:f}"


def parse_usd(value: Decimal | str | int | float, *, name: str) -> Decimal:
    """Read a limit or rate in US dollars; `"$0.05"`, `"0.05"`, `Decimal` and `int` are exact; a float as printed.

    Raises:
        ConfigError: *value* is not a finite number that is at least 0.
    """
    wrong = f"{name} must be an amount of US dollars such as 0.05, not {value!r}"
    if isinstance(value, bool):
        raise ConfigError(wrong)
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        raise ConfigError(wrong) from None
    if not amount.is_finite() or amount < 0:
        raise ConfigError(wrong)
    return amount


def parse_count(value: int | str, *, name: str) -> int:
    """Read a limit in tokens or calls: a whole number that is at least 0; `"5_000"` and `"5,000"` are read as 5000.

    Raises:
        ConfigError: *value* is anything else.
    """
    wrong = f"{name} must be a whole number such as 5000, not {value!r}"
    if isinstance(value, str):
        digits = value.strip().replace("_", "").replace(",", "")
        if not (digits.isascii() and digits.isdigit()):
            raise ConfigError(wrong)
        return int(digits)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError(wrong)
    return value
