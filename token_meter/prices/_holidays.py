"""Days on which a provider's peak hours do not apply.

DeepSeek: peak hours are Monday to Friday, not on China's public holidays (https://api-docs.deepseek.com/quick_start/
pricing and its zh-cn page, 2026-11-15); at weekends since 2026-08-23. Both windows lie within one day of Beijing, which
is then the same day in UTC. Days that are worked in exchange for a holiday are weekend days, and no peak either.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

WEEKENDS_SINCE = date(2026, 8, 23)
"""The first weekend day without peak hours (the provider's change log as read in xyzs996/llm-api-pricing, 2026-08)."""


def _days(*spans: str) -> Iterable[tuple[date, date]]:
    for span in spans:
        first, _, last = span.partition("..")
        yield date.fromisoformat(first), date.fromisoformat(last or first)


HOLIDAYS = tuple(
    _days(
        # The State Council's notice for 2026 (2025-11-04).
        "2026-01-01..2026-01-03", "2026-02-15..2026-02-23", "2026-04-04..2026-04-06", "2026-05-01..2026-05-05",
        "2026-06-19..2026-06-21", "2026-09-25..2026-09-27", "2026-10-01..2026-10-07",
        # 2027: the days that the law itself names; its notice was not out when this was written.
        "2027-01-01", "2027-02-05..2027-02-08", "2027-04-05", "2027-05-01..2027-05-02", "2027-06-09", "2027-09-15",
        "2027-10-01..2027-10-03",
    )
)  # fmt: skip
PERHAPS = tuple(
    _days(
        "2027-02-03..2027-02-15", "2027-05-03..2027-05-05", "2027-06-10..2027-06-11", "2027-09-13..2027-09-17",
        "2027-10-04..2027-10-08",
    )
)  # fmt: skip
"""Around those: days that the notice may make free."""
KNOWN_UNTIL = date(2027, 12, 31)


def is_day_off(day: date) -> bool | None:
    """Whether *day* has no peak hours; `None` when that is not known."""
    if day.weekday() >= 5:
        return day >= WEEKENDS_SINCE
    if _in(HOLIDAYS, day):
        return True
    return None if day > KNOWN_UNTIL or _in(PERHAPS, day) else False


def _in(spans: Iterable[tuple[date, date]], day: date) -> bool:
    return any(first <= day <= last for first, last in spans)
