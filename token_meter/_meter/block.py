"""The meter: sums with a block, a name and settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from token_meter._defaults import book_of, default_ledger, given_book
from token_meter._meter.analysis import Analysis
from token_meter._meter.as_callback import AsCallback
from token_meter._meter.by_hand import ByHand, adopt
from token_meter._meter.mistakes import Helpful, MeterType
from token_meter._meter.recording import Recorder
from token_meter._meter.sight import SightedAccumulator
from token_meter._meter.validation import check_choice, check_function, check_name, tags_of
from token_meter._meter.waits import Waiting
from token_meter.budget.amounts import Amounts
from token_meter.context.stack import METER, push, remove
from token_meter.exceptions import ConfigError
from token_meter.runtime.hub import HUB  # 40 ms: here rather than in a block, which may stand on an event loop
from token_meter.totals.totals import SubTotal

if TYPE_CHECKING:
    from types import TracebackType

    from token_meter.budget.limits import MeterBudget, Suspension
    from token_meter.budget.shared import Budget
    from token_meter.context.ports import Sink
    from token_meter.context.subscriber import Subscriber
    from token_meter.ledger import Ledger
    from token_meter.prices import PriceBook

F = TypeVar("F", bound=Callable[..., Any])


class Meter(Analysis, AsCallback, ByHand, Recorder, Helpful, Waiting, SightedAccumulator, metaclass=MeterType):
    """Adds up the LLM calls of a block: `with meter() as cb:`, or of a function: `@meter()`.

    Counts every call that starts in the block, or in threads, pools and tasks that the block starts. Meters nest, and
    each counts all calls inside it. Numbers are ready when a call returns, and also after the block.

    Args:
        name: its name in reports and errors.
        tags: labels of its calls, including later calls of what the block starts; a mapping gives `key=value`.
        handlers: objects with methods such as `on_llm_end`, or functions that take the finished call.
        max_cost: US dollars that the block may spend; a call that could exceed it is refused before it is sent. Calls
            whose size cannot be estimated (images, audio) run one at a time, because together they could exceed it.
        max_tokens: the same in tokens, of prompts and answers together.
        max_calls: the same in calls; an SDK's retries belong to one call.
        budgets: limits that processes and machines share (`token_meter.Budget`); the call must fit into each of them.
        on_exceed: `raise` a `BudgetExceededError`, or `warn` and let the call pass.
        warn_at: the share of a limit at which a `BudgetWarning` is issued, once for each limit; `None` issues none.
        prices: private prices: a `PriceBook`, or the path of a TOML or JSON file. Without one, the process's
            default (`token_meter.configure`, `TOKEN_METER_PRICES`, pyproject.toml), else list prices.
        on_unpriced: what to do when tokens have no price: `warn` when the cost is read; `raise` an `UnpricedModelError`
            before the call is sent; or `ignore` it. The cost is then a lower bound, and is marked as one.
        keep_calls: keep each call's record for `calls`; a number keeps the last so many.
        scope: `context`, or `process` for all calls of the process, wherever they start.
        stream_usage: add `stream_options.include_usage` to streamed requests without it, and remove the additional
            chunk from the answer, so that tokens are reported, not estimated; over httpx, aiohttp and requests.
        ledger: where each call is also written: a `Ledger`, or a directory that `token-meter report` reads; by default
            what `configure(ledger=...)`, `TOKEN_METER_LEDGER` or pyproject.toml says.

    Raises:
        ConfigError: an argument is not valid, or the price file cannot be read.
    """

    kind = METER
    is_carried = False
    """Somebody else puts it on the stack and takes it off: a decorated generator, while it runs."""

    def __init__(
        self,
        name: str | None = None,
        *,
        tags: Iterable[str] | Mapping[str, object] | None = None,
        handlers: Iterable[Any] = (),
        max_cost: Decimal | str | float | None = None,
        max_tokens: int | str | None = None,
        max_calls: int | str | None = None,
        budgets: Iterable[Budget] = (),
        on_exceed: Literal["raise", "warn"] = "raise",
        warn_at: float | None = 0.8,
        prices: PriceBook | str | os.PathLike[str] | None = None,
        on_unpriced: Literal["warn", "raise", "ignore"] = "warn",
        keep_calls: bool | int = False,
        scope: Literal["context", "process"] = "context",
        stream_usage: bool = False,
        ledger: Ledger | Sink | str | os.PathLike[str] | None = None,
    ) -> None:
        if name is not None:
            check_name(name)
        if on_unpriced != "warn":
            check_choice("on_unpriced", on_unpriced, ("warn", "raise", "ignore"))
        if scope != "context":
            check_choice("scope", scope, ("context", "process"))
        if keep_calls is not False and (not isinstance(keep_calls, int) or keep_calls < 0):
            msg = f"keep_calls must be True, or how many calls to keep at most, not {keep_calls!r}"
            raise ConfigError(msg)
        if stream_usage is not False:
            check_choice("stream_usage", stream_usage, (True, False))
        if prices is not None:
            prices = book_of(prices)  # now, so that a mistake in the file is reported before any call is paid
        super().__init__(given_book() if prices is None else prices, on_unpriced, keep_calls)
        self.name = name
        self.tags = tags_of(tags)
        self.scope = scope
        self.allows_deferral = True
        self.stream_usage = stream_usage
        self.budget: MeterBudget | None = None
        self.subscribers: tuple[Subscriber, ...] = ()
        self.sink: Sink | None = None
        self._settings = {
            "name": name, "tags": self.tags, "handlers": handlers, "prices": prices, "on_unpriced": on_unpriced,
            "keep_calls": keep_calls, "scope": scope,
            "max_cost": max_cost, "max_tokens": max_tokens, "max_calls": max_calls,
            "budgets": budgets, "on_exceed": on_exceed, "warn_at": warn_at,
            "stream_usage": stream_usage, "ledger": ledger,
        }  # fmt: skip
        if handlers != ():
            self._settings["handlers"] = self._listen(handlers)
        self.depth = 0
        self._keep_calls = keep_calls
        is_bounded = not (max_cost is max_tokens is max_calls is None) or on_unpriced == "raise"
        if is_bounded or budgets != () or on_exceed != "raise" or warn_at != 0.8:
            self._limit((max_cost, max_tokens, max_calls), budgets, on_exceed, warn_at)
        if ledger is not None or (ledger := default_ledger()) is not None:  # type: ignore[assignment]  # sink_of checks it
            from token_meter._meter.sink import sink_of

            self.sink = sink_of(ledger)
            self._settings["ledger"] = self.sink
            self.allows_deferral = False

    # The block.

    def __enter__(self) -> Meter:
        HUB.open(self)
        adopt(self)
        push(self)
        self.was_opened = True
        self._look_around()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not remove(self) and not self.is_carried and self.scope == "context":
            self._left_elsewhere()
        if HUB.close(self):
            self._look_around()
            self._read_up()
            if self.sink is not None:
                self._close_sink(self.sink)
        HUB.dispatch_late()

    async def __aenter__(self) -> Meter:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def begin_in_child(self) -> None:
        """Begin anew in a forked child: what it reports is its own. Its limits go on from where its parent's stood."""
        if self.budget is not None:
            self.budget.inherit()
        is_open = self.is_open
        super().__init__(self._book, self.on_unpriced, self._keep_calls)
        self.is_open, self._blind = is_open, None

    @property
    def own_lock(self) -> Any:
        """Held while calls are added up."""
        return self._own_lock()

    def _read_up(self) -> None:
        """Parse the bodies that a closed meter still holds, to free them. Never raises: a block must not fail here."""
        try:
            if self._inbox:
                self._fold_in_passing()
        except Exception:
            HUB.internal_error("fold")

    @staticmethod
    def _close_sink(sink: Sink) -> None:
        """Close the sink. Its failure never replaces an exception of the block."""
        try:
            sink.close()
        except Exception:
            HUB.internal_error("sink")

    def __call__(self, function: F) -> F:
        """Meter every call of *function* with a new meter of the same settings; inside, `current()` returns it."""
        from token_meter._meter.decorator import metered

        check_function(function)
        decorated: F = metered(function, self._twin)
        return decorated

    def _twin(self, name: str) -> Meter:
        """A new meter with the same settings, for one call of a decorated function."""
        return type(self)(**{**self._settings, "name": self.name or name})  # type: ignore[arg-type]  # as __init__ took them

    def _listen(self, handlers: Iterable[Any]) -> tuple[Any, ...]:
        """Prepare the handlers, and return them for the meters of a decorated function."""
        from token_meter.context.subscriber import subscribers

        self.subscribers = subscribers(handlers)
        return tuple(subscriber.handler for subscriber in self.subscribers)

    # Limits.

    def _limit(self, amounts: tuple[Any, Any, Any], budgets: Any, on_exceed: str, warn_at: Any) -> None:
        from token_meter._money import parse_share
        from token_meter.budget.amounts import parse_limits
        from token_meter.budget.limits import MeterBudget

        check_choice("on_exceed", on_exceed, ("raise", "warn"))
        limits, share = parse_limits(*amounts), parse_share(warn_at)
        if limits is not None or budgets != () or self.on_unpriced == "raise":
            self.budget = MeterBudget(self, limits or Amounts(), on_exceed, share)
        if self.budget is not None and budgets != ():
            from token_meter.budget.shared import budgets_of

            self.budget.shared = self._settings["budgets"] = budgets_of(budgets)

    @property
    def remaining(self) -> Amounts:
        """What one more call may use: `cost`, `tokens` and `calls`; `None` where this meter has no limit."""
        return self.budget.account.remaining if self.budget is not None else Amounts()

    @property
    def reserved(self) -> Amounts:
        """What calls in flight may still use of the limits: `cost`, `tokens` and `calls`."""
        return self.budget.account.reserved if self.budget is not None else Amounts(Decimal(0), 0, 0)

    def suspended(self) -> Suspension:
        """Suspend this meter's limits: `with cb.suspended(): ...`, in this context and the threads and tasks it starts.

        Calls still count and reserve.
        """
        from token_meter.budget.limits import Suspension

        return Suspension(self)

    def to_dict(self) -> dict[str, Any]:
        """The name, all sums, subtotals by model and tag, and the price source, as data for JSON."""
        still = self._told()
        return {
            "name": self.name,
            "tags": list(self.tags),
            **SubTotal(still.sums).to_dict(),
            "is_complete": self._saw_all(SubTotal(still.sums).is_complete),
            "blind_spots": [spot._asdict() for spot in self.blind_spots],
            "by_model": {name: sub.to_dict() for name, sub in still.by_model.snapshot().items()},
            "by_tag": {name: sub.to_dict() for name, sub in still.by_tag.snapshot().items()},
            "unpriced_models": still.reasons,
            "partly_priced_models": still.partial,
            "price_source": self.price_source,
        }

    def __str__(self) -> str:
        from token_meter._meter.rendering import block

        return block(self)

    def __repr__(self) -> str:
        from token_meter._meter.rendering import line

        return line(self)

    def _repr_html_(self) -> str:
        from token_meter._meter.card import card

        return card(self)
