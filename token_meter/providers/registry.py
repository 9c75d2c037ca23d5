"""All providers that are known, and what a request's host and path say by them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache

from token_meter.exceptions import ConfigError
from token_meter.providers import compatible, known_hosts
from token_meter.providers.anthropic import ANTHROPIC
from token_meter.providers.api import Api
from token_meter.providers.openai import OPENAI
from token_meter.providers.provider import Provider
from token_meter.providers.routes import Route, Routes

_VERSION = re.compile(r"^(?:openai/)?(?:v\d+[a-z0-9]*/)?")

UNKNOWN = Api("unknown", is_metered=False)
"""Of a call that is paid for and cannot be read."""


@lru_cache(maxsize=256)
def _path(pattern: str) -> re.Pattern[str]:
    """A pattern of paths: `*` is any part of one segment, `**` any number of segments."""
    shapes = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(shapes.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", pattern)))


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
            if any(fnmatchcase(host, known) for known in provider.hosts):
                return provider
        return None

    def is_paid(self, host: str, method: str, path: str) -> bool:
        """Whether a request that no api takes is probably paid for: a POST to a provider, and not known as free."""
        if method.upper() != "POST":
            return False
        provider = self.provider_of(host)
        if provider is None:
            return False
        rest = _VERSION.sub("", path.strip("/"))
        return not any(_path(free).fullmatch(rest) for free in provider.free)

    def is_signed(self, dialect: str, host: str, headers: Mapping[str, str]) -> bool:
        """Whether a path that others use too is the provider's *dialect*: by its host, or by a mark of its SDK."""
        provider = self.providers.get(dialect)
        if provider is None:
            return False
        return any(fnmatchcase(host, known) for known in provider.hosts) or any(
            mark in headers for mark in provider.marks
        )

    def api_named(self, name: str) -> Api:
        """The api that stands as *name* in records; `UNKNOWN` when none does."""
        return self.apis.get(name, UNKNOWN)


PROVIDERS = Registry((OPENAI, ANTHROPIC, *compatible.ROWS, *known_hosts.ROWS))
route_of = PROVIDERS.route_of
api_named = PROVIDERS.api_named
register = PROVIDERS.register
unregister = PROVIDERS.unregister
