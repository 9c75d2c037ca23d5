"""Takes pieces out of a body that somebody else reads; what stays is passed on byte for byte. It knows no tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any, Protocol


class ChunkFilter(Protocol):
    """Decides what of a body goes on. It may hold bytes back until it knows; state lasts over two iterations."""

    def filter_chunk(self, chunk: bytes) -> bytes: ...
    def rest(self) -> bytes:
        """What is still held back, at the end of the body."""


class DecodingFilter:
    """Filters a compressed body; what goes on is plain. httpx's decoders give bytes, httpx2's an iterator of bytes."""

    def __init__(self, chunk_filter: ChunkFilter, decoder: Any) -> None:
        self._filter = chunk_filter
        self._decoder = decoder

    def filter_chunk(self, chunk: bytes) -> bytes:
        return b"" if self._decoder is None else self._filter.filter_chunk(_joined(self._decoder.decode(chunk)))

    def rest(self) -> bytes:
        decoder, self._decoder = self._decoder, None  # an answer may be iterated again, to its end
        last = b"" if decoder is None else self._filter.filter_chunk(_joined(decoder.flush()))
        return last + self._filter.rest()


def _joined(found: Any) -> bytes:
    return found if isinstance(found, bytes) else b"".join(found)


class FilteredStreams:
    """Makes the filtered streams of one HTTP library: its answers only accept subclasses of its own stream classes."""

    def __init__(self, module: ModuleType) -> None:
        self._sync = type("SyncFiltered", (_SyncFiltered, module.SyncByteStream), {})
        self._async = type("AsyncFiltered", (_AsyncFiltered, module.AsyncByteStream), {})

    def wrap(self, stream: Any, chunk_filter: ChunkFilter, *, is_async: bool) -> Any:
        """*stream* without what *chunk_filter* takes out."""
        return (self._async if is_async else self._sync)(stream, chunk_filter)


class _FilteredStream:
    def __init__(self, inner: Any, chunk_filter: ChunkFilter) -> None:
        self._inner = inner
        self._filter = chunk_filter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _SyncFiltered(_FilteredStream):
    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            kept = self._filter.filter_chunk(chunk)
            if kept:
                yield kept
        rest = self._filter.rest()
        if rest:
            yield rest

    def close(self) -> None:
        self._inner.close()


class _AsyncFiltered(_FilteredStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._inner.__aiter__()
        try:
            async for chunk in stream:
                kept = self._filter.filter_chunk(chunk)
                if kept:
                    yield kept
            rest = self._filter.rest()
            if rest:
                yield rest
        finally:
            await stream.aclose()

    async def aclose(self) -> None:
        await self._inner.aclose()
