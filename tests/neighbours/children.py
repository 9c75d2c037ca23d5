"""Runs a piece of a test in a forked child: its permanent patches end with it."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any

import pytest

PATIENCE_S = 60


def in_child(act: Callable[[], Any]) -> Any:
    """What *act* returns in a child of this process; a failure there fails here, with its traceback."""
    if not hasattr(os, "fork"):
        pytest.skip("this platform cannot fork")
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            signal.alarm(PATIENCE_S)
            said = (True, act())
        except BaseException:
            said = (False, traceback.format_exc())
        try:
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump(said, pipe)
        finally:
            # Not sys.exit: pytest, its threads and its sockets are the parent's to end.
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not data:
        pytest.fail(f"the child died without a word (status {status})")
    is_ok, value = pickle.loads(data)
    if not is_ok:
        pytest.fail(f"in the child:\n{value}", pytrace=False)
    return value
