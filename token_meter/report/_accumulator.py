"""Running sums of similar rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import mul

from token_meter.ledger import Row
from token_meter.report._summary import ZERO, Kind, Tokens, Totals
from token_meter.types import Price, Usage

MOST_USAGES = 32
"""Distinct usages that are kept for a line; with more of them, it cannot be priced again exactly."""


class Leaf:
    """Running sums of one model in one group, phase and attempt."""

    __slots__ = (
        "cached", "calls", "completion", "cost", "duration_s", "estimated", "failed", "group", "kind", "late", "live",
        "live_estimated", "live_partly", "live_unpriced", "mocked", "partly", "phase", "processes", "prompt", "reason",
        "reasoning", "replayed", "retries", "source", "spent", "total", "try_", "unmeasured", "unpriced", "usages",
        "written",
    )  # fmt: skip

    def __init__(self, group: str, kind: Kind, phase: str | None, try_: int) -> None:
        self.group, self.kind, self.phase, self.try_ = group, kind, phase, try_
        self.processes: set[str] = set()
        self.calls = self.live = self.replayed = self.mocked = self.retries = 0
        self.failed = self.unpriced = self.estimated = self.unmeasured = self.late = 0
        self.partly = self.live_unpriced = self.live_partly = self.live_estimated = 0
        self.prompt: int | None = None
        self.completion: int | None = None
        self.total: int | None = None
        self.cached: int | None = None
        self.written: int | None = None
        self.reasoning: int | None = None
        self.cost = self.spent = ZERO
        self.duration_s = 0.0
        self.reason: str | None = None
        self.source: str | None = None
        self.usages: dict[Usage, int] | None = {}

    def add(self, row: Row, prices: Iterator[Price]) -> None:
        """Add a row; *prices* has the price of one call for each of its usages."""
        self._count(row)
        usages = usages_of(row)
        self._add_tokens([(usage, n) for usage, n in usages if usage is not None])
        self._charge(row, ((usage is not None, n, price) for (usage, n), price in zip(usages, prices, strict=False)))

    def add_sum(self, row: Row, usage: Usage, price: Price) -> None:
        """Add calls with many usages, whose sum is *usage* and whose price in all is *price*."""
        self._count(row)
        tokens = (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens, usage.cached_tokens,
                  usage.cache_write_tokens, usage.reasoning_tokens)  # fmt: skip
        known = (self.prompt, self.completion, self.total, self.cached, self.written, self.reasoning)
        self.prompt, self.completion, self.total, self.cached, self.written, self.reasoning = map(_sum, known, tokens)
        self.usages = None
        self._charge(row, [(True, row.calls, price)], is_sum=True)

    def _count(self, row: Row) -> None:
        call, n = row.call, row.calls
        self.calls += n
        self.processes.add(row.process)
        self.duration_s += row.duration_s
        if call.source == "live":
            self.live += n
        elif call.source == "replay":
            self.replayed += n
        else:
            self.mocked += n
        if row.late:
            self.late += n
        if call.attempt:
            self.retries += n
        if not call.is_success:
            self.failed += n

    def _charge(self, row: Row, priced: Iterable[tuple[bool, int, Price]], *, is_sum: bool = False) -> None:
        """Add what calls cost: whether they have a usage, how many there are, and the price of one, or of all."""
        call, failed = row.call, not row.call.is_success
        cost = ZERO
        unpriced, partly, estimated = self.unpriced, self.partly, self.estimated
        for has_usage, n, price in priced:
            if price.cost is not None:
                cost += price.cost if n == 1 or is_sum else price.cost * n
                self.source = price.source
            if not price.is_whole and (has_usage or not failed):  # a refused call has no known cost
                if price.cost is None:
                    self.unpriced += n
                else:
                    self.partly += n
                self.reason = price.reason
            if call.certainty != "exact" and (has_usage or not failed):
                if call.certainty == "unmeasured":
                    self.unmeasured += n
                else:
                    self.estimated += n
        self.cost += cost
        if call.source == "live":
            self.spent += cost
            self.live_unpriced += self.unpriced - unpriced
            self.live_partly += self.partly - partly
            self.live_estimated += self.estimated - estimated

    def _add_tokens(self, usages: list[tuple[Usage, int]]) -> None:
        if not usages:
            return
        times = [n for _, n in usages]
        prompts, completions, totals, cached, written, _, reasoning, *_ = zip(
            *(usage for usage, _ in usages), strict=True
        )
        if None in totals:
            totals = tuple(
                p + c if t is None and p is not None and c is not None else t
                for p, c, t in zip(prompts, completions, totals, strict=True)
            )
        self.prompt = _plus(self.prompt, prompts, times)
        self.completion = _plus(self.completion, completions, times)
        self.total = _plus(self.total, totals, times)
        self.cached = _plus(self.cached, cached, times)
        self.written = _plus(self.written, written, times)
        self.reasoning = _plus(self.reasoning, reasoning, times)
        if self.usages is not None:
            for usage, n in usages[: MOST_USAGES + 1]:
                self.usages[usage] = self.usages.get(usage, 0) + n
            if len(self.usages) > MOST_USAGES:
                self.usages = None

    def totals(self) -> Totals:
        tokens = Tokens(self.prompt, self.cached, self.written, self.completion, self.reasoning, self.total)
        return Totals(
            self.calls, self.live, self.replayed, self.mocked, self.failed, self.unpriced, self.estimated,
            self.unmeasured, self.late, tokens, self.cost, self.spent, self.duration_s,
            (self.kind.model,) if self.unpriced or self.partly else (), self.retries, self.live_unpriced,
            self.live_estimated, self.partly, self.live_partly,
        )  # fmt: skip


def usages_of(row: Row) -> tuple[tuple[Usage | None, int], ...]:
    """The usages in *row*, each with its number of calls."""
    return row.usages or ((row.call.usage, row.calls),)


def _plus(sum_: int | None, counts: Sequence[int | None], times: Sequence[int]) -> int | None:
    """Add each count multiplied by its number of calls; `None` if no count is known."""
    known = [count for count in counts if count is not None]
    if not known:
        return sum_
    if len(known) < len(counts):
        times = [n for count, n in zip(counts, times, strict=True) if count is not None]
    total: int = sum(map(mul, known, times), sum_ or 0)
    return total


def _sum(known: int | None, count: int | None) -> int | None:
    return known if count is None else count + (known or 0)
