"""A thread that is held up, and threads that change places at every chance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.meter.threads import Held, busily_switching


@pytest.fixture
def held() -> Iterator[Held]:
    thing = Held()
    yield thing
    thing.let_go()


@pytest.fixture
def busy_switching() -> Iterator[None]:
    with busily_switching():
        yield
