"""The base class of seams that patch modules of other packages when these are imported."""

from __future__ import annotations

import contextvars
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any

from token_meter.patching.import_hook import ImportHook
from token_meter.patching.patch import Patches
from token_meter.transports.ports import Runtime


class ModuleSeam(ABC):
    """Patches modules: those imported already at once, the others after their import.

    Attributes:
        modules: the full names of the modules to patch.
    """

    modules: tuple[str, ...] = ()

    def __init__(self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime) -> None:
        self._stack = stack
        self._runtime = runtime
        self._patches = Patches()
        self._live = False  # a plain attribute: hooks read it at every call
        self._imports = ImportHook(self.modules, self._patch)

    def install(self) -> None:
        """Patch the modules that are imported, and wait for the others; idempotent."""
        self._live = True
        self._imports.start()

    def uninstall(self) -> None:
        """Remove our patches. One that another patch covers stays and only passes calls on."""
        self._live = False
        self._imports.stop()
        self._patches.undo()

    def is_whole(self) -> bool:
        """Whether no other package has patched on top of our patches since."""
        return self._patches.is_whole()

    def _patch(self, module: ModuleType) -> None:
        if self._live:  # an import that began before `uninstall` may end after it
            self._patch_module(module)

    @abstractmethod
    def _patch_module(self, module: ModuleType) -> None:
        """Patch *module*, whose code has run. May be called twice for the same module."""
