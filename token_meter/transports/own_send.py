"""Whether a class of HTTP clients may send without our seam. It knows no call."""

from __future__ import annotations

import sys

_LIBRARIES = ("httpx2", "httpx")
_HAND_ON = ("google.genai.",)
"""Whose clients have a `send` of their own that calls the library's (google-genai 3.6, 2026-11)."""


def has_own_send() -> bool:
    """Whether a subclass of a library's clients has a `send` of its own, which may never reach the library's."""
    modules = [vars(sys.modules[name]) for name in _LIBRARIES if name in sys.modules]
    waiting = [module[name] for module in modules for name in ("Client", "AsyncClient") if name in module]
    while waiting:
        for cls in waiting.pop().__subclasses__():
            if "send" in cls.__dict__ and not cls.__module__.startswith(_HAND_ON):
                return True
            waiting.append(cls)
    return False
