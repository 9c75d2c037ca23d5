"""The one context variable: who is listening, outermost first. It knows only that entries come in kinds.

The variable holds an immutable tuple. Entering sets a longer tuple; leaving removes the entry by identity, in whatever
context that happens: `ContextVar.reset` would raise when a generator or fixture is closed in another context.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

METER, CALLBACKS, SUSPENDED, MUTED, FLIGHT, GATE = range(6)
"""Kinds of entries: a meter, request callbacks, a meter told to let calls through, handlers at work, a call, a gate."""

CHAIN: ContextVar[tuple[Any, ...]] = ContextVar("token_meter", default=())

_LONG = 32
"""Beyond this many entries, closed meters that leaked into a long-lived context are dropped from it."""


def push(entry: Any) -> None:
    """Add *entry* as the innermost one of this context."""
    chain = CHAIN.get()
    if len(chain) > _LONG:
        chain = tuple(e for e in chain if e.kind != METER or e.is_open)
    CHAIN.set((*chain, entry))


def remove(entry: Any) -> None:
    """Take *entry* out of this context once, wherever it stands; do nothing where it is not in."""
    chain = CHAIN.get()
    if chain and chain[-1] is entry:
        CHAIN.set(chain[:-1])
        return
    for place in range(len(chain) - 2, -1, -1):
        if chain[place] is entry:  # the last of several: each block of a meter that was entered twice takes out its own
            CHAIN.set(chain[:place] + chain[place + 1 :])
            return
