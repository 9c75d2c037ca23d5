"""Decompresses bodies in steps of a bounded size, whatever was sent: a bomb costs a usage, never memory.

httpx2's decoders give pieces of a mebibyte by themselves. Those of httpx give all that a chunk holds at once, which may
be a million times its size: they are fed little by little. It knows no tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

_LIMIT = 64 * 1024 * 1024
"""Bytes of one answer that are decompressed for our own use; a bomb stops being read there."""
_PIECE = 512 * 1024
"""Bytes of output that brotli is asked for at once; it may give twice as many."""
_STEPS = {"GZipDecoder": 1024, "DeflateDecoder": 1024, "ZStandardDecoder": 256}
"""Bytes of input at once. Deflate unpacks to 1,032 times its size at most (https://zlib.net/zlib_tech.html), a block of
zstd of 4 bytes to 128 KiB (RFC 8878, 3.1.1.2): a step gives 1 MiB and 8 MiB."""
_CO_GENERATOR = 0x20
_SMALLEST_STEP = 16
"""Of what has no such bound: ten bytes of brotli may unpack to 16 MiB (RFC 7932, 9.2)."""


class BoundedDecoder:
    """Decodes a body for us only, up to a limit."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._left = _LIMIT

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What *chunk* holds, as far as the limit."""
        if self._left <= 0:
            return
        for piece in pieces(self._decoder, chunk):
            self._left -= len(piece)
            yield piece
            if self._left <= 0:
                self._decoder = None
                return


def pieces(decoder: Any, data: bytes) -> Iterator[bytes]:
    """What *data* becomes by a decoder of httpx or httpx2, piece by piece, none of them empty."""
    if _gives_pieces(decoder):
        return filter(None, decoder.decode(data))
    return filter(None, _through(getattr(decoder, "children", (decoder,)), data))


def rest(decoder: Any) -> bytes:
    """What a decoder still holds at the end of a body."""
    found = decoder.flush()
    return found if isinstance(found, bytes) else b"".join(found)


def _gives_pieces(decoder: Any) -> bool:
    code = getattr(decoder.decode, "__code__", None)
    return code is not None and bool(code.co_flags & _CO_GENERATOR)


def _through(decoders: Sequence[Any], data: bytes) -> Iterator[bytes]:
    """What several encodings make of *data*, one after the other: each piece goes all the way before the next comes."""
    for piece in _steps(decoders[0], data):
        if len(decoders) == 1:
            yield piece
        else:
            yield from _through(decoders[1:], piece)


def _steps(decoder: Any, data: bytes) -> Iterator[bytes]:
    kind = type(decoder).__name__
    if kind == "IdentityDecoder":
        yield data
        return
    process = getattr(getattr(decoder, "decompressor", None), "process", None) if kind == "BrotliDecoder" else None
    if process is not None and data:
        try:
            piece: bytes = process(data, output_buffer_limit=_PIECE)
        except TypeError:  # before brotli 1.2
            pass
        else:
            while piece:
                yield piece
                piece = process(b"", output_buffer_limit=_PIECE)
            return
    step = _STEPS.get(kind, _SMALLEST_STEP)
    for at in range(0, len(data), step):
        found = decoder.decode(data[at : at + step])
        yield from (found,) if isinstance(found, bytes) else found
