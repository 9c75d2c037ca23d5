"""The one context variable: meters, handlers and calls, outermost first.

The variable holds an immutable tuple. Entering sets a longer tuple; leaving removes the entry by identity, in any
context: `ContextVar.reset` would raise when a generator or fixture is closed in another context.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

METER, CALLBACKS, SUSPENDED, SUPPRESSED, ATTEMPT, TICKET = range(6)
"""Kinds of entries: a meter, request callbacks, a suspended meter, running handlers, a call, a gate."""

CONTEXT_STACK: ContextVar[tuple[Any, ...]] = ContextVar("token_meter", default=())

_LONG = 32
"""Beyond this many entries, closed meters that leaked into a long-lived context are dropped from it."""


def push(entry: Any) -> None:
    """Add *entry* as the innermost one of this context."""
    stack = CONTEXT_STACK.get()
    if len(stack) > _LONG:
        stack = tuple(e for e in stack if e.kind != METER or e.is_open)
    CONTEXT_STACK.set((*stack, entry))


def remove(entry: Any) -> bool:
    """Remove the innermost occurrence of *entry* from this context; return whether there was one."""
    stack = CONTEXT_STACK.get()
    if stack and stack[-1] is entry:
        CONTEXT_STACK.set(stack[:-1])
        return True
    for endpoint in range(len(stack) - 2, -1, -1):
        if (
            stack[endpoint] is entry
        ):  # the last of several: each block of a meter that was entered twice takes out its own
            CONTEXT_STACK.set(stack[:endpoint] + stack[endpoint + 1 :])
            return True
    return False
