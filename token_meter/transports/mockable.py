"""What a mock library puts in the place of a method that we patch, from its `start` to its `stop`.

aioresponses (0.7) and requests-mock (1.12) each put a function there that calls what it hides for some requests only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from token_meter.transports.module_seam import ModuleSeam


class MockableSeam(ModuleSeam):
    """A seam whose method such a library replaces."""

    def _follow(self, mock: Any, owner: Any, name: str, make: Callable[[Callable[..., Any]], Any]) -> None:
        """Keep our hook around whatever *mock*, a class with `start` and `stop`, puts in the place of *name*.

        What has started hides the hook: one more goes on top, and the end of the mock removes both. That end also
        removes a hook that came after the start, which is put back.
        """

        def guarded(act: Callable[[], Any]) -> None:
            try:
                if self._live:
                    act()
            except Exception:
                self._runtime.internal_error("install")

        def starts(original: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(original)
            def start(*args: Any, **kwargs: Any) -> Any:
                before = owner.__dict__.get(name)
                found = original(*args, **kwargs)
                if (now := owner.__dict__.get(name)) is not before:  # the mock of one object leaves its class alone
                    guarded(lambda: setattr(owner, name, make(now)))
                return found

            return start

        def stops(original: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(original)
            def stop(*args: Any, **kwargs: Any) -> Any:
                found = original(*args, **kwargs)
                guarded(lambda: self._patches.put(owner, name, make))
                return found

            return stop

        self._patches.put(mock, "start", starts)
        self._patches.put(mock, "stop", stops)
