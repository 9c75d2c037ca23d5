"""The registry of known providers, queried by the host, path and headers of a request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from token_meter.exceptions import ConfigError
from token_meter.prices import forget_hosts, know_hosts
from token_meter.providers.api import Api
from token_meter.providers.free_paths import is_free
from token_meter.providers.provider import Provider
from token_meter.providers.routes import Route, Routes
from token_meter.providers.rows import ROWS
from token_meter.providers.signs import has_sign, owns

UNKNOWN = Api("unknown", is_metered=False)
"""The api of a paid call whose answer cannot be read."""


class Registry:
    """The providers by id, with the paths of their apis.

    Attributes:
        changed: functions to call when a provider is registered or removed, such as those that clear a cache.
    """

    def __init__(self, providers: tuple[Provider, ...]) -> None:
        self.providers: dict[str, Provider] = {}
        self.changed: list[Callable[[], object]] = []
        for provider in providers:
            self.providers[provider.id] = provider
        self._rebuild()

    def register(self, provider: Provider) -> None:
        """Add *provider* in this process, in place of one with the same id.

        Raises:
            ConfigError: it is not a `Provider`.
        """
        given: object = provider
        if not isinstance(given, Provider):
            msg = f"register() takes a token_meter.Provider, not {provider!r}"
            raise ConfigError(msg)
        self.providers[provider.id] = provider
        know_hosts(provider.id, provider.hosts, states_usd=provider.states_usd)
        self._rebuild()

    def unregister(self, id: str) -> None:
        """Remove the provider *id*, if it is registered."""
        if self.providers.pop(id, None) is not None:
            forget_hosts(id)
            self._rebuild()

    def _rebuild(self) -> None:
        self.apis: dict[str, Api] = {}
        for provider in self.providers.values():
            for api in provider.apis:
                self.apis.setdefault(api.name, api)
        self._routes = Routes(self.providers.values())
        for tell in self.changed:
            tell()

    def route_of(self, method: str, path: str) -> Route | None:
        """The route of a request, by its path without query; `None` when no api has it."""
        return self._routes.find(method, path)

    def provider_of(self, host: str) -> Provider | None:
        """The provider that owns *host*; `None` for an unknown host."""
        return next((provider for provider in self.providers.values() if owns(provider, host)), None)

    def is_paid(self, host: str, method: str, path: str) -> bool:
        """Whether a request that matches no api probably costs money: a POST to a provider, not to a free path."""
        if method.upper() != "POST":
            return False
        provider = self.provider_of(host)
        return provider is not None and not is_free(path, provider.free)

    def is_signed(self, api: Api, host: str, headers: Mapping[str, str]) -> bool:
        """Whether a request to a shared path goes to a provider that serves *api*, or was made by its SDK."""
        served_by = (each for each in self.providers.values() if api.job is not None or api in each.apis)
        return any(has_sign(each, host, headers) for each in served_by)

    def api_named(self, name: str) -> Api:
        """The api with this name in records; `UNKNOWN` when there is none."""
        return self.apis.get(name, UNKNOWN)


PROVIDERS = Registry(ROWS)
route_of = PROVIDERS.route_of
api_named = PROVIDERS.api_named
register = PROVIDERS.register
unregister = PROVIDERS.unregister
