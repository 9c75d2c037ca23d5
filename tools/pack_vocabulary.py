"""Packs a `.tiktoken` vocabulary into the form that travels in the wheel, and unpacks it again. It knows no counting.

    python tools/pack_vocabulary.py pack o200k_base.tiktoken token_meter/_vocab/o200k_base.bin
    python tools/pack_vocabulary.py unpack token_meter/_vocab/o200k_base.bin o200k_base.tiktoken

A raw file has one line a token, `BASE64 RANK`, with ranks from 0 upwards. Packed, it is one length byte for every
token and then the bytes of all tokens, in the order of the ranks: less than half the size, read three times as fast,
and lossless (unpacking gives the raw file byte for byte). It is not compressed, because a Python may be built
without zlib; the wheel compresses it anyway.

`token_meter/_vocab/*.bin` were made by this script from the files of
https://openaipublic.blob.core.windows.net/encodings/ whose sha256 tiktoken pins (`token_meter/estimate/vocab.py` names
the pins, `tests/estimate/test_vocabulary.py` rebuilds the raw files from them).
"""

from __future__ import annotations

import base64
import itertools
import sys
from pathlib import Path


def pack(raw: bytes) -> bytes:
    """Turn a raw `.tiktoken` file into length bytes followed by token bytes."""
    tokens = []
    for rank, line in enumerate(raw.splitlines()):
        token, stated = line.split()
        if int(stated) != rank:
            msg = f"line {rank + 1} has rank {stated.decode()}, not {rank}: this form needs ranks without gaps"
            raise ValueError(msg)
        tokens.append(base64.b64decode(token))
    return bytes(map(len, tokens)) + b"".join(tokens)


def unpack(packed: bytes, n_tokens: int) -> bytes:
    """Rebuild the raw `.tiktoken` file."""
    ends = list(itertools.accumulate(packed[:n_tokens], initial=n_tokens))
    tokens = (packed[start:end] for start, end in itertools.pairwise(ends))
    return b"".join(b"%b %d\n" % (base64.b64encode(token), rank) for rank, token in enumerate(tokens))


def count_tokens(packed: bytes) -> int:
    """Find how many tokens a packed file holds: the only length of the table that fills the file exactly."""
    total = 0
    for n, length in enumerate(packed):
        if n + total >= len(packed):
            if n + total == len(packed):
                return n
            break
        total += length
    msg = "not a packed vocabulary: its length bytes do not add up to its size"
    raise ValueError(msg)


def main(argv: list[str]) -> int:
    """Run one of the two directions."""
    match argv:
        case ["pack", source, target]:
            Path(target).write_bytes(pack(Path(source).read_bytes()))
        case ["unpack", source, target]:
            packed = Path(source).read_bytes()
            Path(target).write_bytes(unpack(packed, count_tokens(packed)))
        case _:
            print(__doc__)  # noqa: T201 - this is its help
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
