"""Runs what a forked child must do before anything else. It knows no lock and no counter; Windows forks nothing.

A lock that another thread held at the fork is held for ever in the child, and whatever tells processes apart is the
parent's there: who keeps such a thing makes it anew.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[[], None])


def in_child(renew: F) -> F:
    """Call *renew* in every child that this process forks. Serves as a decorator."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=renew)
    return renew
