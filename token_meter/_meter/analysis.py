"""A meter's calls as a table of pandas and as a plot of matplotlib, where these are installed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from io import BytesIO
from typing import Any

from token_meter._money import add_usd, format_usd
from token_meter._text import visible
from token_meter.exceptions import ConfigError
from token_meter.types import Call, Usage

_MODELS = 8
_OTHER = "(other models)"


class Analysis:
    """The part of a meter that hands its calls to other tools."""

    calls: tuple[Call, ...]

    def to_frame(self) -> Any:
        """A pandas `DataFrame` with a row for each kept call, oldest first.

        Columns: `started_at` (UTC), `duration_s` and `first_token_s` (seconds), `model`, `request_model`, `provider`,
        `host`, `api`, the token counts of `Usage`, `cost` (US dollars, a float), `certainty`, `outcome`, `status`,
        `attempt`, `streamed`, `tags` (a tuple). Unknown is missing (NA), never 0.

        Raises:
            ConfigError: pandas is not installed, or the meter was not told to keep its calls.
        """
        pandas = _library("pandas", "to_frame()")
        frame = pandas.DataFrame([_row(call) for call in self.calls], columns=[*_BEFORE, *_COUNTS, *_AFTER])
        frame["started_at"] = pandas.to_datetime(frame["started_at"], utc=True).astype("datetime64[us, UTC]")
        types = {**dict.fromkeys(_WHOLE, "Int64"), **dict.fromkeys(_REAL, "Float64"), **dict.fromkeys(_TEXT, "string")}
        return frame.astype({**types, "streamed": "bool", "tags": "object"})

    def plot(self) -> Any:
        """A matplotlib `Figure`: the cost so far in US dollars over time, a step for each call, a line for each model.

        The eight models that cost most have a line of their own. Calls without a price are left out, and the title says
        how many.

        Raises:
            ConfigError: matplotlib is not installed, or the meter was not told to keep its calls.
        """
        plain: type[Any] = _library("matplotlib.figure", "plot()").Figure
        figure_of = type("Figure", (plain,), {"_repr_png_": _png})  # notebooks show it, with or without pyplot
        lines, unpriced = _lines(self.calls)
        figure = figure_of(figsize=(8, 4), layout="constrained")
        axes = figure.add_subplot()
        for model, points in lines.items():
            ends, sums = zip(*points, strict=True)
            label = f"{visible(model)}: {_dollars(sums[-1])}"
            axes.step(ends, sums, where="post", marker="." if len(ends) < 50 else None, label=label)
        axes.set_ylabel("US dollars")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(lambda value, _: _dollars(value))
        axes.tick_params(axis="x", rotation=30)
        if lines:
            axes.legend()
            moments = [end for points in lines.values() for end, _ in points]
            if min(moments) == max(moments):  # a single moment has no scale of its own: the axis would span years
                axes.set_xlim(moments[0] - timedelta(minutes=1), moments[0] + timedelta(minutes=1))
        axes.set_title("cost" + (f" (left out: {unpriced:,} without a price)" if unpriced else ""))
        return figure


_BEFORE = ("started_at", "duration_s", "first_token_s", "model", "request_model", "provider", "host", "api")
_COUNTS = tuple(name for name in Usage._fields if name.endswith("tokens"))
_WHOLE = (*_COUNTS, "status", "attempt")
_REAL = ("cost", "duration_s", "first_token_s")
_TEXT = ("model", "request_model", "provider", "host", "api", "certainty", "outcome")
_AFTER = ("cost", "certainty", "outcome", "status", "attempt", "streamed", "tags")


def _row(call: Call) -> tuple[Any, ...]:
    usage = call.usage or Usage()
    cost = None if call.cost is None else float(call.cost)
    return (
        *(getattr(call, name) for name in _BEFORE),
        *(getattr(usage, name) for name in _COUNTS),
        cost,
        *(getattr(call, name) for name in _AFTER[1:]),
    )


def _lines(calls: Iterable[Call]) -> tuple[dict[str, list[tuple[Any, float]]], int]:
    """For each model, the one that costs most first: when its calls ended, and what they had cost by then."""
    ended = sorted(
        ((call.started_at + timedelta(seconds=call.duration_s), call) for call in calls), key=lambda pair: pair[0]
    )
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for _, call in ended:
        totals[call.model or "(unknown)"] = add_usd(totals[call.model or "(unknown)"], call.cost or Decimal(0))
    ordered = sorted(totals, key=lambda name: -totals[name])
    own = set(ordered[:_MODELS])
    lines: dict[str, list[tuple[Any, float]]] = {name: [] for name in (*ordered[:_MODELS], _OTHER)}
    sums: dict[str, Decimal] = defaultdict(Decimal)
    unpriced = 0
    for end, call in ended:
        if call.cost is None:
            unpriced += call.usage is not None
            continue
        name = call.model or "(unknown)"
        name = name if name in own else _OTHER
        sums[name] = add_usd(sums[name], call.cost)
        lines[name].append((end, float(sums[name])))
    return {name: points for name, points in lines.items() if points}, unpriced


def _dollars(amount: float) -> str:
    """An amount as matplotlib, which takes what is between two dollar signs for a formula, shows it."""
    return format_usd(Decimal(f"{amount:.4g}")).replace("$", r"\$")


def _png(figure: Any) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _library(name: str, wanted_by: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        library = name.partition(".")[0]
        msg = f"{wanted_by} needs {library}, which is not installed: pip install {library}"
        raise ConfigError(msg) from None
