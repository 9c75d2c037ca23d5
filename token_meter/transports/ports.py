"""What a transport tells the runtime. It knows no HTTP library and no tokens."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from typing import Any, Protocol

logger = logging.getLogger("token_meter")


class ObservedAttempt(Protocol):
    """One request on its way. Methods never raise, unless a handler asked for that with `raise_error`.

    Only the first way to end counts: `body`, `exhausted`, `closed`, `failed` or `abandoned`.
    """

    @property
    def wants_body(self) -> bool:
        """Whether bytes of the answer are of any use; known after `respond`."""

    @property
    def replacement_request(self) -> Any | None:
        """A request to send in the place of the caller's, which stays as it is."""

    @property
    def chunk_filter(self) -> Any | None:
        """What takes the answer to such a request out of the body (a `ChunkFilter`); known after `respond`."""

    @property
    def has_pending_events(self) -> bool:
        """Whether handlers wait to be told: then the seam calls `tell` or awaits `adispatch`."""

    def respond(self, status: int, content_type: str, *, streamed: bool) -> None: ...
    def body(self, data: bytes) -> None: ...
    def feed(self, chunk: bytes) -> None: ...
    def exhausted(self) -> None: ...
    def closed(self) -> None: ...
    def abandoned(self) -> None: ...
    def failed(self, error: BaseException, *, was_sent: bool) -> None: ...
    def tell(self) -> None: ...
    def adispatch(self) -> Awaitable[None]: ...


class Runtime(Protocol):
    """Who decides, at departure, whether a request is watched."""

    @property
    def is_listening(self) -> bool:
        """Whether a request outside every block is of interest too (process-wide meters, attached clients)."""

    def on_request(self, request: Any, client: Any) -> ObservedAttempt | None: ...
    def internal_error(self, where: str) -> None:
        """Called inside an `except`: count and log a failure of ours, once per place."""
