"""Calls back when a module is imported for the first time. It knows nothing of what the module is for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


class ImportWatch:
    """A finder on `sys.meta_path` that lets the real loader work and then calls `then(module)`.

    It finds nothing by itself, so imports behave as without it; it goes away by `stop()`.
    """

    def __init__(self, names: set[str], then: Callable[[ModuleType], None]) -> None:
        self._names = set(names)
        self._then = then

    def start(self) -> None:
        if self._names and self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in self._names:
            return None
        self._names.discard(name)  # also ends the recursion through the next line
        spec = find_spec(name)
        if spec is None or spec.loader is None or not hasattr(spec.loader, "exec_module"):
            self._names.add(name)
            return None
        spec.loader = _Loader(spec.loader, self._then)  # type: ignore[assignment]  # delegates all else
        return spec


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
