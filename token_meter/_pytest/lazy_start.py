"""Waits until a library is about to be imported by which calls are made. It knows no meter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

CALLERS = frozenset({"httpx", "httpx2", "openai", "vcr"})
"""Libraries that make calls or replay them; the meter's seams wait for their modules by themselves."""


class Waiting:
    """A finder on `sys.meta_path` that calls *then* before the first of them is loaded, and finds nothing by itself.

    Before and not after: what is half imported can be patched no more by whoever waits for its import.
    """

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def start(self) -> None:
        """Wait, or call at once where one of them is there already."""
        if CALLERS & sys.modules.keys():
            self._then()
        else:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Wait no more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in CALLERS:
            return None
        from importlib.util import find_spec

        self.stop()
        self._then()
        return find_spec(name)  # asks all finders anew: some have come by what was called
