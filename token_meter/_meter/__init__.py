"""The heart: who is listening, one call's flight, totals, telling handlers. It knows no SDK.

Modules: `_chain` the one context variable · `_hub` finds the meters of a departing call · `_flight` one call under
way · `_meter` adds up · `_sums` the sums and their names · `_show` text and notebook · `_decorate` meters for
functions · `_news` tells handlers.
"""

from __future__ import annotations

from token_meter._meter._chain import CHAIN, METER
from token_meter._meter._meter import Meter

__all__ = ["Meter", "current", "meter", "unattributed", "uninstall"]

meter = Meter
"""`with meter() as cb:` adds up every LLM call of the block."""


def current() -> Meter | None:
    """The innermost open meter of this context, or `None`."""
    for entry in reversed(CHAIN.get()):
        if entry.kind == METER and entry.is_open:
            found: Meter = entry
            return found
    return None


def unattributed() -> int:
    """How many calls of this process ran in no meter while some meter was open."""
    from token_meter._meter._hub import HUB

    return HUB.unattributed


def uninstall() -> None:
    """Put back every function that token_meter patched; the next meter that opens installs again.

    Where somebody else has patched on top of ours, ours stays as a shim that only passes calls on.
    """
    from token_meter._meter._hub import HUB

    HUB.uninstall()
