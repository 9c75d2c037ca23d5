"""Shows a meter on a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING, Protocol

from token_meter._money import scale_of
from token_meter._text import visible
from token_meter.call.jobs import open_jobs
from token_meter.totals.totals import SubTotal, amount

if TYPE_CHECKING:
    from token_meter.blind_spots import BlindSpot
    from token_meter.totals.breakdown import Breakdown
    from token_meter.totals.totals import TotalsView


_NEVER = " (never opened: nothing was counted)"


class Shown(Protocol):
    """A meter, as far as rendering uses it."""

    name: str | None
    is_open: bool

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


def _amount_of(model: TotalsView, places: int | None) -> str:
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
    requests = f"{counted.successful_requests:,} ok"
    if counted.failed_requests:
        requests += f", {counted.failed_requests:,} failed"
    rows = [
        ("requests", requests),
        ("prompt tokens", _with_parts(counted.prompt_tokens, cached=counted.cached_tokens)),
        ("completion tokens", _with_parts(counted.completion_tokens, reasoning=counted.reasoning_tokens)),
        ("total tokens", f"{counted.total_tokens:,}"),
        ("cost", _cost_line(still, meter, scale := scale_of([counted.cost, *(sub.cost for sub in models.values())]))),
    ]
    lines = [f"token_meter{': ' + visible(meter.name) if meter.name else ''}{_NEVER if meter.never_opened else ''}"]
    lines += [f"  {label:<18} {value}" for label, value in rows]
    if models:
        lines.append("  by model")
        lines += [
            f"    {visible(name, 34):<34} {sub.total_tokens:>12,} tokens  {_amount_of(sub, scale):>14}"
            for name, sub in sorted(models.items(), key=lambda item: -item[1].total_tokens)[:10]
        ]
        if len(models) > 10:
            lines.append(f"    … and {len(models) - 10} more models")
    if meter.blind_spots:
        lines.append("  not seen")
        for spot in meter.blind_spots:
            lines += wrap(str(spot), 80, initial_indent="    ", subsequent_indent="      ")
    return "\n".join(lines)


def _cost_line(still: Breakdown, meter: Shown, places: int | None) -> str:
    gaps = _gaps(still, meter)
    return amount(SubTotal(still.sums), places) + (f" ({'; '.join(gaps)})" if gaps else "")


def _with_parts(count: int, **parts: int) -> str:
    shown = [f"{value:,} {name}" for name, value in parts.items() if value]
    return f"{count:,}" + (f" ({', '.join(shown)})" if shown else "")


def card(meter: Shown) -> str:
    """A notebook card; every name is escaped."""
    still = meter._told()
    counted, models = still.sums, still.by_model.snapshot()
    scale = scale_of([counted.cost, *(sub.cost for sub in models.values())])
    rows = "".join(
        f"<tr><td>{escape(visible(name))}</td><td style='text-align:right'>{sub.total_tokens:,}</td>"
        f"<td style='text-align:right'>{escape(_amount_of(sub, scale))}</td></tr>"
        for name, sub in sorted(models.items(), key=lambda item: -item[1].total_tokens)[:20]
    )
    title = escape(visible(meter.name)) if meter.name else "token_meter"
    title += _NEVER if meter.never_opened else ""
    return (
        f"<div><b>{title}</b> · {counted.total_tokens:,} tokens "
        f"({counted.prompt_tokens:,} prompt + {counted.completion_tokens:,} completion) · "
        f"<b>{escape(_cost_line(still, meter, scale))}</b>"
        f"<table><tr><th>model</th><th>tokens</th><th>cost</th></tr>{rows}</table></div>"
    )
