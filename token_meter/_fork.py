"""Runs what a forked child must do before anything else.

A lock that another thread held at the fork stays locked in the child for ever, and an id that tells processes apart is
still the parent's. So each module that holds one registers a function here that makes a new one.
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
