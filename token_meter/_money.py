"""Reads and formats money, for all of the package."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from decimal import Context, Decimal, InvalidOperation, localcontext
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from token_meter._text import is_digits, is_number
from token_meter.exceptions import ConfigError

EXACT = Context(prec=120)
"""The decimal context for sums and formatting, so that the caller's own context changes nothing."""
add_usd = EXACT.add
_P = ParamSpec("_P")
_R = TypeVar("_R")
PLACES: ContextVar[int | None] = ContextVar("token_meter.money_places", default=None)
"""Decimal places of money for people; `None`: as many as the amount, or its column, needs."""
_DIGITS_SHOWN, _FINEST_SHOWN = 9, 12
"""Digits of the largest amount of a column, and decimal places of any."""

_LARGEST, _FINEST, _DIGITS = 18, -100, 30
"""Limits for the powers of ten of an amount and for the digits of a count, within which sums are exact."""


def exactly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that adds up in the exact context, whatever its caller's is."""

    @wraps(function)
    def in_exact_context(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with localcontext(EXACT):
            return function(*args, **kwargs)

    return in_exact_context


def plus(a: Any, b: Any) -> Any:
    """The exact sum of two amounts of money, or of two counts."""
    return add_usd(a, b) if isinstance(a, Decimal) else a + b


def left(limit: Any, used: Any, held: Any) -> Any:
    """The limit minus *used* and *held*, at least 0; `None` where there is no limit."""
    if limit is None:
        return None
    committed = plus(used, held)
    return max(type(limit)(0), EXACT.subtract(limit, committed) if isinstance(limit, Decimal) else limit - committed)


def format_usd(amount: Decimal, places: int | None = None) -> str:
    """Show US dollars for people: `$0.2031`, `$12.40`, `-$0.0200`, `$0.00000855`; above zero it never reads `$0.00`.

    Small amounts have three digits that are not 0, fewer where that is exact. *places* is the scale of a column.
    """
    if amount == 0:
        return "$0.00"
    sign, size = ("-" if amount < 0 else "", amount.copy_abs())
    asked = PLACES.get()
    if asked is None:
        asked = _places_of(size) if places is None else places
    smallest = Decimal((0, (1,), -asked))
    if size < smallest:
        return f"{'>' if sign else '<'}{sign}${smallest:f}"
    return f"{sign}${size.quantize(smallest, context=EXACT):,f}"


def scale_of(amounts: Iterable[Decimal | None]) -> int | None:
    """The decimal places of a column: enough for its smallest amount, with at most nine digits for its largest."""
    sizes = [amount.copy_abs() for amount in amounts if amount]
    if not sizes:
        return None
    most = max(0, max(sizes).adjusted() + 1)
    return min(max(map(_places_of, sizes)), max(_DIGITS_SHOWN - most, 2))


def _places_of(size: Decimal) -> int:
    """How many decimal places an amount needs by itself: 4, 2 from ten dollars on, three digits of a small one."""
    if size >= 10:
        return 2
    if size >= Decimal("0.1"):
        return 4
    places = min(2 - size.adjusted(), _FINEST_SHOWN)
    rounded = size.quantize(Decimal((0, (1,), -places)), context=EXACT).normalize(EXACT)
    return max(4, -int(rounded.as_tuple().exponent)) if rounded else places


def parse_usd(value: Decimal | str | int | float, *, name: str) -> Decimal:
    """Read a limit or rate in US dollars from `"$0.05"`, `"0.05"`, `Decimal` or `int`; a float as Python prints it.

    Raises:
        ConfigError: *value* is not a finite number that is at least 0.
    """
    wrong = f"{name} must be an amount of US dollars such as 0.05, not {_told(value)}"
    if isinstance(value, bool) or _is_endless(value):
        raise ConfigError(wrong)
    text = "" if isinstance(value, Decimal) else str(value).strip().removeprefix("$")
    if text and not is_number(text):
        raise ConfigError(wrong)
    try:
        amount = value if isinstance(value, Decimal) else Decimal(text)
    except InvalidOperation:
        raise ConfigError(wrong) from None
    if not amount.is_finite() or amount < 0:
        raise ConfigError(wrong)
    if amount.adjusted() > _LARGEST or int(amount.as_tuple().exponent) < _FINEST:
        raise ConfigError(wrong)
    return amount


def parse_count(value: int | str, *, name: str) -> int:
    """Read a limit in tokens or calls: a whole number that is at least 0, or its plain digits.

    Raises:
        ConfigError: *value* is anything else.
    """
    wrong = f"{name} must be a whole number such as 5000, not {_told(value)}"
    if isinstance(value, str):
        digits = value.strip()
        if not is_digits(digits) or len(digits) > _DIGITS:
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
