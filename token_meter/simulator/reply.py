"""What a route hands to the sender: one answer in every form it may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from token_meter.simulator.sse import Event
from token_meter.types import Usage


class RefusedError(Exception):
    """The request is wrong in a way that the real provider answers with *status*."""

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
        usage: what is billed when all of it is sent; `None` when nothing is billed.
        json: makes the JSON body; `None` when the API has none.
        events: makes the stream; `None` when the API has none.
        usage_after: what is billed when the client left after it was sent these texts (choice to text).
        streamed: a stream was asked for.
        tier: the service tier that served it.
        reports_usage: the answer carries usage.
        binary: the body when it is neither JSON nor a stream, with its media type.
        on_billed: called with the number of the entry when it was opened.
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
