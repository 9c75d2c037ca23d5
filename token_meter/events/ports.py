"""What the telling of events knows of the attempt that it tells of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.ports import Recipient
    from token_meter.wire import RequestInfo


class ToldAttempt(Protocol):
    """The attempt whose events are told, as far as it matters here."""

    @property
    def endpoint(self) -> Endpoint:
        """Where it goes."""

    @property
    def meters(self) -> tuple[Recipient, ...]:
        """The meters that count it."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Their labels."""

    def request_says(self) -> RequestInfo:
        """What its request asked for."""

    def request_body(self) -> bytes:
        """The request body; empty after the call ended."""

    def dismiss(self) -> None:
        """Forget a call that was never sent."""

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """The attempt ended with an exception."""
