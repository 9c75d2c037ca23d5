"""A model server for the tests: the simulator, one for each worker of xdist."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from token_meter.simulator import Simulator


@pytest.fixture(scope="session", autouse=True)
def server() -> Iterator[Simulator]:
    """A running simulator, unless the environment names another server."""
    with Simulator() as simulator:
        os.environ.setdefault("FLORIST_URL", simulator.base_url)
        yield simulator


@pytest.fixture(scope="session")
def catalogue() -> list[list[float]]:
    """The embedded catalogue: made once a session, and paid for by the fixture, not by the first test."""
    from shop.florist import index

    return index(["pink roses", "white lilies", "red tulips"])
