"""Counts the tokens of a text of any size and content.

A plain `encode` of tiktoken fails in three ways: it raises for `<|endoftext|>` in a user's text; a million spaces in a
row overflow the stack of its pattern engine (a `PanicException`, which is not an `Exception`); and a long text needs
five times its size in memory. So `disallowed_special=()` is always passed, and long texts are encoded in pieces, cut
where a cut cannot change the count.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from token_meter._fork import in_child
from token_meter.estimate import vocab
from token_meter.estimate.models import resolve_encoding
from token_meter.estimate.plain import is_loaded, plain
from token_meter.estimate.vocab import encoding

Counter: TypeAlias = Callable[[str], int]
"""Counts the tokens of one string in one encoding."""

PIECE = 1 << 16
"""Characters that are encoded at once. Longer texts are cut."""

LONGEST_PIECE = 500_000
"""Characters after which a text without a safe cut is cut. White space overflows the engine at twice this length."""

# Both encodings split a text by a pattern before they merge bytes, so a cut between two matches changes no count.
# A match always begins at a space between a character other than white space and a letter. It also begins after a line
# break, unless white space or a slash follows: those join the match of the break (the slash in o200k).
_SAFE_CUT = re.compile(r"(?<=\S)(?= [A-Za-z])|(?<=[\r\n])(?=[^\s/])")

_QUICK, _QUICK_PLAIN = 64 * 1024, 4 * 1024
"""Bytes that are counted in about 5 ms: by tiktoken's engine, and of Chinese without it (of English, more)."""

_MEMO_SIZE = 8192
_MEMO_FROM = 48
_memo: dict[tuple[str, int, int], int] = {}
_memo_lock = threading.Lock()


@in_child
def _renew_lock() -> None:
    """Make a new lock in a forked child: a lock that another thread held would never be released there."""
    global _memo_lock
    _memo_lock = threading.Lock()


class Count(NamedTuple):
    """Tokens of a text.

    Attributes:
        tokens: the number of tokens.
        encoding: the encoding that counted them.
        approximate: the model's encoding is a guess, or a text without a safe cut was cut (at most one token too many
            for each 500,000 characters).
    """

    tokens: int
    encoding: str
    approximate: bool


def is_quick(size: int, model: str | None) -> bool:
    """Whether so many bytes for *model* are counted within a few milliseconds, as an event loop may be held up."""
    name, _ = resolve_encoding(model)
    return size <= (_QUICK if vocab.is_loaded(name) else _QUICK_PLAIN) and is_loaded(name)


def count_text(text: str, model: str | None = None) -> Count:
    """Count the tokens of *text* for *model*. The count is exact unless it is marked `approximate`."""
    return count_stream((text,), model) if len(text) > PIECE else _count_short(text, model)


def _count_short(text: str, model: str | None) -> Count:
    name, approximate = resolve_encoding(model)
    return Count(_encode(text, name), name, approximate)


def count_stream(chunks: Iterable[str], model: str | None = None) -> Count:
    """Count the text that *chunks* of any size form together, such as those of a file, in bounded memory."""
    name, approximate = resolve_encoding(model)
    tokens = 0
    for piece, is_safe in _pieces(chunks):
        tokens += _encode(piece, name)
        approximate = approximate or not is_safe
    return Count(tokens, name, approximate)


def counter(name: str) -> Counter:
    """Return the function that counts strings in the encoding *name*.

    Counts of long strings are cached, because every call of a chat repeats its history. The key is a hash and the
    length, so that no prompt is stored and the cache is bounded (8192 entries, about 2 MB).
    """

    def n(text: str) -> int:
        if len(text) < _MEMO_FROM:
            return _encode(text, name)
        key = (name, len(text), hash(text))
        with _memo_lock:
            known = _memo.pop(key, None)
            if known is not None:
                _memo[key] = known  # the most recent one is last
                return known
        tokens = sum(_encode(piece, name) for piece, _ in _pieces((text,)))
        with _memo_lock:
            _memo[key] = tokens
            if len(_memo) > _MEMO_SIZE:
                del _memo[next(iter(_memo))]
        return tokens

    return n


def _encode(text: str, name: str) -> int:
    """Count one piece. A text that overflows the pattern engine is halved, which may change the count of one word."""
    if (plainly := plain(name)) is not None:
        return plainly.count(text)
    try:
        return len(encoding(name).encode(text, disallowed_special=()))
    except ValueError:
        if len(text) < 2:
            raise
        middle = len(text) // 2
        return _encode(text[:middle], name) + _encode(text[middle:], name)


def _pieces(chunks: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Join *chunks* and cut them into pieces of about `PIECE` characters; yield each with whether its end is safe."""
    held: list[str] = []
    size, enough = 0, PIECE
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size <= enough:
            continue
        text = held[0] if len(held) == 1 else "".join(held)
        start = 0
        while len(text) - start > PIECE:
            match = _SAFE_CUT.search(text, start + PIECE, start + LONGEST_PIECE)
            if match is not None:
                cut = match.start()
            elif len(text) - start >= LONGEST_PIECE:
                cut = start + LONGEST_PIECE
            else:
                break
            yield text[start:cut], match is not None
            start = cut
        rest = text[start:]
        held = [rest]
        size = len(rest)
        enough = size + PIECE if size > PIECE else PIECE  # no cut found: do not search again for each small chunk
    yield "".join(held), True
