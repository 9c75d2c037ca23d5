"""The border: what may pass as a count, an amount, a name. Knows no api and no place where they stand."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from token_meter._text import is_digits, is_number

MAX_COUNT = 2**63 - 1
NAME_LIMIT = 200
_MAX_AMOUNT = Decimal(10) ** 9
_MIN_EXPONENT = -30
_TICKS_EXPONENT = -10


class NumberReader:
    """Lets numbers of one answer pass, and remembers what it had to bend or turn away."""

    # Nearly always these: they are on the class, so that making a reader runs no code of ours.
    coerced = False
    anomalies = 0
    doubts = 0  # numbers that may pass, and of which a reader knows that they are not what was billed

    def count(self, value: Any) -> int | None:
        """A whole number from 0 to 2**63-1; integral floats and plain digit strings are bent into one."""
        if value is None:
            return None
        if type(value) is int:  # a bool is not a count
            if 0 <= value <= MAX_COUNT:
                return value
        elif isinstance(value, float | Decimal):
            # NaN fails every comparison and the range keeps int() from 1e400.
            if _is_quiet(value) and 0 <= value <= MAX_COUNT and value == int(value) and int(value) <= MAX_COUNT:
                self.coerced = True
                return int(value)
        elif isinstance(value, str) and 0 < len(value) <= 19 and is_digits(value):
            number = int(value)
            if number <= MAX_COUNT:
                self.coerced = True
                return number
        self.anomalies += 1
        return None

    def seconds(self, value: Any) -> float | None:
        """A duration: finite, at least 0, no bool."""
        if value is None:
            return None
        is_number = isinstance(value, int | float | Decimal) and not isinstance(value, bool)
        if is_number and _is_quiet(value) and 0 <= value <= MAX_COUNT:
            return float(value)
        self.anomalies += 1
        return None

    def dollars(self, value: Any) -> Decimal | None:
        """An amount of money, exact: a float as it was printed."""
        if value is None:
            return None
        is_text = isinstance(value, str)
        if is_number(value) if is_text else isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            try:
                amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
            except (InvalidOperation, ValueError):
                amount = Decimal("NaN")
            exponent = amount.as_tuple().exponent
            if isinstance(exponent, int) and exponent >= _MIN_EXPONENT and 0 <= amount <= _MAX_AMOUNT:
                return amount
        self.anomalies += 1
        return None

    def ticks(self, value: Any) -> Decimal | None:
        """An amount of money that arrives in ten-billionths of a dollar."""
        count = self.count(value)
        return None if count is None else Decimal(count).scaleb(_TICKS_EXPONENT)


def _is_quiet(value: float | Decimal) -> bool:
    """Whether comparing *value* cannot raise: a signalling NaN does."""
    return not (isinstance(value, Decimal) and value.is_nan())


def name_of(value: Any) -> str | None:
    """A name as it may be kept and shown: 200 characters, nothing unprintable, no lone surrogate; else `None`."""
    if not value or not isinstance(value, str):
        return None
    name: str = value if len(value) <= NAME_LIMIT else value[:NAME_LIMIT]
    if name.isprintable():  # false for control characters, surrogates and separators
        return name
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)
    return shown[:NAME_LIMIT]
