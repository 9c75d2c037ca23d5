"""How old prices were when a report was made."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from token_meter.report._summary import Summary

OLD_DAYS = 30
"""From here on a report says how to renew them: lists change several times a month."""


def today() -> date:
    """The day, in UTC."""
    return datetime.fromtimestamp(time.time(), UTC).date()


def age_of(as_of: date, day: date) -> str:
    """`17 days old`, and what to do where that is long, or cannot be."""
    days = (day - as_of).days
    if days < 0:
        return f"dated {as_of}, after {day}: check the clock"
    text = f"{days:,} day{'' if days == 1 else 's'} old"
    return f"{text}: token-meter prices update" if days > OLD_DAYS else text


def prices_of(summary: Summary) -> str:
    """The price data of a report, and how old it was."""
    if not summary.prices_as_of or not summary.created:
        return summary.prices
    try:
        age = age_of(date.fromisoformat(summary.prices_as_of), date.fromisoformat(summary.created[:10]))
    except ValueError:  # a report of others
        return summary.prices
    return f"{summary.prices}, {age}"
