"""What the rooms of a call know of the attempt that they serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.ports import Recipient
    from token_meter.context.scope import CallScope
    from token_meter.events.dispatcher import EventDispatcher
    from token_meter.transports.ports import OutgoingRequest
    from token_meter.types import Reading, Source, Usage
    from token_meter.wire import RequestInfo, StreamReader


class BackgroundAttempt(Protocol):
    """An attempt whose end a later request shows."""

    endpoint: Endpoint

    @property
    def has_pending_events(self) -> bool:
        """Whether handlers wait to be told."""

    def resume(self, reading: Reading) -> None:
        """Its end was seen."""

    def expire(self) -> None:
        """Wait no longer for its end."""

    @property
    def meters(self) -> tuple[Recipient, ...]:
        """The meters that count it."""

    def dismiss(self) -> None:
        """Forget it, as if it had not been sent."""

    def dispatch(self) -> None:
        """Tell handlers what happened, in the caller's thread."""

    async def adispatch(self) -> None:
        """Tell handlers what happened, in the caller's task."""


class EndedAttempt(Protocol):
    """An attempt that has ended, as its record reads it."""

    endpoint: Endpoint
    call_scope: CallScope
    events_out: EventDispatcher | None
    inner: list[tuple[str | None, Usage | None]] | None
    is_replay: bool
    stand_in: Source | None
    wants_body: bool
    _body: bytes | None
    _ended: float | None
    _first_token_s: float | None
    _id: str | None
    _is_ok: bool
    _reader: StreamReader | None
    _request: OutgoingRequest | None
    _started_s: float
    _status: int | None
    _streamed: bool
    _t0: float

    @property
    def attempt(self) -> int:
        """Which try of the SDK it was."""

    @property
    def is_local(self) -> bool:
        """Whether this machine was asked."""

    @property
    def is_shown(self) -> bool:
        """Whether somebody sees the call by itself."""

    @property
    def meters(self) -> tuple[Recipient, ...]:
        """The meters that count it."""

    def request_says(self) -> RequestInfo:
        """What its request asked for."""

    def request_body(self) -> bytes:
        """The request body."""
