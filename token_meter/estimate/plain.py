"""Counts tokens without tiktoken's engine, whose loading holds the whole interpreter for a quarter of a second.

The same pattern cuts a text into words, and the same ranks merge each word's bytes. English takes as long as with the
engine, which is slow at patterns too; Chinese, whose runs of characters are long words, takes about ten times as long.
"""

from __future__ import annotations

import threading
from heapq import heapify, heappop, heappush
from typing import Any

from token_meter._aside import is_a_loop_running
from token_meter._fork import in_child
from token_meter.estimate import vocab

_plain: dict[str, PlainEncoding] = {}
_loading = threading.Lock()


@in_child
def _renew_lock() -> None:
    """Make a new lock in a forked child: a lock that another thread held would never be released there."""
    global _loading
    _loading = threading.Lock()


class PlainEncoding:
    """One encoding."""

    def __init__(self, name: str) -> None:
        import regex  # tiktoken needs it too

        self._words: Any = regex.compile(vocab.VOCABULARIES[name].pat_str).findall
        self._ranks = vocab.read_ranks(name)

    def count(self, text: str) -> int:
        """Count the tokens of *text*; special tokens count as the text that they are."""
        ranks, tokens = self._ranks, 0
        for word in self._words(text):
            data = _utf8(word)
            tokens += 1 if data in ranks else _merged(data, ranks)
        return tokens


def plain(name: str) -> PlainEncoding | None:
    """What counts in the encoding *name* while an event loop runs; `None` where tiktoken's engine may."""
    if vocab.is_loaded(name):
        return None
    found = _plain.get(name)
    if found is None and is_a_loop_running():
        with _loading:
            found = _plain.get(name)
            if found is None:
                found = _plain[name] = PlainEncoding(name)
    return found


def is_loaded(name: str) -> bool:
    """Whether texts can be counted at once, by this or by tiktoken's engine."""
    return name in _plain or vocab.is_loaded(name)


def _utf8(word: str) -> bytes:
    """The bytes of *word*; lone halves of pairs become what tiktoken makes of them."""
    try:
        return word.encode()
    except UnicodeEncodeError:
        return word.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


def _merged(data: bytes, ranks: dict[bytes, int]) -> int:
    """Into how many tokens the bytes of a word merge: the pair with the lowest rank first, of equal ones the left."""
    size = len(data)
    ends = list(range(1, size + 1))  # of the part that begins here; 0 where none begins any more
    before = list(range(-1, size - 1))  # where the part before this one begins
    pairs = [(rank, i, i + 2) for i in range(size - 1) if (rank := ranks.get(data[i : i + 2])) is not None]
    heapify(pairs)
    parts = size
    while pairs:
        _, start, end = heappop(pairs)
        middle = ends[start]
        if not middle or middle == size or ends[middle] != end:
            continue  # one of the two has been merged since
        ends[start], ends[middle] = end, 0
        parts -= 1
        if end < size:
            before[end] = start
            if (rank := ranks.get(data[start : ends[end]])) is not None:
                heappush(pairs, (rank, start, ends[end]))
        if (left := before[start]) >= 0 and (rank := ranks.get(data[left:end])) is not None:
            heappush(pairs, (rank, left, end))
    return parts
