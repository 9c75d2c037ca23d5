"""All providers that are known, and what a request's host and path say by them."""

from __future__ import annotations

from collections.abc import Callable

from token_meter.exceptions import ConfigError
from token_meter.providers.anthropic import ANTHROPIC
from token_meter.providers.api import Api
from token_meter.providers.openai import OPENAI
from token_meter.providers.provider import Provider
from token_meter.providers.routes import Route, Routes

UNKNOWN = Api("unknown", is_metered=False)
"""Of a call that is paid for and cannot be read."""


class Registry:
    """The providers by id, with the paths of their apis.

    Attributes:
        changed: called when a provider was registered; for caches of what this says.
    """

    def __init__(self, providers: tuple[Provider, ...]) -> None:
        self.providers: dict[str, Provider] = {}
        self.changed: list[Callable[[], object]] = []
        for provider in providers:
            self.providers[provider.id] = provider
        self._rebuild()

    def register(self, provider: Provider) -> None:
        """Know *provider* from here on, in this process; one with its id is replaced.

        Raises:
            ConfigError: it is no `Provider`.
        """
        given: object = provider
        if not isinstance(given, Provider):
            msg = f"register() takes a token_meter.Provider, not {provider!r}"
            raise ConfigError(msg)
        self.providers[provider.id] = provider
        self._rebuild()
        for tell in self.changed:
            tell()

    def unregister(self, id: str) -> None:
        """Forget the provider *id*, if it is there."""
        if self.providers.pop(id, None) is not None:
            self._rebuild()
            for tell in self.changed:
                tell()

    def _rebuild(self) -> None:
        self.apis: dict[str, Api] = {}
        for provider in self.providers.values():
            for api in provider.apis:
                self.apis.setdefault(api.name, api)
        self._routes = Routes(self.providers.values())

    def route_of(self, method: str, path: str) -> Route | None:
        """The route of a request, by its path without query; `None` when no api has it."""
        return self._routes.find(method, path)

    def provider_of(self, host: str) -> Provider | None:
        """Whose host this is; `None` when it is nobody's that is known."""
        for provider in self.providers.values():
            for known in provider.hosts:
                if host == known or (known.startswith(".") and host.endswith(known)):
                    return provider
        return None

    def api_named(self, name: str) -> Api:
        """The api that stands as *name* in records; `UNKNOWN` when none does."""
        return self.apis.get(name, UNKNOWN)


PROVIDERS = Registry((OPENAI, ANTHROPIC))
route_of = PROVIDERS.route_of
api_named = PROVIDERS.api_named
register = PROVIDERS.register
unregister = PROVIDERS.unregister
