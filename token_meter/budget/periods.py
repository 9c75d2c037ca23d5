"""The periods of budgets: which window a moment lies in. It knows no store; moments are the store's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

from token_meter._text import suggestion
from token_meter.exceptions import ConfigError
from token_meter.stores import Window

PERIODS = ("total", "minute", "hour", "day", "month", "rolling")
_ROLLING = re.compile(r"rolling(?::(\d{1,4})([smhd]))?")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
_PARTS = 24
"""Windows of a rolling period. One more counts: no stretch of the period's length ever spends more than the limit."""


class Period:
    """When a budget starts again.

    Args:
        per: `total` (never), `minute`, `hour`, `day`, `month`, or `rolling:24h` (any stretch of 24 hours; also `30s`,
            `15m`, `7d`).
        tz: where days and months begin: `UTC`, an IANA zone such as `Europe/Berlin`, or an offset such as `+02:00`.

    Raises:
        ConfigError: one of them is not valid.
    """

    def __init__(self, per: str = "total", tz: str = "UTC") -> None:
        rolling = _ROLLING.fullmatch(per) if isinstance(per, str) else None
        if rolling is None and per not in PERIODS:
            hint = suggestion(per, PERIODS) if isinstance(per, str) else ""
            msg = f"per must be one of {', '.join(PERIODS[:-1])} or rolling:24h, not {per!r}{hint}"
            raise ConfigError(msg)
        self.per = per
        self.tz = tz
        self._zone = _zone(tz)
        self._part_ms = 0
        if rolling is not None:
            number, unit = rolling.groups(default="")
            length = int(number or 24) * _UNIT_MS[unit or "h"]
            if length < _PARTS * 1000:
                msg = f"per must be a rolling period of at least {_PARTS} seconds, not {per!r}"
                raise ConfigError(msg)
            self._part_ms = length // _PARTS

    def window(self, budget: str, now_ms: int) -> Window:
        """The window of *budget* at this moment."""
        if self.per == "total":
            return Window(budget)
        if self._part_ms:
            start = now_ms - now_ms % self._part_ms
            return Window(budget, start, start + self._part_ms, _PARTS)
        if self.per in ("minute", "hour"):
            length = _UNIT_MS[self.per[0]]
            offset = int(_local(now_ms, self._zone).utcoffset().total_seconds() * 1000)  # type: ignore[union-attr]  # it has a zone
            start = now_ms - (now_ms + offset) % length
            return Window(budget, start, start + length)
        return self._by_calendar(budget, now_ms)

    def _by_calendar(self, budget: str, now_ms: int) -> Window:
        first: Callable[[date], date] = (lambda day: day) if self.per == "day" else (lambda day: day.replace(day=1))
        step = timedelta(days=1 if self.per == "day" else 32)
        start = first(_local(now_ms, self._zone).date())
        if self._midnight(start) > now_ms:  # an hour that a zone has twice may lie before the midnight of its date
            start = first(start - timedelta(days=1))
        end = first(start + step)
        if self._midnight(end) <= now_ms:
            start, end = end, first(end + step)
        return Window(budget, self._midnight(start), self._midnight(end))

    def _midnight(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp()) * 1000

    def shown(self, window: Window) -> str:
        """The window in words, for messages."""
        if self.per == "total":
            return "in total"
        if self._part_ms:
            return f"in {self.per.partition(':')[2] or '24h'}"
        until = _local(window.end_ms, self._zone)
        return f"in the {self.per} until {until:%Y-%m-%d %H:%M} {self.tz}"


def _local(now_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(now_ms / 1000, zone)


def _zone(tz: str) -> tzinfo:
    if tz == "UTC":
        return UTC
    offset = _OFFSET.fullmatch(tz) if isinstance(tz, str) else None
    if offset is not None:
        sign, hours, minutes = offset.groups()
        span = timedelta(hours=int(hours), minutes=int(minutes))
        if span < timedelta(days=1):
            return timezone(-span if sign == "-" else span)
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(tz)
    except (KeyError, ValueError, TypeError, OSError) as error:  # ZoneInfoNotFoundError is a KeyError
        msg = f"tz must be UTC, a zone such as Europe/Berlin, or an offset such as +02:00, not {tz!r}"
        msg += " (on Windows, zones need the package tzdata)"
        raise ConfigError(msg) from error
