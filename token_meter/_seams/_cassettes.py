"""Tells when an answer was played back from a vcrpy cassette. It knows no calls beyond the one that is under way."""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter._seams._imports import ImportWatch
from token_meter._seams._observer import Observer, Patches

MODULE = "vcr.cassette"


class CassetteSeam:
    """Patches `Cassette.play_response`, also when vcr is imported later; it is called only for what is replayed."""

    def __init__(
        self, chain: contextvars.ContextVar[tuple[Any, ...]], observer: Observer, replayed: Callable[[Any], None]
    ) -> None:
        self._chain = chain
        self._observer = observer
        self._replayed = replayed
        self._patches = Patches()
        self._live = False
        self._late = ImportWatch({MODULE}, self._patch)

    def install(self) -> None:
        """Patch vcr if it is imported and wait for it if not; idempotent."""
        self._live = True
        module = sys.modules.get(MODULE)
        if module is not None and hasattr(module, "Cassette"):
            self._patch(module)
        else:
            self._late.start()

    def uninstall(self) -> None:
        """Take out what is still ours."""
        self._live = False
        self._late.stop()
        self._patches.undo()

    def _patch(self, module: ModuleType) -> None:
        if self._live:
            self._patches.put(module.Cassette, "play_response", self._play)

    def _play(self, original: Callable[..., Any]) -> Callable[..., Any]:
        chain, observer, replayed = self._chain, self._observer, self._replayed

        @wraps(original)
        def play_response(cassette: Any, /, *args: Any, **kwargs: Any) -> Any:
            answer = original(cassette, *args, **kwargs)
            try:
                for entry in reversed(chain.get()):
                    replayed(entry)
            except Exception:
                observer.internal_error("cassette")
            return answer

        return play_response
