"""Decompresses for our own use what a library hands on compressed, by the standard library. It knows no tokens."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from token_meter.transports.httpx_decoding import BoundedDecoder

_PIECE = 512 * 1024
_RAW_OR_WRAPPED = zlib.MAX_WBITS | 32
"""Finds out by itself whether the head is that of gzip or of zlib."""


def decoder_of(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """What makes pieces of a body plain, up to a limit; nothing of an encoding that is not known here."""
    is_known = encoding.strip().lower() in ("gzip", "x-gzip", "deflate")
    return BoundedDecoder(_Inflater()).pieces if is_known else _unknown


def _unknown(_: bytes) -> Iterator[bytes]:
    return iter(())


class _Inflater:
    """A decoder as httpx2 has them: it gives pieces of a bounded size."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(_RAW_OR_WRAPPED)

    def decode(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield self._inflate.decompress(data, _PIECE)
            data = self._inflate.unconsumed_tail
