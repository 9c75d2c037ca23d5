"""The `simulator` fixture: one server for the session, a fresh bill for each test.

Load it in the top conftest.py: `pytest_plugins = ["token_meter.simulator.pytest_fixture"]`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from token_meter.simulator.server import Simulator


@pytest.fixture(scope="session")
def simulator_server() -> Iterator[Simulator]:
    """The session's server; use `simulator`, which forgets the last test's calls."""
    with Simulator() as server:
        yield server


@pytest.fixture
def simulator(simulator_server: Simulator) -> Iterator[Simulator]:
    """A running `Simulator` whose bill is empty."""
    simulator_server.reset()
    yield simulator_server
    simulator_server.reset()
