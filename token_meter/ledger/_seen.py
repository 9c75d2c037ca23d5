"""Stores the ids that were read, in about one byte each."""

from __future__ import annotations

_SLACK = 4096


def split_id(id_: str) -> tuple[bytes, bytes]:
    """Split an id into the two parts of our ids: a process's prefix and a hexadecimal number."""
    prefix, dash, number = id_.encode("utf-8", "surrogatepass").rpartition(b"-")
    return prefix if dash else b"no dash", number


class SeenIds:
    """A set of ids. The numbers of one process count up from 0, so that one byte each is enough; others are hashed."""

    def __init__(self) -> None:
        self._marks: dict[bytes, bytearray] = {}
        self._odd: set[int] = set()

    def marks_of(self, prefix: bytes) -> bytearray:
        """The byte marks of one process, so that the reader's inner loop can set them without a method call."""
        return self._marks.setdefault(prefix, bytearray()) if not self._odd else bytearray()

    def add(self, prefix: bytes, number: bytes) -> bool:
        """Add an id; return whether it was there already."""
        marks = self._marks.get(prefix)
        if marks is None:
            marks = self._marks[prefix] = bytearray()
        n = value_of(number)
        if not 0 <= n < len(marks):
            if n < 0 or n > len(marks) + _SLACK:  # a huge number in a file from outside must not allocate memory
                key = hash((prefix, number))
                was_there = key in self._odd
                self._odd.add(key)
                return was_there
            marks.extend(bytes(n + 1024 - len(marks)))
        if marks[n] or (self._odd and hash((prefix, number)) in self._odd):
            return True
        marks[n] = 1
        return False

    def __contains__(self, id_: tuple[bytes, bytes]) -> bool:
        prefix, number = id_
        n = value_of(number)
        marks = self._marks.get(prefix, b"")
        return (0 <= n < len(marks) and bool(marks[n])) or hash(id_) in self._odd


def value_of(number: bytes) -> int:
    """The number of an id; -1 if it is none."""
    try:
        return int(number, 16)
    except ValueError:
        return -1
