"""Calls back with modules, when they are imported."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from itertools import dropwhile
from types import ModuleType
from typing import Any

_log = logging.getLogger("token_meter")


class Finder:
    """A finder on `sys.meta_path`, in front of the others, that only watches: imports behave as without it."""

    def watch(self) -> None:
        """Be asked for every module that is imported from here on; idempotent."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Watch no more."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See the name of a module that is about to be imported."""
        raise NotImplementedError


class ImportHook(Finder):
    """Calls `then(module)` for each of *names*: at once where it is imported, else when it has been.

    For the latter it lets the real loader work.
    """

    def __init__(self, names: Iterable[str], then: Callable[[ModuleType], None]) -> None:
        self._names = tuple(names)
        self._then = then
        self._awaited: frozenset[str] = frozenset()
        self._begun: set[str] = set()

    def start(self) -> None:
        """Call back for what is there, wait for the rest; idempotent."""
        known = {name: sys.modules.get(name) for name in self._names}
        made = {name: module for name, module in known.items() if module is not None and not _is_half_made(module)}
        self._awaited = frozenset(self._names) - made.keys()
        if self._awaited:
            self.watch()
        self._begun = {name for name in self._awaited if sys.modules.get(name) is not None}
        for module in made.values():
            self._then(module)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if self._begun:
            self._look_again()
        if name not in self._awaited:
            return None
        # Finders in front of us have passed; `importlib.util.find_spec` would ask us again.
        for finder in [*dropwhile(lambda finder: finder is not self, sys.meta_path)][1:]:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None:
                if not hasattr(spec.loader, "exec_module"):  # a namespace, say: nothing will be run
                    return None
                # The name stays awaited: somebody may only be looking, or the import fail and be tried again.
                spec.loader = _Loader(spec.loader, self._call_back)  # type: ignore[assignment]  # delegates all else
                return spec
        return None

    def _look_again(self) -> None:
        """Call back for what was half made at the start. Nothing tells when it is done, so later imports ask."""
        for name in tuple(self._begun):
            module = sys.modules.get(name)
            if module is not None and _is_half_made(module):
                continue
            try:
                self._begun.remove(name)
            except KeyError:  # another thread was faster, or an import in `then`
                continue
            if module is not None:  # else that import failed, and the next one passes here
                self._call_back(module)

    def _call_back(self, module: ModuleType) -> None:
        """Call back in an import, which shall not fail for us where warnings are made errors."""
        try:
            self._then(module)
        except Warning as warning:
            _log.warning("%s", warning)


def _is_half_made(module: ModuleType) -> bool:
    """Whether *module* is being imported right now; importlib's own mark, which modules made by hand lack."""
    return getattr(getattr(module, "__spec__", None), "_initializing", False) is True


class _Loader:
    """Delegates to the real loader and gives the module back to it before the module's code runs."""

    def __init__(self, real: Any, then: Callable[[ModuleType], None]) -> None:
        self._real = real
        self._then = then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._real.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._real
        module.__loader__ = self._real
        self._real.exec_module(module)
        self._then(module)
