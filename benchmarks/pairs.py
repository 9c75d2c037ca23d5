"""Times two ways of doing the same thing in turn, so that a machine that slows down slows both. It judges nothing."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple


class Pair(NamedTuple):
    """Medians over batches, in microseconds of CPU time for one unit of work."""

    bare_us: float
    added_us: float
    ratio: float  # added / bare, the median of the batches' own ratios
    batches: int


def pair(bare: Callable[[int], None], metered: Callable[[int], None], *, count: int, batches: int = 40) -> Pair:
    """Run `bare(count)` and `metered(count)` in turn; what is added is the difference of neighbours."""
    bare(count)
    metered(count)
    bares, added, ratios = [], [], []
    gc.collect()
    gc.disable()
    try:
        for number in range(batches):
            first, second = (bare, metered) if number % 2 else (metered, bare)
            a, b = _cpu_us(first, count), _cpu_us(second, count)
            plain, full = (a, b) if number % 2 else (b, a)
            bares.append(plain)
            added.append(full - plain)
            ratios.append((full - plain) / plain)
            gc.collect()
    finally:
        gc.enable()
    return Pair(statistics.median(bares), statistics.median(added), statistics.median(ratios), batches)


def each_us(work: Callable[[int], None], *, count: int, batches: int = 15) -> float:
    """Microseconds of CPU time for one unit of *work*: the median of the batches."""
    work(count)
    return statistics.median(_cpu_us(work, count) for _ in range(batches))


def _cpu_us(work: Callable[[int], None], count: int) -> float:
    started = time.process_time()
    work(count)
    return (time.process_time() - started) / count * 1e6
