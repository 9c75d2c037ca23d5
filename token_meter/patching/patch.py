"""A function that was replaced, and how it is put back. It knows no library."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from token_meter.patching.binding import as_function, owner_of


class Patch:
    """One patched function. Switching off leaves other people's patches alone.

    It is put where the name is defined, be that a base of the class that was asked for.
    *make* gets what stood there before as a function of the instance, whatever it was.

    Where somebody patched on top of ours, taking ours out would take theirs out too. Ours then stays as a shim that
    only passes calls on, because the seam was told to be silent.
    """

    __slots__ = ("_is_covered", "_is_wanted", "_make", "_original", "_ours", "name", "owner")

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self.owner = owner_of(owner, name)
        self.name = name
        self._make = make
        self._original: Any = None
        self._ours: Any = None
        self._is_covered = False
        self._is_wanted = False

    @property
    def is_on(self) -> bool:
        """Whether the name leads to our function directly: nobody has patched on top."""
        return self._ours is not None and self.owner.__dict__.get(self.name) is self._ours

    def on(self) -> None:
        """Replace the function, unless ours stands there or stays as a shim under somebody else's."""
        now = self.owner.__dict__[self.name]
        may_be_covered, self._is_wanted = self._is_covered or self._is_wanted, True
        if now is self._ours or (may_be_covered and now is not self._original and self._is_held()):
            return
        if self._ours is None or now is not self._original:
            self._original, self._ours = now, self._make(as_function(self.owner, self.name, now))
        self._is_covered = False
        setattr(self.owner, self.name, self._ours)

    def off(self) -> None:
        """Restore the original where ours still stands."""
        if self._ours is None:
            return
        now = self.owner.__dict__.get(self.name)
        if now is self._ours:
            setattr(self.owner, self.name, self._original)
        elif now is not self._original and self._is_wanted:  # what others did since `off` covers nothing of ours
            self._is_covered = self._is_held()
        self._is_wanted = False

    def _is_held(self) -> bool:
        """Whether anybody else has our function. If not, it was taken out: whoever patches on top keeps it to call."""
        ours = weakref.ref(self._ours)
        self._ours = None
        self._ours = ours()
        return self._ours is not None


class Patches:
    """The patched functions of one seam, each class once by its identity."""

    def __init__(self) -> None:
        self._patches: dict[tuple[Any, str], Patch] = {}

    def put(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Replace `owner.name` by `make(original)`; once, however often it is asked for.

        Returns whether the name leads to ours directly now: nobody has patched on top.
        """
        key = (owner_of(owner, name), name)
        switch = self._patches.get(key) or Patch(owner, name, make)
        switch.on()
        self._patches[key] = switch  # not one that could not be put on
        return switch.is_on

    def take_out(self, owner: Any) -> None:
        """Restore the functions of *owner* and its bases where ours still stand, and forget them."""
        for key in [key for key in self._patches if key[0] in getattr(owner, "__mro__", ())]:
            self._patches.pop(key).off()

    def undo(self) -> None:
        """Restore what is still ours."""
        for patch in self._patches.values():
            patch.off()

    def is_whole(self) -> bool:
        """Whether every patched name still leads to our function directly."""
        return all(patch.is_on for patch in self._patches.values())
