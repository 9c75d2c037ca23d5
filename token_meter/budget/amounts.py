"""Amounts of what a limit counts: US dollars, tokens and calls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

from token_meter._money import EXACT, format_usd, parse_count, parse_usd

_SMALL = Decimal("0.01")


class Amounts(NamedTuple):
    """US dollars, tokens and calls. `None` means: no limit, an unknown amount, or not read, depending on the use."""

    cost: Decimal | None = None
    tokens: int | None = None
    calls: int | None = None


def parse_limits(max_cost: Any = None, max_tokens: Any = None, max_calls: Any = None) -> Amounts | None:
    """Read the three limits of a meter; `None` when there is none.

    Raises:
        ConfigError: a limit is not a valid amount.
    """
    if max_cost is None and max_tokens is None and max_calls is None:
        return None
    return Amounts(
        None if max_cost is None else parse_usd(max_cost, name="max_cost"),
        None if max_tokens is None else parse_count(max_tokens, name="max_tokens"),
        None if max_calls is None else parse_count(max_calls, name="max_calls"),
    )


def shown(field: str, amount: Any) -> str:
    """Format an amount of *field*. A cost below a cent keeps every digit, because readers compare it with the limit."""
    if field == "cost":
        return f"${amount.normalize(EXACT):f}" if 0 < amount < _SMALL else format_usd(amount)
    return f"{amount:,} {field if amount != 1 else field[:-1]}"
