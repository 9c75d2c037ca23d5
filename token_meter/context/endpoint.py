"""Where requests go, by method and URL, computed once for each endpoint."""

from __future__ import annotations

from typing import NamedTuple

from token_meter.providers import PROVIDERS, UNKNOWN, Route, route_of
from token_meter.transports.ports import Key

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "testserver"})
_LIMIT = 4096


class Endpoint(NamedTuple):
    """What a URL says: the route, the host, whether that is this machine, and whether a request needs another sign.

    A path such as `/v1/messages` is used by many services: on another host than the provider's it counts with a mark
    of its SDK, or when the answer reports a usage.
    """

    route: Route
    host: str
    base_url: str
    is_loopback: bool
    needs_sign: bool = False


class EndpointCache(dict[Key, Endpoint | None]):
    """A bounded cache of endpoints; `None` stands for a request that is not metered."""

    __slots__ = ()

    def __missing__(self, key: Key) -> Endpoint | None:
        method, scheme, host, port, path = key
        route = route_of(method, path)
        endpoint = None
        if route is None and PROVIDERS.is_paid(host, method, path):
            route = Route(UNKNOWN, UNKNOWN.name, "create")
        if route is not None:
            shown = host if port is None else f"{host}:{port}"
            loopback = host in _LOOPBACK or host.startswith("127.")
            endpoint = Endpoint(route, shown, f"{scheme}://{shown}{route.prefix}", loopback, route.api.needs_sign)
        if len(self) >= _LIMIT:
            self.clear()
        self[key] = endpoint
        return endpoint


ENDPOINTS = EndpointCache()
PROVIDERS.changed.append(ENDPOINTS.clear)
