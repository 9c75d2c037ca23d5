"""What a compressed body costs the meter in memory, whatever it unpacks to: measured, in both libraries."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import brotli
import httpx
import httpx2
import pytest
import zstandard

from token_meter import meter

MIB = 1024 * 1024
UNPACKED = 64 * MIB
BOUND = 48 * MIB
URL = "https://api.openai.com/v1/chat/completions"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
BODY = json.dumps({"model": "gpt-4o", "choices": [], "usage": USAGE, "padding": "a rose " * 9000}).encode()


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 6)


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _brotli(data: bytes) -> bytes:
    return brotli.compress(data, quality=5)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)


PACKED = {
    "gzip": _gzip,
    "deflate": zlib.compress,
    "deflate, raw": _raw_deflate,
    "br": _brotli,
    "zstd": _zstd,
    "gzip, gzip": lambda data: _gzip(_gzip(data)),
    "br, gzip": lambda data: _gzip(_brotli(data)),
    "gzip, br": lambda data: _brotli(_gzip(data)),
}


class Pieces(httpx.SyncByteStream, httpx2.SyncByteStream):
    """A body that is read in the chunks that it is given in."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.chunks


def _pass_on(library: Any, encoding: str, *chunks: bytes) -> Any:
    """One call whose body a program passes on as it is, without unpacking it; its meter."""
    head = {"content-type": "application/json", "content-encoding": encoding.partition(", raw")[0]}
    transport = library.MockTransport(lambda _: library.Response(200, headers=head, stream=Pieces(*chunks)))
    with library.Client(transport=transport) as client, meter() as cb:
        with client.stream("POST", URL, json={"model": "gpt-4o", "messages": []}) as response:
            passed = b"".join(response.iter_raw())
    assert passed == b"".join(chunks)
    return cb


@pytest.fixture(scope="module")
def bombs() -> dict[str, bytes]:
    zeros = bytes(UNPACKED)
    return {encoding: pack(zeros) for encoding, pack in PACKED.items()}


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
@pytest.mark.parametrize("encoding", PACKED)
def test_f119_a_bomb_in_one_chunk_costs_the_usage_and_no_memory(
    bombs: dict[str, bytes], library: Any, encoding: str
) -> None:
    _pass_on(library, encoding, PACKED[encoding](BODY))  # what is loaded once is no cost of a call
    tracemalloc.start()
    try:
        cb = _pass_on(library, encoding, bombs[encoding])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < BOUND, f"{peak / MIB:.0f} MiB"
    assert (cb.successful_requests, cb.unmeasured_calls) == (1, 1)


@pytest.mark.parametrize("library", [httpx, httpx2], ids=lambda library: library.__name__)
@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize("size", [2, 100, 10**6])
def test_f119_an_ordinary_body_reads_as_before(library: Any, encoding: str, size: int) -> None:
    packed = PACKED[encoding](BODY)
    cb = _pass_on(library, encoding, *(packed[at : at + size] for at in range(0, len(packed), size)))

    assert (cb.total_tokens, cb.unmeasured_calls) == (15, 0)
