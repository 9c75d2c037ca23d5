"""What seams in other people's modules have in common: when they patch."""

from __future__ import annotations

import contextvars
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any

from token_meter.patching.import_hook import ImportHook
from token_meter.patching.patch import Patches
from token_meter.transports.ports import Runtime


class ModuleSeam(ABC):
    """Patches modules at once where they are imported, and else when they have been.

    Attributes:
        modules: the full names of what may be patched.
    """

    modules: tuple[str, ...] = ()

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime) -> None:
        self._stack = stack
        self._runtime = runtime
        self._patches = Patches()
        self._live = False  # a plain attribute: hooks read it at every call
        self._imports = ImportHook(self.modules, self._patch)

    def install(self) -> None:
        """Patch what is imported and wait for what is not; idempotent."""
        self._live = True
        self._imports.start()

    def uninstall(self) -> None:
        """Take out what is still ours; what others patched over stays as a silent shim."""
        self._live = False
        self._imports.stop()
        self._patches.undo()

    def is_whole(self) -> bool:
        """Whether nobody has patched over us since."""
        return self._patches.is_whole()

    def _patch(self, module: ModuleType) -> None:
        if self._live:  # an import that was under way at `uninstall` ends after it
            self._patch_module(module)

    @abstractmethod
    def _patch_module(self, module: ModuleType) -> None:
        """Patch what there is to patch in *module*, which has run; a module may be given twice."""
