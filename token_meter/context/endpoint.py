"""Where requests go, by method and URL, computed once for each endpoint. It knows no meter and no body."""

from __future__ import annotations

from typing import NamedTuple

from token_meter.providers import PROVIDERS, UNKNOWN, Route, route_of
from token_meter.transports.ports import Key
from token_meter.wire import HeaderReader

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "testserver"})
_LIMIT = 4096


class Endpoint(NamedTuple):
    """What a URL says: the route, the host, whether that is this machine, whether a request needs another sign, and
    who reads the headers of the answer.

    A path such as `/v1/messages` is used by many services: on another host than the provider's it counts with a mark
    of its SDK, or when the answer reports a usage.
    """

    route: Route
    host: str
    base_url: str
    is_loopback: bool
    needs_sign: bool = False
    header_readers: tuple[HeaderReader, ...] = ()


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
            endpoint = Endpoint(
                route, shown, f"{scheme}://{shown}{route.prefix}", loopback, route.api.needs_sign,
                _header_readers(route, host),
            )  # fmt: skip
        if len(self) >= _LIMIT:
            self.clear()
        self[key] = endpoint
        return endpoint


def _header_readers(route: Route, host: str) -> tuple[HeaderReader, ...]:
    """What the headers of an answer say by its api, and then by who serves the host."""
    if route.action != "create":
        return ()
    provider = PROVIDERS.provider_of(host)
    readers = (route.api.format.read_headers, None if provider is None else provider.read_headers)
    return tuple(reader for reader in readers if reader is not None)


ENDPOINTS = EndpointCache()
PROVIDERS.changed.append(ENDPOINTS.clear)
