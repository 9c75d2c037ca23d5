"""A thread that is held up, and threads that change places at every chance."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.meter.threads import Held


@pytest.fixture
def held() -> Iterator[Held]:
    thing = Held()
    yield thing
    thing.let_go()


@pytest.fixture
def busy_switching() -> Iterator[None]:
    """Threads change places at every chance."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)
