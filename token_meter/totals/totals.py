"""Sums of calls, and every name under which they can be read. It knows no prices and no locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from token_meter._money import add_usd, format_usd
from token_meter.types import Call

_TOKENS = (
    "prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens",
    "audio_tokens", "image_tokens",
)  # fmt: skip
_REQUESTS = (
    "successful_requests", "failed_requests", "estimated_calls", "unmeasured_calls", "unpriced_calls",
    "partly_priced_calls", "late_calls", "open_streams",
)  # fmt: skip


class Totals:
    """Mutable sums; one writer at a time (the meter's lock)."""

    # Class attributes are the zeros: a meter that counts nothing costs nothing (opening one takes about 2 us).
    prompt_tokens = 0
    completion_tokens = 0
    total_tokens = 0
    cached_tokens = 0
    cache_write_tokens = 0
    reasoning_tokens = 0
    audio_tokens = 0
    image_tokens = 0
    tool_usage_tokens = 0
    cost = Decimal(0)
    successful_requests = 0
    failed_requests = 0
    estimated_calls = 0
    unmeasured_calls = 0
    unpriced_calls = 0
    partly_priced_calls = 0
    priced_calls = 0
    late_calls = 0
    open_streams = 0

    @classmethod
    def of(cls, calls: Sequence[Call]) -> Totals:
        """The requests, certainty and tokens of calls that share status and certainty; their cost comes later.

        Counts are added column by column, in the interpreter's own functions: call by call takes five times as long.
        """
        sums, number = cls(), len(calls)
        status, certainty = calls[0].status, calls[0].certainty
        if status is not None and 200 <= status < 300:
            sums.successful_requests = number
        else:
            sums.failed_requests = number
        if certainty == "unmeasured":
            sums.unmeasured_calls = number
        elif certainty != "exact":
            sums.estimated_calls = number
        usages = [call.usage for call in calls if call.usage is not None]
        if usages:
            prompt, completion, total, cached, written, _, reasoning, *parts = map(_sum, zip(*usages, strict=True))
            audio_in, audio_out, _, image_in, image_out, _, _, _, _, beside, _, _ = parts
            sums.prompt_tokens, sums.completion_tokens, sums.total_tokens = prompt, completion, total
            sums.cached_tokens, sums.cache_write_tokens, sums.reasoning_tokens = cached, written, reasoning
            sums.audio_tokens, sums.image_tokens = audio_in + audio_out, image_in + image_out
            sums.tool_usage_tokens = beside
        return sums

    def add(self, other: Totals) -> None:
        """Add the counts of other calls, which are not priced yet."""
        for name, value in vars(other).items():
            if value:
                setattr(self, name, getattr(self, name) + value)

    def charge(self, cost: Decimal | None, calls: int, *, is_whole: bool = True) -> None:
        """Add what some counted calls cost together; `None` when that is not known, not whole when it is the least."""
        if cost is None:
            self.unpriced_calls += calls
            return
        self.priced_calls += calls
        self.cost = add_usd(self.cost, cost)
        if not is_whole:
            self.partly_priced_calls += calls

    def opened(self, streams: int) -> None:
        """Add open streams, or take them off. One that was opened before a fork may be closed after it."""
        self.open_streams = max(0, self.open_streams + streams)

    def copy(self) -> Totals:
        twin = Totals()
        twin.__dict__.update(self.__dict__)
        return twin


def _sum(column: Iterable[Any]) -> Any:
    """The sum of the counts that are known."""
    return sum(filter(None, column))


class TotalsView:
    """The names under which sums are read; LangChain's among them. Subclasses say where the sums are."""

    __slots__ = ()

    def _counted(self) -> Totals:
        """The sums, with every call that has ended counted."""
        raise NotImplementedError

    def _charged(self) -> Totals:
        """The same, with every counted call priced."""
        raise NotImplementedError

    @property
    def prompt_tokens(self) -> int:
        """Tokens sent, cached ones included; the provider's own counts, summed."""
        return self._counted().prompt_tokens

    @property
    def completion_tokens(self) -> int:
        """Tokens generated, reasoning included; the provider's own counts, summed."""
        return self._counted().completion_tokens

    @property
    def total_tokens(self) -> int:
        """The provider's own totals, summed."""
        return self._counted().total_tokens

    @property
    def input_tokens(self) -> int:
        """The same as `prompt_tokens`."""
        return self._counted().prompt_tokens

    @property
    def output_tokens(self) -> int:
        """The same as `completion_tokens`."""
        return self._counted().completion_tokens

    @property
    def cached_tokens(self) -> int:
        """Tokens read from the provider's cache; part of `prompt_tokens`."""
        return self._counted().cached_tokens

    @property
    def prompt_tokens_cached(self) -> int:
        """The same as `cached_tokens` (LangChain's name)."""
        return self._counted().cached_tokens

    @property
    def cache_write_tokens(self) -> int:
        """Tokens written to the provider's cache; part of `prompt_tokens`."""
        return self._counted().cache_write_tokens

    @property
    def reasoning_tokens(self) -> int:
        """Hidden reasoning tokens; part of `completion_tokens`."""
        return self._counted().reasoning_tokens

    @property
    def audio_tokens(self) -> int:
        """Audio tokens, in and out; part of the totals."""
        return self._counted().audio_tokens

    @property
    def image_tokens(self) -> int:
        """Image tokens, in and out; part of the totals."""
        return self._counted().image_tokens

    @property
    def cost(self) -> Decimal:
        """US dollars, exact: the sum of the priced calls. A lower bound unless `is_complete`; see `cost_is_known`."""
        return self._charged().cost

    @property
    def cost_is_known(self) -> bool:
        """Whether `cost` is a sum, if only a lower bound: without any price it is 0, which says nothing."""
        sums = self._charged()
        return bool(sums.priced_calls) or not _missing(sums)

    @property
    def total_cost(self) -> float:
        """US dollars as a float, as LangChain has it: the sum of the priced calls."""
        return float(self._charged().cost)

    @property
    def successful_requests(self) -> int:
        """HTTP answers with 2xx on a metered route."""
        return self._counted().successful_requests

    @property
    def failed_requests(self) -> int:
        """Attempts that failed, by status or by exception; an SDK's retries are attempts of their own."""
        return self._counted().failed_requests

    @property
    def estimated_calls(self) -> int:
        """Calls whose tokens are an estimate or a lower bound, because the provider did not report them."""
        return self._counted().estimated_calls

    @property
    def unmeasured_calls(self) -> int:
        """Calls that happened, or may have, and whose tokens nobody knows."""
        return self._counted().unmeasured_calls

    @property
    def unpriced_calls(self) -> int:
        """Calls whose tokens are known and whose price is not."""
        return self._charged().unpriced_calls

    @property
    def partly_priced_calls(self) -> int:
        """Calls of whose price only a part is known; `cost` holds that part."""
        return self._charged().partly_priced_calls

    @property
    def late_calls(self) -> int:
        """Calls that started in this meter's context after it had closed; not in any sum."""
        return self._counted().late_calls

    @property
    def open_streams(self) -> int:
        """Streams, and background responses, that have not ended; their tokens are not in the sums yet."""
        return self._counted().open_streams

    @property
    def is_complete(self) -> bool:
        """Whether nothing is estimated, unmeasured, unpriced, late or still open: the sums are the bill."""
        sums = self._charged()
        return not (_missing(sums) or sums.estimated_calls or sums.late_calls)

    def _numbers(self) -> dict[str, Any]:
        """All sums as plain data: whole numbers, and money as a string of US dollars; `None` where none is known."""
        sums = self._charged()
        return {
            **{name: getattr(sums, name) for name in _TOKENS},
            "cost": str(sums.cost) if sums.priced_calls or not _missing(sums) else None,
            "cost_is_lower_bound": bool(_missing(sums)),
            **{name: getattr(sums, name) for name in _REQUESTS},
            "is_complete": self.is_complete,
        }


class SubTotal(TotalsView):
    """The sums of one model or tag at the moment of reading; the same attributes as the meter's.

    Args:
        sums: what nothing is added to any more.
    """

    __slots__ = ("_sums",)

    def __init__(self, sums: Totals) -> None:
        self._sums = sums

    def _counted(self) -> Totals:
        return self._sums

    def _charged(self) -> Totals:
        return self._sums

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able data."""
        return self._numbers()

    def __repr__(self) -> str:
        return f"<SubTotal {self.total_tokens} tokens, {amount(self)}>"


class BoundedGroups(dict[str, Totals]):
    """Sums by name, bounded: beyond the limit, new names share one group (a million model names are an attack)."""

    __slots__ = ()
    LIMIT = 1000
    OTHER = "(other)"

    def __missing__(self, name: str) -> Totals:
        if len(self) >= self.LIMIT and name != self.OTHER:
            return self[self.OTHER]
        sums = self[name] = Totals()
        return sums

    def copy(self) -> BoundedGroups:
        """The same names and sums, as of now."""
        twin = BoundedGroups()
        twin.update((name, sums.copy()) for name, sums in self.items())
        return twin

    def snapshot(self) -> Mapping[str, SubTotal]:
        """A sub-total for each name, of groups to which nothing is added any more."""
        return {name: SubTotal(sums) for name, sums in self.items()}


def amount(sums: TotalsView, places: int | None = None) -> str:
    """A cost that does not hide what is missing: `$0.0123`, `~$0.0123` with estimates, `>= $0.0123`, `unknown`."""
    counted = sums._charged()
    missing = _missing(counted)
    if missing and not counted.priced_calls:
        return "unknown"
    shown = format_usd(counted.cost, places)
    if missing:
        return f">= {shown}"
    return f"~{shown}" if counted.estimated_calls else shown


def _missing(sums: Totals) -> int:
    """How many calls, and streams that have not ended, cost something that is in no sum."""
    return sums.unpriced_calls + sums.partly_priced_calls + sums.unmeasured_calls + sums.open_streams
