"""Providers, one folder each: their apis, the paths of these, and the layout of their answers."""

from __future__ import annotations

from token_meter.providers.api import Api
from token_meter.providers.attempts import attempt_number
from token_meter.providers.charge import read_charge
from token_meter.providers.provider import Gate, Provider
from token_meter.providers.registry import PROVIDERS, UNKNOWN, api_named, register, route_of, unregister
from token_meter.providers.routes import SOCKET, Route
from token_meter.providers.usage import usage_of

__all__ = [
    "PROVIDERS",
    "SOCKET",
    "UNKNOWN",
    "Api",
    "Gate",
    "Provider",
    "Route",
    "api_named",
    "attempt_number",
    "read_charge",
    "register",
    "route_of",
    "unregister",
    "usage_of",
]
