"""What a transport tells the runtime, and what it is told. It knows no HTTP library and no tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

from token_meter.types import Source

Key: TypeAlias = tuple[str, str, str, int | None, str]
"""Method, scheme, host, port and path (unquoted, without query) of a request."""


def takes_nothing(chunk: bytes) -> bool:
    """Take no piece: `feed` must look at each (see `ObservedAttempt.takes`)."""
    return False


class OutgoingRequest(Protocol):
    """A request that is about to leave, whichever library carries it."""

    @property
    def client(self) -> Any:
        """The client of the library that carries it; `None` where there is none."""

    @property
    def key(self) -> Key:
        """Where it goes."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers; names in any case."""

    def body(self) -> bytes:
        """Its body, as far as it is in memory; of a form, its short fields as JSON."""

    def with_body(self, content: bytes) -> Any | None:
        """A copy of the library's request with *content*, which asks for a plain answer; `None` where none can be."""


class PlannedCall(Protocol):
    """A call that an SDK has been asked for, and that is no request yet."""

    @property
    def client(self) -> Any:
        """The SDK's client."""

    @property
    def key(self) -> Key:
        """Where it will go."""

    def body(self) -> bytes:
        """The body that the SDK will send; of a form, its fields."""


class ObservedAttempt(Protocol):
    """One request on its way. Methods never raise, unless a handler asked for that with `raise_error`.

    Only the first way to end counts: `body`, `exhausted`, `closed`, `failed` or `abandoned`.
    """

    stand_in: Source | None
    """What answered instead of a server; set before `respond`."""

    @property
    def is_local(self) -> bool:
        """Whether the request goes to this machine, where a simulator may serve."""

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
        """Whether handlers wait to be told: then the transport calls `dispatch` or awaits `adispatch`."""

    def respond(self, status: int, content_type: str, *, streamed: bool) -> None:
        """The head of an answer is there."""

    def body(self, data: bytes) -> None:
        """The whole body is there, decoded."""

    @property
    def takes(self) -> Callable[[bytes], bool]:
        """Keeps an ordinary piece of the body, decoded; returns False for one that must go to `feed`.

        Each call of `feed` may replace it.
        """

    def feed(self, chunk: bytes) -> None:
        """A piece of the body passes, decoded."""

    def exhausted(self) -> None:
        """The body came to its end."""

    def closed(self) -> None:
        """The reader closed the answer, at its end or before."""

    def abandoned(self) -> None:
        """The answer was dropped without being closed (told by the garbage collector)."""

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """The attempt, or the reading of its answer, ended with an exception."""

    def dispatch(self) -> None:
        """Tell handlers what happened, in the caller's thread."""

    def adispatch(self) -> Awaitable[None]:
        """Tell handlers what happened, in the caller's task."""


class Runtime(Protocol):
    """Who decides, when a request is about to leave, whether it is observed."""

    @property
    def is_listening(self) -> bool:
        """Whether a request outside every block is of interest too (process-wide meters, attached clients)."""

    def on_request(self, request: OutgoingRequest) -> ObservedAttempt | None:
        """A request is about to leave; `None` when it concerns no meter. Raises only a budget's refusal."""

    def internal_error(self, where: str) -> None:
        """Called inside an `except`: count and log a failure of ours, once a place."""
