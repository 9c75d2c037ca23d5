"""Reads and formats money, for all of the package."""

from __future__ import annotations

from contextvars import ContextVar
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from token_meter.exceptions import ConfigError

EXACT = Context(prec=120)
"""The decimal context for sums and formatting, so that the caller's own context changes nothing."""
add_usd = EXACT.add
PLACES: ContextVar[int | None] = ContextVar("token_meter.money_places", default=None)
"""Decimal places of money in texts; `None`: 4, and 2 from ten dollars on."""

_LARGEST, _FINEST, _DIGITS = 18, -100, 30
"""Limits for the powers of ten of an amount and for the digits of a count, within which sums are exact."""


def plus(a: Any, b: Any) -> Any:
    """The exact sum of two amounts of money, or of two counts."""
    return add_usd(a, b) if isinstance(a, Decimal) else a + b


def left(limit: Any, used: Any, held: Any) -> Any:
    """The limit minus *used* and *held*, at least 0; `None` where there is no limit."""
    if limit is None:
        return None
    committed = plus(used, held)
    return max(type(limit)(0), EXACT.subtract(limit, committed) if isinstance(limit, Decimal) else limit - committed)


def format_usd(amount: Decimal) -> str:
    """Format US dollars: `$0.2031`, `$12.40`, `-$0.0200`. A cost above zero is never shown as `$0.00`."""
    if amount == 0:
        return "$0.00"
    sign, size = ("-" if amount < 0 else "", amount.copy_abs())
    asked = PLACES.get()
    places = 4 if asked is None else asked
    smallest = Decimal((0, (1,), -places))
    if size < smallest:
        return f"{'>' if sign else '<'}{sign}${smallest:f}"
    if size >= 10 and asked is None:
        places = 2
    return f"{sign}${size.quantize(Decimal((0, (1,), -places)), context=EXACT):,f}"


def fine_usd(amount: Decimal) -> str:
    """Format US dollars for one program's own calls, whose sums are small: with two significant digits, `$0.000041`."""
    size = amount.copy_abs()
    if not size or size >= Decimal("0.0001"):
        return format_usd(amount)
    rounded = size.quantize(Decimal((0, (1,), size.adjusted() - 1)), context=EXACT)
    return f"{'-' if amount < 0 else ''}${rounded:f}"


def parse_usd(value: Decimal | str | int | float, *, name: str) -> Decimal:
    """Read a limit or rate in US dollars from `"$0.05"`, `"0.05"`, `Decimal` or `int`; a float as Python prints it.

    Raises:
        ConfigError: *value* is not a finite number that is at least 0.
    """
    wrong = f"{name} must be an amount of US dollars such as 0.05, not {_told(value)}"
    if isinstance(value, bool) or _is_endless(value):
        raise ConfigError(wrong)
    try:
        amount = value if isinstance(value, Decimal) else Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation:
        raise ConfigError(wrong) from None
    if not amount.is_finite() or amount < 0:
        raise ConfigError(wrong)
    if amount.adjusted() > _LARGEST or int(amount.as_tuple().exponent) < _FINEST:
        raise ConfigError(wrong)
    return amount


def parse_count(value: int | str, *, name: str) -> int:
    """Read a limit in tokens or calls: a whole number that is at least 0; `"5_000"` and `"5,000"` are read as 5000.

    Raises:
        ConfigError: *value* is anything else.
    """
    wrong = f"{name} must be a whole number such as 5000, not {_told(value)}"
    if isinstance(value, str):
        digits = value.strip().replace("_", "").replace(",", "")
        if not (digits.isascii() and digits.isdigit()) or len(digits) > _DIGITS:
            raise ConfigError(wrong)
        return int(digits)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0 or _is_endless(value):
        raise ConfigError(wrong)
    return value


def parse_share(warn_at: object) -> Decimal | None:
    """Read the share of a limit at which to warn; `None` for no warning.

    Raises:
        ConfigError: it is not a number above 0 and up to 1.
    """
    if warn_at is None:
        return None
    wrong = f"warn_at must be a share of the limit such as 0.8, at most 1, or None, not {warn_at!r}"
    if isinstance(warn_at, bool) or not isinstance(warn_at, (int, float, Decimal)):
        raise ConfigError(wrong)
    share = Decimal(str(warn_at))
    if share.is_nan() or not 0 < share <= 1:
        raise ConfigError(wrong)
    return share


def _is_endless(value: object) -> bool:
    """Whether *value* is a number with too many digits for a message; above 4,300, Python refuses to print an int."""
    return isinstance(value, int) and abs(value) >= 10**_DIGITS


def _told(value: object) -> str:
    """The repr of a wrong value for a message, cut if it is long."""
    text = f"a number of over {_DIGITS} digits" if _is_endless(value) else repr(value)
    return text if len(text) <= 100 else f"{text[:80]}... ({len(text):,} characters)"
