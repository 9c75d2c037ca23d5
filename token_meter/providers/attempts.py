"""Reads the number of an SDK's attempt from the header that the SDK sends with each request."""

from __future__ import annotations

from collections.abc import Mapping

from token_meter.providers.stainless import RETRY_COUNT


def attempt_number(headers: Mapping[str, str]) -> int:
    """The number of retries before this request: 0 for the first attempt, or without the header."""
    count = headers.get(RETRY_COUNT, "0")
    return int(count) if count.isascii() and count.isdigit() else 0
