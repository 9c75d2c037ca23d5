"""Fakes of providers' own wire formats, and their SDKs in both colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.providers.anthropic_fake import FakeAnthropic
from token_meter import meter
from token_meter.prices import PriceBook


@pytest.fixture
def fake() -> Iterator[FakeAnthropic]:
    server = FakeAnthropic()
    yield server
    server.close()


@pytest.fixture
def metered(fake: FakeAnthropic) -> Callable[..., Any]:
    """A meter that knows who is paid on this machine's port."""

    def make(**options: Any) -> Any:
        return meter(prices=PriceBook(hosts={fake.url: "anthropic"}), keep_calls=True, **options)

    return make
