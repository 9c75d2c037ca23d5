"""The Protocol of an attempt as the dispatcher of its events uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from token_meter.context.endpoint import Endpoint
    from token_meter.context.ports import Recipient
    from token_meter.wire import RequestInfo


class ToldAttempt(Protocol):
    """The attempt whose events are dispatched."""

    @property
    def endpoint(self) -> Endpoint:
        """Its endpoint."""

    @property
    def meters(self) -> tuple[Recipient, ...]:
        """The meters that count it."""

    @property
    def tags(self) -> tuple[str, ...]:
        """Their labels."""

    def request_says(self) -> RequestInfo:
        """The options of its request."""

    def request_body(self) -> bytes:
        """The request body; empty after the call ended."""

    def dismiss(self) -> None:
        """Discard a call that was never sent."""

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """End the attempt with an exception."""
