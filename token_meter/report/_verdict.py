"""Checks limits against a summary, and makes the verdict for markers, plugin and command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from token_meter._money import format_usd, parse_count, parse_usd
from token_meter.exceptions import ConfigError
from token_meter.report._formatting import cost_text, visible
from token_meter.report._summary import Check, Group, Status, Summary, Totals

OK, BROKEN, EXCEEDED = 0, 1, 3
"""Exit codes: no limit was exceeded, except with a warning; required data is missing; a limit or rule was exceeded."""

OnExceed: TypeAlias = Literal["warn", "fail", "stop"]
FIELDS = ("cost", "spent", "tokens", "calls")
_MONEY = ("cost", "spent")
_LEAST = Decimal("0.005")  # a share above zero is never shown as 0%


@dataclass(frozen=True, slots=True)
class Limit:
    """A budget: *scope* is `run`, `test` (each test) or one context's id; *option* is what the user set it by."""

    scope: str
    field: str
    limit: Decimal
    on_exceed: OnExceed = "fail"
    option: str = ""

    @classmethod
    def of(cls, scope: str, field: str, limit: str | int | float | Decimal, on_exceed: OnExceed = "fail") -> Limit:
        """Read a limit as a user writes it.

        Raises:
            ConfigError: the field or the amount is not valid.
        """
        if field not in FIELDS:
            msg = f"a limit is for one of {', '.join(FIELDS)}, not for {field!r}"
            raise ConfigError(msg)
        if on_exceed not in ("warn", "fail", "stop"):
            msg = f"on_exceed must be warn, fail or stop, not {on_exceed!r}"
            raise ConfigError(msg)
        name = f"max {field} of {scope}"
        if field in _MONEY:
            return cls(scope, field, parse_usd(limit, name=name), on_exceed)
        if isinstance(limit, float | Decimal):
            msg = f"{name} must be a whole number such as 5000, not {limit!r}"
            raise ConfigError(msg)
        return cls(scope, field, Decimal(parse_count(limit, name=name)), on_exceed)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of all limits and rules.

    Attributes:
        status: the worst of all: `exceeded`, `unknown`, `warn` or `ok`.
        headline: one line.
        text: every finding, one line each; empty if there is none.
        exit_code: 0 or 3; 1 if a required base was not found.
        checks: the findings as values.
    """

    status: Status
    headline: str
    text: str
    exit_code: int
    checks: tuple[Check, ...] = ()


def check_limits(summary: Summary, limits: Iterable[Limit]) -> tuple[Check, ...]:
    """Compare sums with limits. A limit for each test gives a check for every test that exceeds it, or one `ok`."""
    found: list[Check] = []
    for limit in limits:
        if limit.scope == "run":
            found.append(check(limit, "run", summary.totals))
        elif limit.scope == "test":
            tests = [g for g in summary.groups if g.type == "test"]
            over = [c for g in tests if (c := _of_group(limit, g)).status != "ok"]
            found += sorted(over, key=lambda c: -c.actual) or _all_ok(limit, tests)
        else:
            found += [_of_group(limit, g) for g in summary.groups if g.id == limit.scope]
    return tuple(found)


def check(limit: Limit, scope: str, totals: Totals, *, culprit: str | None = None) -> Check:
    """Compare the exact values of a sum and a limit, not the displayed ones."""
    actual = _actual(totals, limit.field)
    money = limit.field in _MONEY
    exceeded = actual > limit.limit
    status: Status = "ok"
    if exceeded:
        status = "warn" if limit.on_exceed == "warn" else "exceeded"
    elif money and _gap(limit, totals):
        status = "unknown"
    word, had, allowed = _words(limit, totals)
    who = visible(scope)
    fitted = f"{who} {word} {had if money else f'{actual:,}'} of {allowed}"
    text = f"{who} was limited to {allowed} but {word} {had}" if exceeded else fitted
    if status == "unknown":
        text = f"{who} cannot be held to {allowed}: {_gap(limit, totals)} ({limit.field} {had})"
    elif not exceeded and limit.limit:
        share = actual / limit.limit
        text += f" ({'<1%' if 0 < share < _LEAST else f'{share:.0%}'})"
    return Check(scope, limit.field, limit.limit, actual, status, text, None, culprit)


def short_reason(limit: Limit, totals: Totals) -> str:
    """Why a limit does not hold, the numbers first, for a line that is cut: `made 2 calls, limit 1 call (OPTION)`."""
    word, had, allowed = _words(limit, totals)
    by = f" ({limit.option})" if limit.option else ""
    if _actual(totals, limit.field) > limit.limit:
        return f"{word} {had}, limit {allowed}{by}"
    return f"{_gap(limit, totals)}, limit {allowed}{by}"


def _words(limit: Limit, totals: Totals) -> tuple[str, str, str]:
    """A verb, what was found and what is allowed."""
    money, actual = limit.field in _MONEY, _actual(totals, limit.field)
    word = {"cost": "cost", "spent": "spent", "tokens": "used", "calls": "made"}[limit.field]
    had = cost_text(totals, spent=limit.field == "spent") if money else _counted(actual, limit.field)
    allowed = format_usd(limit.limit) if money else _counted(limit.limit, limit.field)
    if actual > limit.limit and had == allowed:  # rounding must not make the two look equal
        had, allowed = f"${actual.normalize():f}", f"${limit.limit.normalize():f}"
    return word, had, allowed


def _gap(limit: Limit, totals: Totals) -> str:
    """Which calls leave a limit on money open; nothing where none does."""
    live = limit.field == "spent"
    calls, missing = (totals.live, totals.live_open) if live else (totals.calls, totals.open)
    price = "price" if missing == (totals.live_unpriced if live else totals.unpriced) else "whole price"
    among = _counted(calls, "live calls" if live else "calls")
    return f"{missing:,} of {among} {'has' if missing == 1 else 'have'} no {price}" if missing else ""


def judge(checks: Iterable[Check], *, unpriced: Literal["warn", "fail", "ignore"] = "warn") -> Verdict:
    """Make the verdict. *unpriced* says how to treat a limit that unpriced calls make undecidable."""
    every = tuple(checks)
    bad = [c for c in every if c.status == "exceeded" or (c.status == "unknown" and unpriced == "fail")]
    doubt = [c for c in every if c.status == "unknown" and unpriced == "warn"]
    warned = [c for c in every if c.status == "warn"]
    lines = [f"{c.status.upper()}: {c.text}" for c in (*bad, *doubt, *warned)]
    if bad:
        n = len(bad)
        headline = f"token_meter: {n} limit{'' if n == 1 else 's'} exceeded: {bad[0].text}"
        return Verdict("exceeded", headline, "\n".join(lines), EXCEEDED, every)
    if doubt or warned:
        first = (doubt or warned)[0]
        return Verdict(first.status, f"token_meter: {first.text}", "\n".join(lines), OK, every)
    return Verdict("ok", "token_meter: all limits hold" if every else "token_meter: no limit was set", "", OK, every)


def _counted(n: Decimal | int, field: str) -> str:
    return f"{n:,} {field.removesuffix('s') if n == 1 else field}"


def _of_group(limit: Limit, group: Group) -> Check:
    return check(limit, group.id, group.totals, culprit=group.id)


def _all_ok(limit: Limit, tests: list[Group]) -> list[Check]:
    if not tests:
        return []
    most = max(tests, key=lambda g: _actual(g.totals, limit.field))
    of_most = check(limit, most.id, most.totals)
    return [Check("test", limit.field, limit.limit, of_most.actual, "ok", f"each test: the most, {of_most.text}")]


def _actual(totals: Totals, field: str) -> Decimal:
    if field == "tokens":
        return Decimal(totals.total_tokens)
    if field == "calls":
        return Decimal(totals.calls - totals.retries)
    value: Decimal | int = getattr(totals, field)
    return Decimal(value)
