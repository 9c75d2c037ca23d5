"""Shows a meter on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import wrap
from typing import TYPE_CHECKING, Protocol

from token_meter._money import scale_of
from token_meter._text import visible
from token_meter.call.jobs import open_jobs
from token_meter.totals.totals import SubTotal, amount

if TYPE_CHECKING:
    from token_meter.blind_spots import BlindSpot
    from token_meter.budget.limits import MeterBudget
    from token_meter.totals.breakdown import Breakdown
    from token_meter.totals.totals import Totals, TotalsView


NEVER = " (never opened: nothing was counted)"
"""Said of zeros that say nothing."""


class Shown(Protocol):
    """A meter, as far as rendering uses it."""

    name: str | None
    is_open: bool

    @property
    def budget(self) -> MeterBudget | None:
        """Its limits, and the budgets that it shares with others."""

    @property
    def never_opened(self) -> bool:
        """Whether it has no block and counted nothing."""

    @property
    def blind_spots(self) -> tuple[BlindSpot, ...]:
        """What it knows that it did not see."""

    def _frozen(self) -> Breakdown:
        """Its current sums."""

    def _told(self) -> Breakdown:
        """Its current sums, after a warning about models without a price."""


def amount_of(model: TotalsView, places: int | None) -> str:
    """The cost of one model. If every attempt failed, no tokens were priced, so that $0 would be wrong."""
    counted = model._charged()
    is_told = counted.successful_requests or counted.priced_calls or counted.unpriced_calls or counted.unmeasured_calls
    return amount(model, places) if is_told else "failed"


def _gaps(still: Breakdown, meter: Shown) -> list[str]:
    """The reasons why the numbers may differ from the bill."""
    gaps, counted = [], still.sums
    if counted.unpriced_calls:
        gaps.append(f"{_calls(counted.unpriced_calls)} unpriced: {_names(still.reasons)}")
    if counted.partly_priced_calls:
        parts = {f"{name} ({reason})": reason for name, reason in still.partial.items()}
        gaps.append(f"{_calls(counted.partly_priced_calls)} priced in part: {_names(parts)}")
    if counted.unmeasured_calls:
        gaps.append(f"{_calls(counted.unmeasured_calls)} unmeasured")
    if counted.estimated_calls:
        gaps.append(f"{_calls(counted.estimated_calls)} estimated")
    if counted.open_streams:
        jobs = ", ".join(visible(name, 40) for name in open_jobs(meter))
        gaps.append(f"{counted.open_streams} still open" + (f": {jobs}" if jobs else ""))
    if counted.late_calls:
        gaps.append(f"{_calls(counted.late_calls)} after the block, not counted")
    if meter.blind_spots:
        gaps.append(f"not seen: {', '.join(spot.what for spot in meter.blind_spots)}")
    return gaps


def _calls(count: int) -> str:
    return "1 call" if count == 1 else f"{count:,} calls"


def _names(unpriced_models: Mapping[str, str], limit: int = 4) -> str:
    names = [visible(name) for name in unpriced_models]
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def line(meter: Shown) -> str:
    """One line, for a REPL or a log.

    It issues no warning: the line itself names models without a price, and not every caller wants a cost. For example,
    `asyncio.run` takes the repr of the value that its coroutine returned.
    """
    still = meter._frozen()
    state = "open" if meter.is_open else "never opened" if meter.never_opened else "closed"
    name = f" {visible(meter.name)!r}" if meter.name else ""
    gaps = _gaps(still, meter)
    tail = f" ({'; '.join(gaps)})" if gaps else ""
    return f"<meter{name} {state}: {still.sums.total_tokens:,} tokens, {amount(SubTotal(still.sums))}{tail}>"


def block(meter: Shown) -> str:
    """A block of lines with at most 80 columns."""
    still = meter._told()
    counted, models = still.sums, still.by_model.snapshot()
    rows = [
        ("requests", requests_of(counted)),
        ("prompt tokens", with_parts(counted.prompt_tokens, cached=counted.cached_tokens)),
        ("completion tokens", with_parts(counted.completion_tokens, reasoning=counted.reasoning_tokens)),
        ("total tokens", f"{counted.total_tokens:,}"),
        ("cost", cost_line(still, meter, scale := scale_of([counted.cost, *(sub.cost for sub in models.values())]))),
    ]
    lines = [f"token_meter{': ' + visible(meter.name) if meter.name else ''}{NEVER if meter.never_opened else ''}"]
    lines += [f"  {label:<18} {value}" for label, value in rows]
    if models:
        lines.append("  by model")
        lines += [
            f"    {visible(name, 34):<34} {sub.total_tokens:>12,} tokens  {amount_of(sub, scale):>14}"
            for name, sub in sorted(models.items(), key=lambda item: -item[1].total_tokens)[:10]
        ]
        if len(models) > 10:
            lines.append(f"    … and {len(models) - 10} more models")
    shared = [text for budget in (meter.budget.shared if meter.budget else ()) if (text := budget.in_short())]
    if shared:
        lines.append("  budgets")
        for text in shared:
            lines += wrap(visible(text, 400), 80, initial_indent="    ", subsequent_indent="      ")
    if meter.blind_spots:
        lines.append("  not seen")
        for spot in meter.blind_spots:
            lines += wrap(str(spot), 80, initial_indent="    ", subsequent_indent="      ")
    return "\n".join(lines)


def cost_line(still: Breakdown, meter: Shown, places: int | None) -> str:
    """The cost, and why it may not be the bill."""
    gaps = _gaps(still, meter)
    return amount(SubTotal(still.sums), places) + (f" ({'; '.join(gaps)})" if gaps else "")


def requests_of(counted: Totals) -> str:
    """`3 ok, 1 failed`."""
    failed = f", {counted.failed_requests:,} failed" if counted.failed_requests else ""
    return f"{counted.successful_requests:,} ok{failed}"


def with_parts(count: int, **parts: int) -> str:
    """A count, and those of its parts that are not 0: `28 (12 cached)`."""
    shown = [f"{value:,} {name}" for name, value in parts.items() if value]
    return f"{count:,}" + (f" ({', '.join(shown)})" if shown else "")
