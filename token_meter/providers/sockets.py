"""What a provider says about the messages of its websockets, and what it is asked.

A websocket carries many calls, so a provider's `SocketDialect` reads each message and tells the `SocketCalls` of the
connection which call the message belongs to. The dialect keeps what the session says (its model), the connection keeps
the calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from token_meter.transports.ports import ObservedAttempt


class SocketPlace(NamedTuple):
    """Where a connection leads.

    Attributes:
        api: the name of the api that the path belongs to.
        path: the whole path.
        prefix: what stands before the api's part of the path.
        query: the query, which may name the model. It may also hold a key, so a dialect must not keep it.
    """

    api: str
    path: str
    prefix: str
    query: str


class SocketRequest(NamedTuple):
    """A call over a websocket as a request of its own: by it the call is routed, forecast and limited.

    Attributes:
        method: `SOCKET`, or the method of the HTTP api that the call belongs to.
        path: the path.
        content: the body that an HTTP request for the same answer would have.
    """

    method: str
    path: str
    content: bytes


class SocketCommand(NamedTuple):
    """A message of the client that asks for an answer.

    Attributes:
        request: the call as a request of its own.
        lane: which of several conversations on the connection it belongs to.
        id: the name that the client gave it; a refusal may repeat that name.
        joins: while another command waits on the lane, both ask for the same answer.
    """

    request: SocketRequest
    lane: str | None = None
    id: str | None = None
    joins: bool = False


class SocketCalls(Protocol):
    """The calls of one connection. Each method returns the call that the message belongs to, if a meter counts it.

    An *event* is the message in the framing that the api's `Format` reads.
    """

    def began(self, name: str, lane: str | None, event: bytes) -> ObservedAttempt | None:
        """The answer *name* began: to the first command that waits on its lane, or to none."""

    def running(self, place: Callable[[], tuple[str, str | None]]) -> ObservedAttempt | None:
        """The call whose answer runs at *place*, its name and lane; *place* is asked only when several answers run."""

    def running_on(self, lane: str | None) -> ObservedAttempt | None:
        """The call whose answer runs on *lane*."""

    def ended(self, name: str, lane: str | None, event: bytes) -> ObservedAttempt | None:
        """The answer *name* ended. It may have begun unseen."""

    def refused(self, is_meant: Callable[[SocketCommand], bool], status: int, body: bytes) -> ObservedAttempt | None:
        """The first command that waits and *is_meant* gets an error instead of an answer."""

    def beside(
        self, name: str | None, request: SocketRequest, event: bytes | None, *, is_over: bool
    ) -> ObservedAttempt | None:
        """A call that runs beside the answers (a session, a transcription) begins, goes on or is over.

        The first message with a *name* begins the call, and what comes after its end is no other call. A call without
        a name consists of one message.
        """


class SocketDialect(Protocol):
    """What the messages of one connection mean. Its methods may raise; the connection catches that."""

    def command(self, data: Any) -> SocketCommand | None:
        """What the client asks for with *data* (text, bytes, a mapping or an SDK's model); `None` when nothing."""

    def received(self, calls: SocketCalls, message: bytes) -> ObservedAttempt | None:
        """Tell *calls* what a message of the server means."""

    def unasked(self) -> SocketRequest:
        """The call that an answer belongs to when no command asked for it."""
