"""A test that asks more often than it may: run by `pytest tests/test_over_budget.py`, left out of the default run."""

from __future__ import annotations

import os

import pytest
from shop.florist import answer

pytestmark = pytest.mark.skipif(not os.environ.get("SHOW_OVER_BUDGET"), reason="fails on purpose")


@pytest.mark.token_budget(max_calls=1)
def test_asks_twice() -> None:
    assert answer("Is it a rose?")
    assert answer("Is it really a rose?")
