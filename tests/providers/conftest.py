"""Fakes of providers' own wire formats."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.providers.anthropic_fake import FakeAnthropic


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    server = FakeAnthropic()
    yield server
    server.close()
