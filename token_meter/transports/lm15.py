"""DSPy's own HTTP over plain sockets: its requests and answers, as the runtime reads them. It knows no tokens.

An answer has its body in `_chunks`, and gives its connection back by `_release` (DSPy 3.4, 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from token_meter.transports.ports import Key, ObservedAttempt


class Lm15Request:
    """The argument of `stream(request)`."""

    __slots__ = ("_request", "client", "key")

    def __init__(self, transport: Any, request: Any) -> None:
        url = urlsplit(request.url)
        self.client = transport
        self.key: Key = request.method.upper(), url.scheme, url.hostname or "", url.port, unquote(url.path)
        self._request = request

    @property
    def headers(self) -> Mapping[str, str]:
        """Its headers, by names in lower case."""
        return {name.lower(): value for name, value in getattr(self._request, "headers", ())}

    def body(self) -> bytes:
        """Its bytes, which are in memory."""
        return getattr(self._request, "body", b"") or b""

    def with_body(self, content: bytes) -> Any | None:
        """None can be made."""
        return None


def request_of(transport: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Lm15Request:
    """The request that a call of `stream` sends."""
    return Lm15Request(transport, args[0] if args else kwargs["request"])


def listen(attempt: ObservedAttempt, answer: Any) -> bool:
    """Show the body of *answer* to the attempt as it is read; `False` where the answer has another shape."""
    chunks, release = getattr(answer, "_chunks", None), getattr(answer, "_release", None)
    headers = {name.lower(): value for name, value in getattr(answer, "headers", ())}
    if chunks is None or release is None or headers.get("content-encoding", "identity") != "identity":
        return False
    attempt.respond(answer.status, headers.get("content-type", ""), streamed=True, headers=headers)
    tap = (_AsyncTap if hasattr(chunks, "__anext__") else _Tap)(attempt, chunks)
    answer._chunks, answer._release = tap, tap.releasing(release)
    return True


class _Listener:
    """What both colours of a tap do. It belongs to the answer, and goes with it."""

    def __init__(self, attempt: ObservedAttempt, chunks: Any) -> None:
        self._attempt = attempt
        self._chunks = chunks

    def __del__(self) -> None:
        self._attempt.abandoned()

    def _show(self, chunk: bytes) -> None:
        if chunk and self._attempt.wants_body and not self._attempt.takes(chunk):
            self._attempt.feed(chunk)


class _Tap(_Listener):
    """The body of an answer that is read in a thread."""

    def __iter__(self) -> _Tap:
        return self

    def __next__(self) -> bytes:
        try:
            chunk: bytes = next(self._chunks)
        except StopIteration:
            self._attempt.exhausted()
            self._dispatch()
            raise
        except BaseException as error:
            self._attempt.failed(error, was_sent=True)
            self._dispatch()
            raise
        self._show(chunk)
        self._dispatch()
        return chunk

    def releasing(self, release: Callable[[bool], Any]) -> Callable[[bool], Any]:
        """What gives the connection back, and tells that the answer was closed."""

        def give_back(body_consumed: bool) -> Any:
            try:
                return release(body_consumed)
            finally:
                self._attempt.closed()
                self._dispatch()

        return give_back

    def _dispatch(self) -> None:
        if self._attempt.has_pending_events:
            self._attempt.dispatch()


class _AsyncTap(_Listener):
    """The body of an answer that is read in a task."""

    def __aiter__(self) -> _AsyncTap:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk: bytes = await anext(self._chunks)
        except StopAsyncIteration:
            self._attempt.exhausted()
            await self._adispatch()
            raise
        except BaseException as error:
            self._attempt.failed(error, was_sent=True)
            await self._adispatch()
            raise
        self._show(chunk)
        await self._adispatch()
        return chunk

    def releasing(self, release: Callable[[bool], Any]) -> Callable[[bool], Any]:
        """What gives the connection back, and tells that the answer was closed."""

        async def give_back(body_consumed: bool) -> Any:
            try:
                return await release(body_consumed)
            finally:
                self._attempt.closed()
                await self._adispatch()

        return give_back

    async def _adispatch(self) -> None:
        if self._attempt.has_pending_events:
            await self._attempt.adispatch()
