"""Reads the number of an SDK's attempt from the header that the SDK sends with each request."""

from __future__ import annotations

from collections.abc import Mapping

from token_meter.providers.stainless import RETRY_COUNT

_AWS = "amz-sdk-request"
"""`attempt=2; max=5` of the SDKs of AWS."""


def attempt_number(headers: Mapping[str, str]) -> int:
    """The number of retries before this request: 0 for the first attempt, or without the header."""
    count = headers.get(RETRY_COUNT)
    if count is None and (asked := headers.get(_AWS)) is not None:
        tries = next((part.partition("=")[2] for part in asked.split("; ") if part.startswith("attempt=")), "")
        return max(0, _number(tries) - 1)
    return _number(count or "")


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
