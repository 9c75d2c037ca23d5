"""Replaces a function of a class or module, and restores it."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from token_meter.patching.binding import as_function, is_own, owner_of


class Patch:
    """One patched function. `off` leaves the patches of other packages in place.

    The patch is set on the class that defines the name, which may be a base of *owner*. *make* gets the original as a
    function that takes the instance first, and returns the replacement.

    If another package has patched on top of ours, restoring the original would remove its patch too. Ours then stays
    and only passes calls on: its seam has been told that it is off.
    """

    __slots__ = ("_is_covered", "_make", "_original", "_ours", "is_wanted", "name", "owner")

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self.owner = owner_of(owner, name)
        self.name = name
        self._make = make
        self._original: Any = None
        self._ours: Any = None
        self._is_covered = False
        self.is_wanted = False

    @property
    def is_on(self) -> bool:
        """Whether the name refers to our function directly, without another patch on top."""
        return self._ours is not None and self.owner.__dict__.get(self.name) is self._ours

    def on(self) -> None:
        """Replace the function, unless ours is in place already, directly or below another patch."""
        now = self.owner.__dict__[self.name]
        may_be_covered, self.is_wanted = self._is_covered or self.is_wanted, True
        if now is self._ours or (may_be_covered and self._may_cover(now) and self._is_held()):
            return
        if self._ours is None or now is not self._original:
            self._original, self._ours = now, self._make(as_function(self.owner, self.name, now))
        self._is_covered = False
        setattr(self.owner, self.name, self._ours)

    def off(self) -> None:
        """Restore the original if the name still refers to our function."""
        if self._ours is None:
            return
        now = self.owner.__dict__.get(self.name)
        if now is self._ours:
            setattr(self.owner, self.name, self._original)
        elif self._may_cover(now) and self.is_wanted:  # a patch made after an earlier `off` is not on top
            self._is_covered = self._is_held()
        self.is_wanted = False

    def _may_cover(self, now: Any) -> bool:
        """Whether *now* may be a patch on top of ours: neither what we replaced, nor the library's own function.

        The latter is back where a patch below ours was taken out by restoring what it had replaced.
        """
        return now is not self._original and not is_own(self.owner, self.name, now)

    def _is_held(self) -> bool:
        """Whether another object refers to our function, as a patch on top does in order to call it."""
        ours = weakref.ref(self._ours)
        self._ours = None
        self._ours = ours()
        return self._ours is not None


class Patches:
    """The patched functions of one seam, each class once by its identity."""

    def __init__(self) -> None:
        self._patches: dict[tuple[Any, str], Patch] = {}

    def put(self, owner: Any, name: str, make: Callable[[Any], Any]) -> bool:
        """Replace `owner.name` by `make(original)`; a second call does nothing.

        Returns whether the name now refers to our function directly, without another patch on top.
        """
        key = (owner_of(owner, name), name)
        switch = self._patches.get(key) or Patch(owner, name, make)
        switch.on()
        self._patches[key] = switch  # not before `on`, which may raise
        return switch.is_on

    def take_out(self, owner: Any) -> None:
        """Switch off and forget the patches on *owner* and its bases."""
        for key in [key for key in self._patches if key[0] in getattr(owner, "__mro__", ())]:
            self._patches.pop(key).off()

    def undo(self) -> None:
        """Switch all patches off."""
        for patch in self._patches.values():
            patch.off()

    def is_whole(self) -> bool:
        """Whether every name that is patched now still refers to our function directly."""
        return all(patch.is_on for patch in self._patches.values() if patch.is_wanted)
