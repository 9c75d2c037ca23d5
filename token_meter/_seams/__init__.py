"""Where we cut into other people's code, and how we close up again. This floor knows no tokens and no meters.

Every seam gets what it needs handed down: the one context variable, and an observer (see `_observer`).
"""

from __future__ import annotations

from token_meter._seams._observer import Observer, Patches, Watch

__all__ = ["Observer", "Patches", "Watch"]
