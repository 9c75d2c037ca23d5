"""Takes pieces out of a body that somebody else reads; what stays is passed on byte for byte. It knows no tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any, Protocol

from token_meter.transports.httpx_decoding import pieces, rest


class ChunkFilter(Protocol):
    """Decides what of a body goes on. It may hold bytes back until it knows; state lasts over two iterations."""

    def filter_chunk(self, chunk: bytes) -> bytes: ...
    def rest(self) -> bytes:
        """What is still held back, at the end of the body."""


class FilteredStreams:
    """Makes the filtered streams of one HTTP library: its answers only accept subclasses of its own stream classes."""

    def __init__(self, module: ModuleType) -> None:
        self._sync = type("SyncFiltered", (_SyncFiltered, module.SyncByteStream), {})
        self._async = type("AsyncFiltered", (_AsyncFiltered, module.AsyncByteStream), {})

    def wrap(self, stream: Any, chunk_filter: ChunkFilter, decoder: Any = None, *, is_async: bool) -> Any:
        """*stream* without what *chunk_filter* takes out; a compressed one, which has a *decoder*, goes on plain."""
        return (self._async if is_async else self._sync)(stream, chunk_filter, decoder)


class _FilteredStream:
    def __init__(self, inner: Any, chunk_filter: ChunkFilter, decoder: Any) -> None:
        self._inner = inner
        self._filter = chunk_filter
        self._decoder = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def _kept(self, chunk: bytes) -> Iterator[bytes]:
        for piece in (chunk,) if self._decoder is None else pieces(self._decoder, chunk):
            if kept := self._filter.filter_chunk(piece):
                yield kept

    def _rest(self) -> Iterator[bytes]:
        last = b""
        if self._decoder is not None:
            last = self._filter.filter_chunk(rest(self._decoder))
            self._decoder = _Spent()  # an answer may be iterated again, to its end
        if left := last + self._filter.rest():
            yield left


class _Spent:
    """A decoder whose body is over."""

    @staticmethod
    def decode(_: bytes) -> Iterator[bytes]:
        yield from ()

    @staticmethod
    def flush() -> bytes:
        return b""


class _SyncFiltered(_FilteredStream):
    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            yield from self._kept(chunk)
        yield from self._rest()

    def close(self) -> None:
        self._inner.close()


class _AsyncFiltered(_FilteredStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._inner.__aiter__()
        try:
            async for chunk in stream:
                for kept in self._kept(chunk):
                    yield kept
            for left in self._rest():
                yield left
        finally:
            await stream.aclose()

    async def aclose(self) -> None:
        await self._inner.aclose()
