"""What an answer shows that is billed beside its tokens: how many of each, by name. It knows no price."""

from __future__ import annotations

from collections.abc import Mapping

LARGEST = "largest_prompt"
"""A fact and no fee: the most tokens that one request of a job has sent, which decides on long-context rates."""


_LONGEST, _MOST = 220, 64
"""Characters of a name, among them that of another model; and how many names an answer may have."""


class Fees(tuple[tuple[str, "int | None"], ...]):
    """Counts by name, such as `{"file_search": 4}`; `None`: it was used, and nothing tells how much. Never changes.

    Two add up name by name; a number that is unknown in one of them stays unknown.
    """

    __slots__ = ()

    def __new__(cls, counts: Mapping[str, int | None]) -> Fees:
        found = {_inert(name): count for name, count in list(counts.items())[:_MOST]}
        if len(counts) > _MOST:
            found["other fees"] = None
        return super().__new__(cls, sorted(found.items()))

    def __getnewargs__(self) -> tuple[dict[str, int | None]]:
        return (dict(self),)

    def __add__(self, other: object) -> Fees:  # adds up; a tuple would concatenate
        if not isinstance(other, Fees):
            return NotImplemented
        both: dict[str, int | None] = dict(self)
        for name, count in other:
            before = both.get(name, 0)
            both[name] = None if before is None or count is None else before + count
        return Fees(both)

    def __radd__(self, other: object) -> Fees:
        """Let `sum` start from its 0."""
        return self if other == 0 else NotImplemented

    def __repr__(self) -> str:
        return f"Fees({dict(self)!r})"


def _inert(name: str) -> str:
    """A name from outside as it may be kept and shown."""
    if len(name) <= _LONGEST and name.isprintable():
        return name
    return "".join(c if c.isprintable() else "?" for c in name[:_LONGEST])


def fees_of(counts: Mapping[str, int | None]) -> Fees | None:
    """The counts that are not 0; `None` without any."""
    found = {name: count for name, count in counts.items() if count != 0}
    return Fees(found) if found else None
