"""Starts the meter when a library that can make calls is about to be imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

from token_meter.patching.import_hook import Finder
from token_meter.transports.callers import CALLERS


class Waiting(Finder):
    """Calls *then* before the first of these libraries is imported.

    Not afterwards: a hook that waits for the end of an import comes too late for a module that is half imported.
    """

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def start(self) -> None:
        """Wait, or call at once if one of them is imported already."""
        if CALLERS & sys.modules.keys():
            self._then()
        else:
            self.watch()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in CALLERS:
            return None
        from importlib.util import find_spec

        self.stop()
        self._then()
        return find_spec(name)  # asks all finders again, because *then* may have added some
