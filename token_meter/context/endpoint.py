"""Where requests go: what their method and URL say, worked out once for each. It knows no meter and no body."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from token_meter.providers import Route, route_of

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "testserver"})
_LIMIT = 4096

Key: TypeAlias = tuple[str, str, str, int | None, str]
"""Method, scheme, host, port and path."""


class Endpoint(NamedTuple):
    """What a URL says: the route, who is asked, and whether that is this machine."""

    route: Route
    host: str
    base_url: str
    is_loopback: bool


class EndpointCache(dict[Key, Endpoint | None]):
    """Endpoints by what tells them apart; `None` for a request that is none of ours. Bounded."""

    __slots__ = ()

    def __missing__(self, key: Key) -> Endpoint | None:
        method, scheme, host, port, path = key
        route = route_of(method, path)
        endpoint = None
        if route is not None:
            shown = host if port is None else f"{host}:{port}"
            loopback = host in _LOOPBACK or host.startswith("127.")
            endpoint = Endpoint(route, shown, f"{scheme}://{shown}{route.prefix}", loopback)
        if len(self) >= _LIMIT:
            self.clear()
        self[key] = endpoint
        return endpoint
