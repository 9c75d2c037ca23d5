"""Checks the values that a user writes in a price book."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from token_meter._text import is_number
from token_meter.exceptions import ConfigError
from token_meter.prices._hosts import Place, place_of


def rate_of(value: object, name: str) -> Decimal:
    """Read a rate or a factor: a string, a `Decimal` or a whole number, at least 0. A float is refused."""
    if isinstance(value, float):
        msg = f'{name} is the float {value!r}, which is not exact; write it as a string: "{value!r}"'
        raise ConfigError(msg)
    wrong = f'{name} must be a number that is at least 0, such as "0.80", not {value!r}'
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)):
        raise ConfigError(wrong)
    try:
        text = str(value).strip().removeprefix("$")
        if not isinstance(value, Decimal) and not is_number(text):
            raise ConfigError(wrong)
        rate = value if isinstance(value, Decimal) else Decimal(text)
    except InvalidOperation:
        raise ConfigError(wrong) from None
    if not rate.is_finite() or rate < 0 or rate > 10**9 or int(rate.as_tuple().exponent) < -18:
        raise ConfigError(wrong)
    return rate


def table(given: Any, name: str) -> Mapping[Any, Any]:
    """Read a table; `None` is an empty one."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        msg = f"{name} must be a table, not {given!r}"
        raise ConfigError(msg)
    return given


def place(url: Any, name: str) -> Place:
    """Read the base URL of a key. Error messages do not repeat it, because it may contain a secret."""
    found = place_of(url) if isinstance(url, str) else None
    if found is None:
        msg = f'{name}: a key must be a base URL or host such as "https://gw.corp/v1", not {type(url).__name__}'
        if isinstance(url, str):
            msg = f'{name}: a key must be a base URL or host such as "https://gw.corp/v1"; one of them names no host'
        raise ConfigError(msg)
    return found


def word(value: Any, name: str) -> str:
    """Read a name."""
    if not isinstance(value, str) or not value.strip():
        msg = f"{name} must be given as a string, not {value!r}"
        raise ConfigError(msg)
    return value.strip().lower()
