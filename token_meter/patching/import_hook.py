"""Calls a function with a module when the module has been imported."""

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
    """A finder at the front of `sys.meta_path` that finds nothing and only sees the names; imports are unchanged."""

    def watch(self) -> None:
        """See every module that is imported from now on; idempotent."""
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Stop watching."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Called with the name of a module that is about to be imported."""
        raise NotImplementedError


class ImportHook(Finder):
    """Calls `then(module)` for each of *names*: at once if it is imported, else after its real loader has run."""

    def __init__(self, names: Iterable[str], then: Callable[[ModuleType], None]) -> None:
        self._names = tuple(names)
        self._then = then
        self._awaited: frozenset[str] = frozenset()
        self._begun: set[str] = set()

    def start(self) -> None:
        """Call back for modules that are imported already, and wait for the others; idempotent."""
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
        # The finders before us did not find it. `importlib.util.find_spec` would call us again, without end.
        for finder in [*dropwhile(lambda finder: finder is not self, sys.meta_path)][1:]:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None:
                if not hasattr(spec.loader, "exec_module"):  # such as a namespace package: no code will run
                    return None
                # Keep waiting for the name: the caller may want the spec only, or the import may fail and be retried.
                spec.loader = _Loader(spec.loader, self._call_back)  # type: ignore[assignment]  # delegates all else
                return spec
        return None

    def _look_again(self) -> None:
        """Call back for modules that were half imported at the start: Python has no event for the end of an import."""
        for name in tuple(self._begun):
            module = sys.modules.get(name)
            if module is not None and _is_half_made(module):
                continue
            try:
                self._begun.remove(name)
            except KeyError:  # another thread, or an import in `then`, has handled it
                continue
            if module is not None:  # else that import failed; `find_spec` sees the next attempt
                self._call_back(module)

    def _call_back(self, module: ModuleType) -> None:
        """Call back. A warning that a filter turns into an error must not make the user's import fail."""
        try:
            self._then(module)
        except Warning as warning:
            _log.warning("%s", warning)


def _is_half_made(module: ModuleType) -> bool:
    """Whether *module* is being imported now, by importlib's own mark, which modules made by hand do not have."""
    return getattr(getattr(module, "__spec__", None), "_initializing", False) is True


class _Loader:
    """Delegates to the real loader, which the module's spec gets back before the module's code runs."""

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
