"""By what a request is known to belong to a provider: its host, or a mark of the provider's SDK."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from token_meter.providers.provider import Provider


def owns(provider: Provider, host: str) -> bool:
    """Whether *host* is one of the provider's hosts."""
    return any(fnmatchcase(host, known) for known in provider.hosts)


def has_sign(provider: Provider, host: str, headers: Mapping[str, str]) -> bool:
    """Whether a request goes to one of the provider's hosts, or has a mark of its SDKs."""
    marks = (mark.partition(": ") for mark in provider.marks)
    return owns(provider, host) or any(name in headers and headers[name].startswith(start) for name, _, start in marks)
