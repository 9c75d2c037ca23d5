"""The Protocols between transports and the runtime."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

from token_meter.types import Source

Key: TypeAlias = tuple[str, str, str, int | None, str]
"""Method, scheme, host, port and path (unquoted, without query) of a request."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def takes_nothing(chunk: bytes) -> bool:
    """Take no piece: `feed` must look at each (see `ObservedAttempt.takes`)."""
    return False


class OutgoingRequest(Protocol):
    """A request before it is sent, in a form that does not depend on the library."""

    @property
    def client(self) -> Any:
        """The client of the library that carries it; `None` where there is none."""

    @property
    def key(self) -> Key:
        """Its destination."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers; names are case-insensitive."""

    def body(self) -> bytes:
        """Its body, if it is in memory; for a form, its short fields as JSON."""

    def with_body(self, content: bytes) -> Any | None:
        """A copy of the request with *content* that asks for an uncompressed answer; `None` if that is impossible."""


class PlannedCall(Protocol):
    """A call of an SDK whose request is not built yet."""

    @property
    def client(self) -> Any:
        """The SDK's client."""

    @property
    def key(self) -> Key:
        """Its destination."""

    def body(self) -> bytes:
        """The body that the SDK will send; for a form, its fields."""


class ObservedAttempt(Protocol):
    """One request that was sent. Methods never raise, except for the exceptions of a handler with `raise_error`.

    The first of `body`, `exhausted`, `closed`, `failed` and `abandoned` ends the attempt; later ones do nothing.
    """

    stand_in: Source | None
    """The source of the answer if it is not a server: a replay or a mock. Set before `respond`, where it is shown."""

    @property
    def is_local(self) -> bool:
        """Whether the request goes to this machine, where a simulator may serve."""

    @property
    def is_shown(self) -> bool:
        """Whether somebody sees the call by itself, and with it the source of its answer."""

    @property
    def wants_body(self) -> bool:
        """Whether the attempt reads the bytes of the answer; known after `respond`."""

    @property
    def replacement_request(self) -> Any | None:
        """A request to send instead of the caller's, which is not changed; `None` for the caller's own."""

    @property
    def chunk_filter(self) -> Any | None:
        """Removes from the body what only a replacement request asked for (a `ChunkFilter`); known after `respond`."""

    @property
    def has_pending_events(self) -> bool:
        """Whether events wait for handlers; then the transport calls `dispatch` or awaits `adispatch`."""

    def respond(
        self, status: int, content_type: str, *, streamed: bool, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        """Status and headers of the answer have arrived; *headers* takes names in any case."""

    def body(self, data: bytes) -> None:
        """The whole body has arrived; *data* is decoded."""

    @property
    def takes(self) -> Callable[[bytes], bool]:
        """Keeps an ordinary piece of the body, decoded; returns False for one that must go to `feed`.

        Each call of `feed` may replace it.
        """

    def feed(self, chunk: bytes) -> None:
        """A chunk of the body has arrived; it is decoded."""

    def exhausted(self) -> None:
        """The body has been read to its end."""

    def closed(self) -> None:
        """The reader has closed the answer, at its end or before."""

    def abandoned(self) -> None:
        """The garbage collector has found the answer dropped without `close`."""

    def failed(self, error: BaseException, *, was_sent: bool) -> None:
        """The attempt, or the reading of its answer, ended with an exception."""

    def dispatch(self) -> None:
        """Call the handlers in the caller's thread."""

    def adispatch(self) -> Awaitable[None]:
        """Call the handlers in the caller's task."""


class Runtime(Protocol):
    """Decides for each request whether it is observed."""

    @property
    def is_listening(self) -> bool:
        """Whether requests outside of all blocks are observed too (process-wide meters, attached clients)."""

    def slow_part(self, request: OutgoingRequest) -> Callable[[], object] | None:
        """What takes its time before `on_request`, to be done in another thread; `None` when nothing does."""

    def on_request(self, request: OutgoingRequest) -> ObservedAttempt | None:
        """Observe a request before it is sent. `None` when no meter counts it. Raises only a budget's refusal."""

    def internal_error(self, where: str) -> None:
        """Called in an `except`: count our failure, and log it once for each *where*."""


class Ticket(Protocol):
    """One logical call between the gate and its return; stands in the context variable meanwhile.

    Attributes:
        deferred: the exception to raise instead of the answer, once the SDK is done with the call.
        was_seen: a seam saw a request of the call.
    """

    deferred: BaseException | None
    was_seen: bool

    def ask(self) -> None:
        """Ask the stores of budgets for the call. Raises only a refusal."""

    def aask(self) -> Awaitable[None]:
        """The same, awaited."""

    def leave(self) -> None:
        """The call returned, or raised: tell the stores of budgets. Never raises."""

    def aleave(self) -> Awaitable[None]:
        """The same, awaited."""


class Admission(Protocol):
    """Who decides whether a call may leave."""

    def concerns(self, stack: tuple[Any, ...], *, counts_attempts: bool = False) -> bool:
        """Whether a call that starts with this stack is limited, told of, or may miss the seam. Never raises.

        If the gate *counts_attempts*, so does one whose attempts are kept one by one.
        """

    def slow_part(self, request: PlannedCall) -> Callable[[], Any] | None:
        """What takes its time before `enter`; `None` when nothing does. Never raises, and nor does what it returns."""

    def enter(self, call: PlannedCall, forecast: Any = None) -> Ticket:
        """Let a call in, or raise the refusal and nothing else. *forecast* is what the slow part returned."""


class GateRow(Protocol):
    """Where an SDK's calls pass once, outside of its retries (see `providers.Gate`)."""

    @property
    def module(self) -> str:
        """The full name of the module that holds the classes."""

    @property
    def sync_class(self) -> str | None:
        """The class whose method is a plain function."""

    @property
    def async_class(self) -> str | None:
        """The class whose method is a coroutine function."""

    @property
    def method(self) -> str:
        """The method that is one logical call."""

    @property
    def read(self) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], PlannedCall]:
        """Reads where a call goes, and its body."""

    @property
    def counts_attempts(self) -> bool:
        """Whether the requests of a call carry no number of their attempt."""

    @property
    def again(self) -> str:
        """The argument by which the method calls itself for a retry."""

    @property
    def has_stubs(self) -> bool:
        """Whether an answer may come without a request."""


class RpcRow(Protocol):
    """Some methods of a gRPC service that run models (see `providers.rpc.Rpc`)."""

    @property
    def method(self) -> str:
        """A pattern of their full names."""

    @property
    def host(self) -> str:
        """The provider's host."""

    @property
    def host_of(self) -> Callable[[Any, Any], str] | None:
        """The host of one call, where the provider has several."""

    @property
    def path(self) -> Callable[[Any, Any], str] | None:
        """The path of the same call over HTTP; `None` where it cannot be read."""

    @property
    def request(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Makes the JSON of a request."""

    @property
    def answer(self) -> Callable[[dict[str, Any]], dict[str, Any]]:
        """Makes the JSON of an answer."""

    @property
    def keeps_names(self) -> bool:
        """JSON keeps the names of fields as they are declared."""

    def unread(self) -> RpcRow:
        """The same methods, where a request is no message."""
