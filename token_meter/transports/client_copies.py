"""Observes copies of an SDK's client: `copy` and `with_options` of its classes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from token_meter.patching.patch import Patches
from token_meter.transports.ports import Runtime

_NAMES = ("copy", "with_options")


class CopySeam:
    """Patches the copying methods of the classes given to `watch`, while it is installed."""

    def __init__(self, runtime: Runtime, copied: Callable[[Any, Any], None]) -> None:
        self._runtime = runtime
        self._copied = copied
        self._patches = Patches()
        self._classes: tuple[type, ...] = ()

    def watch(self, cls: type) -> None:
        """Patch the copying methods of *cls* and its bases."""
        if cls not in self._classes:
            self._classes = (*self._classes, cls)
        self.install()

    def install(self) -> None:
        """Patch all watched classes; idempotent."""
        for cls in self._classes:
            for owner in cls.__mro__:
                for name in _NAMES:
                    if name in owner.__dict__ and callable(getattr(owner, name, None)):
                        self._patches.put(owner, name, self._copy)

    def uninstall(self) -> None:
        """Remove our patches. One that another patch covers stays and only passes calls on."""
        self._patches.undo()

    def _copy(self, original: Callable[..., Any]) -> Callable[..., Any]:
        runtime, copied = self._runtime, self._copied

        @wraps(original)
        def copy(client: Any, /, *args: Any, **kwargs: Any) -> Any:
            twin = original(client, *args, **kwargs)
            try:
                copied(client, twin)
            except Exception:
                runtime.internal_error("copy")
            return twin

        return copy
