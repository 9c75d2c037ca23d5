"""The reply of a route: one answer in all forms in which it can be sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from token_meter.simulator.sse import Event
from token_meter.types import Usage


class RefusedError(Exception):
    """A request that the real provider would answer with the error *status*."""

    def __init__(self, message: str, status: int = 400, kind: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind

    def body(self) -> dict[str, Any]:
        """The error body."""
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": None}}


@dataclass(slots=True)
class Reply:
    """One answer.

    Attributes:
        api: the API.
        id: the response id.
        model: the model that served it.
        usage: the usage that is billed for the whole answer; `None` if nothing is billed.
        json: makes the JSON body; `None` if the API has none.
        events: makes the stream; `None` if the API has none.
        usage_after: the usage that is billed if the client leaves after these texts (by choice).
        streamed: the request asks for a stream.
        tier: the service tier that served it.
        reports_usage: the answer has a usage.
        binary: the body if it is neither JSON nor a stream, with its media type.
        on_billed: called with the number of the new entry.
        amends: fields of that older entry that change with this answer.
        delivers: the number of an older entry whose usage this answer delivers (a background response).
    """

    api: str
    id: str
    model: str
    usage: Usage | None
    json: Callable[[], dict[str, Any]] | None = None
    events: Callable[[], list[Event]] | None = None
    usage_after: Callable[[dict[int, str]], Usage] | None = None
    streamed: bool = False
    tier: str | None = None
    reports_usage: bool = True
    binary: tuple[bytes, str] | None = None
    on_billed: Callable[[int], None] | None = None
    delivers: int | None = None
    amends: dict[str, Any] | None = None
