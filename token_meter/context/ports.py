"""Protocols by which lower packages use upper ones: a meter, its sink, its limits, and work that ends later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from token_meter.blind_spots import BlindSpot
    from token_meter.context.subscriber import Subscriber
    from token_meter.types import Call, Price


class Sink(Protocol):
    """Receives every single call, as a ledger does: `meter(ledger=sink)`.

    Methods run in the caller's thread and must be quick. An exception that one raises is counted as an internal error
    and does not reach the caller.
    A sink may also have `on_blind_spot(spot)`: it gets each `BlindSpot` of its meter, once.
    """

    def on_start(self, id: str, model: str | None) -> Any:
        """A call starts; the return value is passed to `on_end` as *token*."""

    def on_end(self, call: Call, token: Any) -> None:
        """The call ended; *token* is what `on_start` returned."""

    def on_discard(self, id: str) -> None:
        """A started call is not counted, because a handler refused it or an inner request is counted instead."""

    def on_refused(self, field: str) -> None:
        """A call was refused: it could exceed a limit (`cost`, `tokens`, `calls`), or it has no known `price`."""

    def close(self) -> None:
        """The meter closed."""


class WaitingEstimate(Protocol):
    """An ended call whose tokens are estimated when a number is read."""

    def resolve(self) -> Call:
        """Make the estimate, once."""


class UnreadCall(Protocol):
    """An ended call whose answer is parsed when a number is read."""

    def settle(self) -> Call | WaitingEstimate:
        """Read the answer, once."""


class Limits(Protocol):
    """The limits of one meter (see `budget`)."""

    @property
    def needs_tokens(self) -> bool:
        """Whether these limits depend on the tokens of a call."""


class Sums(Protocol):
    """The sums of a meter."""

    @property
    def cost(self) -> Decimal:
        """US dollars of the calls that have a price."""

    @property
    def total_tokens(self) -> int:
        """Tokens of all calls."""

    @property
    def unpriced_calls(self) -> int:
        """Calls without a price."""

    @property
    def partly_priced_calls(self) -> int:
        """Calls of whose price a part is known."""

    @property
    def unmeasured_calls(self) -> int:
        """Calls whose tokens are not known."""

    @property
    def estimated_calls(self) -> int:
        """Calls whose tokens are an estimate."""


class Recipient(Protocol):
    """A meter as a call sees it."""

    name: str | None
    tags: tuple[str, ...]
    scope: Literal["context", "process"]
    depth: int
    is_open: bool
    keeps_calls: bool
    names_asked: bool
    allows_deferral: bool
    stream_usage: bool
    is_quiet: bool
    on_unpriced: Literal["warn", "raise", "ignore"]
    subscribers: tuple[Subscriber, ...]
    sink: Sink | None

    @property
    def kind(self) -> int:
        """`METER`."""

    @property
    def budget(self) -> Limits | None:
        """Its limits, if it has any."""

    @property
    def total_tokens(self) -> int:
        """Tokens of the calls that have ended."""

    def priced_sums(self) -> Sums:
        """The sums of the calls that have ended, priced."""

    def add(self, call: Call | WaitingEstimate | UnreadCall) -> None:
        """Count a call that has ended."""

    def opened_stream(self) -> None:
        """Count a stream that is open."""

    def closed_stream(self) -> None:
        """Count one open stream less."""

    def count_late_call(self) -> None:
        """Count a call that started after this meter had closed."""

    @property
    def own_lock(self) -> Any:
        """Held while calls are added up."""

    def begin_in_child(self) -> None:
        """Begin anew in a forked child."""

    def note_blind_spot(self, spot: BlindSpot, *, once: bool = True) -> None:
        """Note what this meter cannot see, and say so."""

    def sums_now(self, *, priced: bool) -> Sums | None:
        """The current sums, for a caller that holds a lock; `None` where a price book has to be asked first."""

    def knows_host(self, base_url: str) -> bool:
        """Whether this meter's own price book maps *base_url* to a provider."""

    def price_of(self, call: Call) -> Price:
        """What a call costs by this meter's price book."""

    def slow_part(self, call: Call) -> Callable[[], object] | None:
        """What has to be loaded before *call* has a price; `None`: nothing."""

    def is_far_behind(self, *, priced: bool) -> bool:
        """Whether a reader of its sums would hold up an event loop."""

    @property
    def is_asking(self) -> bool:
        """Whether this thread asks its price book just now."""

    def catch_up(self) -> None:
        """Do what a reader would wait for."""

    def priced(self, call: Call) -> Call:
        """A call with its price by this meter's price book."""
