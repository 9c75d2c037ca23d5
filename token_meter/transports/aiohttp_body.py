"""Listens to a body of aiohttp that somebody else reads: same pieces, no read ahead. It knows no tokens."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from token_meter.transports.ports import ObservedAttempt, takes_nothing


class ContentTap:
    """Stands in for `response.content`, and passes as an object of its class.

    The parser keeps the reader itself, and feeds it. All but reading, and the news that the answer was closed, is the
    reader's own business.
    """

    def __init__(
        self,
        inner: Any,
        attempt: ObservedAttempt,
        decode: Callable[[bytes], Iterator[bytes]] | None,
        *,
        may_be_whole: bool,
    ) -> None:
        self._inner = inner
        self._decode = decode  # of a body that reaches its reader compressed
        self._may_be_whole = may_be_whole  # where the first piece is also the last
        self._at_eof: Callable[[], bool] = inner.at_eof  # one that has none gets no tap
        self._attempt = attempt
        self._takes: Callable[[bytes], bool] = takes_nothing
        self._was_cancelled = False

    @property  # type: ignore[misc]  # what `isinstance` asks second
    def __class__(self) -> type:
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __repr__(self) -> str:
        return repr(self._inner)

    def __del__(self) -> None:
        self._attempt.abandoned()

    # Reading.

    async def read(self, *args: Any, **kwargs: Any) -> Any:
        return await self._seen(self._inner.read(*args, **kwargs))

    async def readany(self) -> Any:
        return await self._seen(self._inner.readany())

    async def readexactly(self, *args: Any, **kwargs: Any) -> Any:
        return await self._seen(self._inner.readexactly(*args, **kwargs))

    async def readline(self, *args: Any, **kwargs: Any) -> Any:
        return await self._seen(self._inner.readline(*args, **kwargs))

    async def readuntil(self, *args: Any, **kwargs: Any) -> Any:
        return await self._seen(self._inner.readuntil(*args, **kwargs))

    async def readchunk(self) -> Any:
        return await self._seen(self._inner.readchunk())

    def read_nowait(self, *args: Any, **kwargs: Any) -> Any:
        data = self._inner.read_nowait(*args, **kwargs)
        self._feed(data)
        return data

    # The iterators call back the methods above.

    def __aiter__(self) -> Any:
        return type(self._inner).__aiter__(self)

    def iter_any(self) -> Any:
        return type(self._inner).iter_any(self)

    def iter_chunked(self, *args: Any, **kwargs: Any) -> Any:
        return type(self._inner).iter_chunked(self, *args, **kwargs)

    def iter_chunks(self) -> Any:
        return type(self._inner).iter_chunks(self)

    def set_exception(self, *args: Any, **kwargs: Any) -> None:
        """The answer was closed: that is how it lets its reader know."""
        try:
            self._inner.set_exception(*args, **kwargs)
        finally:
            attempt = self._attempt
            if self._was_cancelled:
                attempt.failed(CancelledError(), was_sent=True)
            else:
                attempt.closed()
            if attempt.has_pending_events:
                attempt.dispatch()

    async def _seen(self, reading: Awaitable[Any]) -> Any:
        """What was read, shown to the attempt."""
        attempt = self._attempt
        try:
            found = await reading
        except CancelledError:
            self._was_cancelled = True  # not the end: who waits with a timeout may read on
            raise
        except BaseException as error:
            attempt.failed(error, was_sent=True)
            if attempt.has_pending_events:
                await attempt.adispatch()
            raise
        self._feed(found[0] if isinstance(found, tuple) else found)
        if attempt.has_pending_events:
            await attempt.adispatch()
        return found

    def _feed(self, data: bytes) -> None:
        attempt = self._attempt
        self._was_cancelled = False
        is_end, may_be_whole, self._may_be_whole = self._at_eof(), self._may_be_whole, False
        if self._decode is not None:
            data = self._plain(data, self._decode)
        if is_end and may_be_whole:
            attempt.body(data)
            return
        if data and attempt.wants_body and not self._takes(data):
            attempt.feed(data)
            self._takes = attempt.takes
        if is_end:
            attempt.exhausted()

    def _plain(self, data: bytes, decode: Callable[[bytes], Iterator[bytes]]) -> bytes:
        try:
            return b"".join(decode(data))
        except Exception:
            self._decode = _nothing  # what we cannot decode the reader cannot either
            return b""


def _nothing(_: bytes) -> Iterator[bytes]:
    return iter(())
