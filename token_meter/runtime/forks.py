"""What happens to open meters when this process forks: nothing is lost on the way, and the child begins anew."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from token_meter._failures import internal_error
from token_meter.budget.admission import limits_of
from token_meter.context.scope import SCOPES
from token_meter.context.stack import CONTEXT_STACK

_PATIENCE_S = 1.0
_held = threading.local()


def _locks() -> list[Any]:
    """What a fork waits for, in the order in which a call that asks for its limits takes them."""
    scope = SCOPES.of(CONTEXT_STACK.get())
    return [budget.settling_lock for budget in limits_of(scope)[:1]] + [meter.own_lock for meter in scope.meters]


def _before() -> None:
    """Let other threads finish what they add up; a lock that is held for long is not waited for."""
    _held.locks = [lock for lock in _locks() if lock.acquire(timeout=_PATIENCE_S)]


def _in_parent() -> None:
    for lock in reversed(_held.locks):
        lock.release()


def _in_child() -> None:
    try:
        for meter in SCOPES.of(CONTEXT_STACK.get()).meters:
            meter.begin_in_child()
    except Exception:
        internal_error("fork")


if sys.platform != "win32":
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
