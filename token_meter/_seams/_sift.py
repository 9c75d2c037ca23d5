"""Takes pieces out of a body that somebody else reads; what stays is passed on byte for byte. It knows no tokens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any, Protocol


class Sieve(Protocol):
    """Decides what of a body goes on. It may hold bytes back until it knows; state lasts over two iterations."""

    def sift(self, chunk: bytes) -> bytes: ...
    def rest(self) -> bytes:
        """What is still held back, at the end of the body."""


class DecodingSieve:
    """Sifts a compressed body; what goes on is plain. httpx's decoders give bytes, httpx2's an iterator of bytes."""

    def __init__(self, sieve: Sieve, decoder: Any) -> None:
        self._sieve = sieve
        self._decoder = decoder

    def sift(self, chunk: bytes) -> bytes:
        return b"" if self._decoder is None else self._sieve.sift(_joined(self._decoder.decode(chunk)))

    def rest(self) -> bytes:
        decoder, self._decoder = self._decoder, None  # an answer may be iterated again, to its end
        last = b"" if decoder is None else self._sieve.sift(_joined(decoder.flush()))
        return last + self._sieve.rest()


def _joined(found: Any) -> bytes:
    return found if isinstance(found, bytes) else b"".join(found)


class Sifts:
    """Makes the sieved streams of one HTTP library: its answers only accept subclasses of its own stream classes."""

    def __init__(self, module: ModuleType) -> None:
        self._sync = type("SyncSift", (_SyncSift, module.SyncByteStream), {})
        self._async = type("AsyncSift", (_AsyncSift, module.AsyncByteStream), {})

    def wrap(self, stream: Any, sieve: Sieve, *, is_async: bool) -> Any:
        """*stream* without what *sieve* takes out."""
        return (self._async if is_async else self._sync)(stream, sieve)


class _Sift:
    def __init__(self, inner: Any, sieve: Sieve) -> None:
        self._inner = inner
        self._sieve = sieve

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _SyncSift(_Sift):
    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            kept = self._sieve.sift(chunk)
            if kept:
                yield kept
        rest = self._sieve.rest()
        if rest:
            yield rest

    def close(self) -> None:
        self._inner.close()


class _AsyncSift(_Sift):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        stream = self._inner.__aiter__()
        try:
            async for chunk in stream:
                kept = self._sieve.sift(chunk)
                if kept:
                    yield kept
            rest = self._sieve.rest()
            if rest:
                yield rest
        finally:
            await stream.aclose()

    async def aclose(self) -> None:
        await self._inner.aclose()
