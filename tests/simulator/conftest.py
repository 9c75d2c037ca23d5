"""Clients of a simulator for this room's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from openai import OpenAI

from token_meter.simulator import Simulator


@pytest.fixture
def sim(simulator: Simulator) -> Simulator:
    """The session's server by a short name, with nothing on its bill."""
    return simulator


@pytest.fixture
def ask(sim: Simulator) -> Iterator[Callable[..., OpenAI]]:
    """Make a client whose requests carry these simulator options; closed after the test."""
    with ExitStack() as stack:

        def make(client_options: dict[str, Any] | None = None, **options: object) -> OpenAI:
            base = sim.base_url_with(**options) if options else sim.base_url
            return stack.enter_context(sim.client(**{"base_url": base, "max_retries": 0, **(client_options or {})}))

        yield make
