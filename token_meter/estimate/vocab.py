"""The vocabularies in the wheel, loaded when first needed.

tiktoken downloads them, and trusts a cache folder that environment variables name. This module downloads nothing and
reads no environment variable: the files are part of the wheel (made by `tools/pack_vocabulary.py`). Loading one takes
about 0.3 s and 80 MiB, so it does not happen at import.

For 0.25 s of it tiktoken's engine holds the interpreter: no thread runs, and no event loop. Where a loop runs,
`estimate.plain` counts instead.
"""

from __future__ import annotations

import hashlib
import io
import pkgutil
import sys
import threading
from typing import TYPE_CHECKING, NamedTuple

from token_meter._fork import in_child

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tiktoken import Encoding

O200K = "o200k_base"
CL100K = "cl100k_base"


class Vocabulary(NamedTuple):
    """The values of an encoding in tiktoken's own `openai_public`, and the checksums of its file in both forms."""

    n_tokens: int
    packed_sha256: str
    raw_sha256: str
    pat_str: str
    special_tokens: Mapping[str, int]


VOCABULARIES: Mapping[str, Vocabulary] = {
    O200K: Vocabulary(
        n_tokens=199_998,
        packed_sha256="440741350e7cfa1c0f4869ce742d1b043550adbda5187adcac9e787edac6fba9",
        raw_sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pat_str="|".join(
            [
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
                r"""\p{N}{1,3}""",
                r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
                r"""\s*[\r\n]+""",
                r"""\s+(?!\S)""",
                r"""\s+""",
            ]
        ),
        special_tokens={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
    CL100K: Vocabulary(
        n_tokens=100_256,
        packed_sha256="18288f996f452d44e0e65996176591a4b712a3eb1b42afd6f0511e735c099480",
        raw_sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pat_str=r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s""",  # noqa: E501 - a pattern has no line breaks
        special_tokens={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
}

_AT_ONCE = 4096
_loaded: dict[str, Encoding] = {}
_loading = threading.Lock()


@in_child
def _renew_lock() -> None:
    """Make a new lock in a forked child: a lock that another thread held would never be released there."""
    global _loading
    _loading = threading.Lock()


def encoding(name: str) -> Encoding:
    """Return the encoding *name*, loaded at the first call. One that the application has loaded is shared."""
    found = _loaded.get(name)
    if found is None:
        with _loading:
            found = _loaded.get(name)
            if found is None:
                found = _loaded[name] = _from_application(name) or _build(name)
    return found


def is_loaded(name: str) -> bool:
    """Whether the encoding *name* is there, or the application has it."""
    if name not in _loaded and (theirs := _from_application(name)) is not None:
        _loaded[name] = theirs
    return name in _loaded


def _from_application(name: str) -> Encoding | None:
    """Look in tiktoken's registry, and check the result: a plugin may use the same name for another encoding."""
    registry = sys.modules.get("tiktoken.registry")
    theirs: Encoding | None = getattr(registry, "ENCODINGS", {}).get(name)
    vocabulary = VOCABULARIES[name]
    if theirs is None or theirs.name != name:
        return None
    top = max(vocabulary.special_tokens.values())
    return theirs if theirs.max_token_value == top and theirs._pat_str == vocabulary.pat_str else None


def _build(name: str) -> Encoding:
    from tiktoken import Encoding

    vocabulary = VOCABULARIES[name]
    return Encoding(
        name,
        pat_str=vocabulary.pat_str,
        mergeable_ranks=read_ranks(name),
        special_tokens=dict(vocabulary.special_tokens),
        explicit_n_vocab=None,
    )


def read_ranks(name: str) -> dict[bytes, int]:
    """Read a packed vocabulary: one length byte a token, then the bytes of all tokens, in the order of the ranks.

    Raises:
        RuntimeError: the file is not the one that this version of token_meter was released with.
    """
    vocabulary = VOCABULARIES[name]
    packed = pkgutil.get_data("token_meter", f"_vocab/{name}.bin")  # importlib.resources takes 10 ms to import
    if packed is None or hashlib.sha256(packed, usedforsecurity=False).hexdigest() != vocabulary.packed_sha256:
        msg = f"the vocabulary {name}.bin of token_meter is damaged: its sha256 is wrong. Reinstall token-meter"
        raise RuntimeError(msg)
    n = vocabulary.n_tokens
    next_token = io.BytesIO(packed[n:]).read  # a third faster than slices
    ranks: dict[bytes, int] = {}
    for start in range(0, n, _AT_ONCE):  # all at once would keep other threads waiting
        lengths = packed[start : min(start + _AT_ONCE, n)]
        ranks.update(zip(map(next_token, lengths), range(start, start + len(lengths)), strict=True))
    return ranks
