"""The endpoint of a request, computed once for each pair of method and URL."""

from __future__ import annotations

from typing import NamedTuple

from token_meter.prices import STATED_IN_HEADERS, states_in_header
from token_meter.providers import PROVIDERS, UNKNOWN, Route, read_charge, route_of
from token_meter.transports.ports import Key
from token_meter.wire import HeaderReader

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "testserver"})
_LIMIT = 4096


class Endpoint(NamedTuple):
    """Where a request goes.

    Attributes:
        route: the api and the action that the path stands for.
        host: the host, with its port where the URL has one.
        base_url: the URL in front of the api's own path.
        is_loopback: the host is this machine.
        needs_sign: the path alone does not identify the api, because other services use it too (`/v1/messages`). On a
            host that no provider owns, such a request counts only if the provider's SDK sent it or the answer reports
            a usage.
        header_readers: what reads the headers of the answer: the api's function, then that of the host's provider.
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
            route = _own(route, host)
            shown = host if port is None else f"{host}:{port}"
            loopback = host in _LOOPBACK or host.startswith("127.")
            base = f"{scheme}://{shown}{route.prefix}"
            needs_sign = route.api.needs_sign and not PROVIDERS.is_signed(route.api, host, {})
            endpoint = Endpoint(route, shown, base, loopback, needs_sign, _header_readers(route, host, base))
        if len(self) >= _LIMIT:
            self.clear()
        self[key] = endpoint
        return endpoint


def _own(route: Route, host: str) -> Route:
    """*route*, whose answers are not searched for fees where only other services state them."""
    provider = PROVIDERS.provider_of(host)
    if not route.api.others_fees or provider is None or provider.id != route.dialect:
        return route
    return route._replace(api=route.api._replace(format=route.api.format._replace(fees=None)))


def _header_readers(route: Route, host: str, base_url: str) -> tuple[HeaderReader, ...]:
    """The functions that read the headers of an answer; an answer to a `retrieve` has none."""
    if route.action != "create":
        return ()
    provider = PROVIDERS.provider_of(host)
    charge = read_charge if STATED_IN_HEADERS and states_in_header(base_url) else None
    readers = (route.api.format.read_headers, None if provider is None else provider.read_headers, charge)
    return tuple(reader for reader in readers if reader is not None)


ENDPOINTS = EndpointCache()
PROVIDERS.changed.append(ENDPOINTS.clear)
STATED_IN_HEADERS.changed.append(ENDPOINTS.clear)
