"""The type of a blind spot: what a meter knows that it does not see."""

from __future__ import annotations

from typing import NamedTuple


class BlindSpot(NamedTuple):
    """Calls that a meter cannot see, or can see and not read; its sums lack them.

    Attributes:
        what: what is not seen, in a few words: `aiohttp`, `child processes`, ...
        why: the reason.
        advice: what to do so that such calls count.
    """

    what: str
    why: str
    advice: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}. {self.advice}"
