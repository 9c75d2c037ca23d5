"""The version-independent promises, with the openai that is installed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.budget import any_openai


@pytest.mark.parametrize("promise", any_openai.PROMISES, ids=lambda promise: promise.__name__)
def test_f66_a_refusal_is_raised_outside_the_retries(promise: Callable[[], None]) -> None:
    """Each function of `any_openai.py` says what it promises."""
    promise()
