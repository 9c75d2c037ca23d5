"""A progress bar with the dollars so far and the dollars to come: `for row in track(rows):`."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from decimal import Decimal
from time import monotonic
from typing import Any, Generic, TypeVar

from token_meter._aside import begin, is_on_loop
from token_meter._meter import Meter, meter
from token_meter._money import format_usd
from token_meter.exceptions import ConfigError
from token_meter.totals.totals import amount

__all__ = ["Track", "track"]

T = TypeVar("T")

_REFRESH_S = 0.2


class Track(Generic[T]):
    """A loop that is metered and shown; `meter` has its numbers, also when it has ended."""

    def __init__(self, items: Iterable[T] | AsyncIterable[T], total: int | None, name: str | None, **settings: Any):
        if not any(hasattr(items, way) for way in ("__iter__", "__aiter__", "__getitem__")):
            msg = f"track() goes through several items, such as a list or range(5), not {items!r}"
            raise TypeError(msg)
        self._items, self._total, self._name = items, _length(items) if total is None else total, name
        self._bar_of = _bar()
        self.meter: Meter = meter(name, **settings)
        """The loop's meter."""
        self.meter.is_carried = True  # a loop that is left early is closed wherever its iterator is collected

    def __iter__(self) -> Iterator[T]:
        if isinstance(self._items, AsyncIterable) and not isinstance(self._items, Iterable):
            msg = "track() was given what only `async for` can go through: async for item in track(items)"
            raise TypeError(msg)
        with self.meter, self._bar() as bar:
            shown = _Shown(bar, self.meter, self._total)
            for item in self._items:
                yield item
                shown.step()
            shown.end()

    async def __aiter__(self) -> AsyncIterator[T]:
        items = self._items
        with self.meter, self._bar() as bar:
            shown = _Shown(bar, self.meter, self._total)
            if isinstance(items, AsyncIterable):
                async for item in items:
                    yield item
                    shown.step()
            else:
                for item in items:
                    yield item
                    shown.step()
            shown.end()

    def _bar(self) -> Any:
        return self._bar_of(total=self._total, desc=self._name, dynamic_ncols=True)


def track(
    items: Iterable[T] | AsyncIterable[T], total: int | None = None, *, name: str | None = None, **settings: Any
) -> Track[T]:
    """Go through *items* under a meter, with a bar that shows what the loop has cost and what the rest may cost.

    The rest is a guess, and marked with `~`: what one item has cost on average, for each that is to come. In a notebook
    the bar is a widget where ipywidgets is installed.

    Args:
        items: what to go through, by `for` or `async for`.
        total: how many there are, where `len(items)` does not say it.
        name: the name of the meter, and of the bar.
        settings: whatever else `meter()` takes, such as `max_cost`.

    Raises:
        ConfigError: tqdm is not installed, or the settings are not those of a meter.
    """
    return Track(items, total, name, **settings)


class _Shown:
    """The numbers beside the bar, at most five times a second."""

    def __init__(self, bar: Any, cb: Meter, total: int | None) -> None:
        self._bar, self._meter, self._total = bar, cb, total
        self._done, self._next = 0, 0.0

    def step(self) -> None:
        """One item is done."""
        self._done += 1
        self._bar.update()
        now = monotonic()
        if now >= self._next:
            self._next = now + _REFRESH_S
            if is_on_loop() and self._meter.is_far_behind(priced=True):
                begin(self._meter.catch_up)
            else:
                self._bar.set_postfix_str(self._text())

    def end(self) -> None:
        """All items are done."""
        self._bar.set_postfix_str(amount(self._meter))

    def _text(self) -> str:
        shown = amount(self._meter)
        if self._total is None or not self._meter.cost_is_known or self._done >= self._total:
            return shown
        rest = self._meter.cost * (self._total - self._done) / Decimal(self._done)
        return f"{shown}, ~{format_usd(rest)} to come"


def _length(items: object) -> int | None:
    try:
        return len(items)  # type: ignore[arg-type]  # where it has one
    except TypeError:
        return None


def _bar() -> Any:
    try:
        with warnings.catch_warnings():
            # In a notebook without ipywidgets tqdm asks for them, in red; the bar is then one of text.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm
    except ImportError:
        msg = "track() needs tqdm, which is not installed: pip install tqdm"
        raise ConfigError(msg) from None
    return tqdm
