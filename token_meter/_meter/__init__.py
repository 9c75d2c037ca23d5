"""The meter as programs see it: blocks, their numbers and texts, metered functions and clients."""

from __future__ import annotations

from token_meter._meter.block import Meter
from token_meter.context.scope import SCOPES
from token_meter.context.stack import CONTEXT_STACK, METER
from token_meter.runtime.hub import HUB

__all__ = ["Meter", "current", "meter", "unattributed", "uninstall"]

meter = Meter
"""`with meter() as cb:` adds up every LLM call of the block."""


def current() -> Meter | None:
    """The innermost open meter of this context, or `None`."""
    for entry in reversed(CONTEXT_STACK.get()):
        if entry.kind == METER and entry.is_open:
            found: Meter = entry
            return found
    return None


def unattributed() -> int:
    """How many calls of this process ran in no meter while some meter was open."""
    return SCOPES.unattributed


def uninstall() -> None:
    """Restore every function that token_meter patched. The next meter that opens patches again.

    Where another library has patched on top of ours, our function stays and only passes calls on.
    """
    from token_meter._meter.blind_notes import told

    HUB.uninstall()
    told.clear()
