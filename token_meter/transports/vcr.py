"""Recognises answers that vcrpy plays back from a cassette."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from functools import wraps
from types import ModuleType
from typing import Any

from token_meter.transports.module_seam import ModuleSeam
from token_meter.transports.ports import Runtime


class CassetteSeam(ModuleSeam):
    """Patches `Cassette.play_response`, which vcrpy calls only for replayed answers, also if vcr is imported later."""

    modules = ("vcr.cassette",)

    def __init__(
        self, stack: contextvars.ContextVar[tuple[Any, ...]], runtime: Runtime, replayed: Callable[[Any], None]
    ) -> None:
        super().__init__(stack, runtime)
        self._replayed = replayed

    def _patch_module(self, module: ModuleType) -> None:
        try:
            self._patches.put(module.Cassette, "play_response", self._play)
        except Exception:
            self._runtime.internal_error("install cassettes")

    def _play(self, original: Callable[..., Any]) -> Callable[..., Any]:
        stack, runtime, replayed = self._stack, self._runtime, self._replayed

        @wraps(original)
        def play_response(cassette: Any, /, *args: Any, **kwargs: Any) -> Any:
            answer = original(cassette, *args, **kwargs)
            try:
                for entry in reversed(stack.get()):
                    replayed(entry)
            except Exception:
                runtime.internal_error("cassette")
            return answer

        return play_response
