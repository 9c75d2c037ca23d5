"""What the bytes say: bytes in, `Reading` out. Knows no HTTP library, no price and no meter."""

from __future__ import annotations

from token_meter._wire._delta import DeltaReader
from token_meter._wire._door import read_answer, read_body, read_request
from token_meter._wire._events import is_events
from token_meter._wire._request import Asked
from token_meter._wire._routes import ROUTES, Route, route_of
from token_meter._wire._sse import StreamReader

__all__ = [
    "ROUTES",
    "Asked",
    "DeltaReader",
    "Route",
    "StreamReader",
    "is_events",
    "read_answer",
    "read_body",
    "read_request",
    "route_of",
]
