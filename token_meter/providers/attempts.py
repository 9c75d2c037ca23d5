"""Which try of an SDK a request is, by the header in which its SDK says so."""

from __future__ import annotations

from collections.abc import Mapping

from token_meter.providers.stainless import RETRY_COUNT


def attempt_number(headers: Mapping[str, str]) -> int:
    """0 for the first try, and where the SDK does not say."""
    count = headers.get(RETRY_COUNT, "0")
    return int(count) if count.isascii() and count.isdigit() else 0
