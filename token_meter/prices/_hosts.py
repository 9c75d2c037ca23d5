"""Finds the provider of a base URL.

Whole host names are compared: `https://api.openai.com.evil.example` is not OpenAI. A model's name is never used,
because a local server may give its models any names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

LITELLM = "litellm"
"""A gateway that the user runs: a host becomes one by a price book that says so."""

# host -> provider id of genai-prices (or of an overlay row); a leading "*." is one or more labels.
HOSTS: Mapping[str, str] = {
    "api.openai.com": "openai",
    "us.api.openai.com": "openai",
    "eu.api.openai.com": "openai",
    "au.api.openai.com": "openai",
    "in.api.openai.com": "openai",
    "jp.api.openai.com": "openai",
    "*.openai.azure.com": "azure",
    "*.cognitiveservices.azure.com": "azure",
    "*.services.ai.azure.com": "azure",
    "*.azure-api.net": "azure",
    "*.models.ai.azure.com": "azure",
    "api.anthropic.com": "anthropic",
    "api.arcee.ai": "arcee",
    "api.avian.io": "avian",
    "inference.baseten.co": "baseten",
    "api.cerebras.ai": "cerebras",
    "api.cloudflare.com": "cloudflare",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "*.cloud.databricks.com": "databricks",
    "*.gcp.databricks.com": "databricks",
    "*.azuredatabricks.net": "databricks",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.doubleword.ai": "doubleword",
    "api.fireworks.ai": "fireworks",
    "models.github.ai": "github-models",
    "models.inference.ai.azure.com": "github-models",
    "api.githubcopilot.com": "github-copilot",
    "generativelanguage.googleapis.com": "google",
    "aiplatform.googleapis.com": "google",
    "api.groq.com": "groq",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.meta.ai": "meta",
    "api.minimax.io": "minimax",
    "api.minimax.com": "minimax",
    "api.minimaxi.com": "minimax-cn",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshotai",
    "api.moonshot.cn": "moonshotai-cn",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "integrate.api.nvidia.com": "nvidia",
    "api.novita.ai": "novita",
    "openrouter.ai": "openrouter",
    "api.openrouter.ai": "openrouter",
    "oai.endpoints.kepler.ai.cloud.ovh.net": "ovhcloud",
    "api.perplexity.ai": "perplexity",
    "api.sambanova.ai": "sambanova",
    "*.snowflakecomputing.com": "snowflake",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "ai-gateway.vercel.sh": "vercel",
    "api.voyageai.com": "voyageai",
    "*.ml.cloud.ibm.com": "watsonx",
    "api.x.ai": "x-ai",
    "api.z.ai": "zai",
    "open.bigmodel.cn": "zhipuai",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope.aliyuncs.com": "dashscope-cn",
}
STATES_DOLLARS = frozenset({"openrouter", "x-ai", "perplexity", "deepinfra", "vercel", LITELLM})
"""Providers whose answers say what they charged, in US dollars: `cost` (https://openrouter.ai/docs/use-cases/
usage-accounting), ticks, `cost.total_cost` with its currency, `estimated_cost` (their references, 2026-11). From any
other host such a field may be anything; a price book can declare one of these behind it."""
DEFAULT_PROVIDER = "openai"
"""The provider for a query about prices that names none."""
DEFAULT_BASE_URL = "https://api.openai.com/v1"
"""The destination of a request whose cost is estimated before it is sent, unless the caller names another."""
_BEDROCK = re.compile(r"bedrock-runtime(-fips)?\.[a-z0-9-]+\.(amazonaws\.com|api\.aws)")
_VERTEX = re.compile(r"[a-z0-9-]+-aiplatform\.googleapis\.com|aiplatform\.[a-z]+\.rep\.googleapis\.com")
"""Vertex's endpoints of one region, and of several in one jurisdiction; the global one is a whole name above."""
_HOST = re.compile(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]")

_registered: dict[str, tuple[tuple[str, ...], bool]] = {}


def know_hosts(provider: str, hosts: tuple[str, ...], *, states_usd: bool) -> None:
    """Note the hosts of a provider that a program has registered, and whether its answers state what they cost."""
    _registered[provider] = (hosts, states_usd)
    known_provider.cache_clear()


def registered() -> tuple[str, ...]:
    """The providers that programs have registered."""
    return tuple(_registered)


def forget_hosts(provider: str) -> None:
    """Discard what `know_hosts` has noted."""
    _registered.pop(provider, None)
    known_provider.cache_clear()


def states_usd(provider: str | None) -> bool:
    """Whether answers of this provider state what a call cost, in US dollars."""
    return provider in STATES_DOLLARS or (provider in _registered and _registered[provider][1])


class Declared(set["Place"]):
    """Base URLs that a price book has declared to state their charge in a header, and who is told of a new one."""

    __slots__ = ("changed",)

    def __init__(self) -> None:
        super().__init__()
        self.changed: list[Callable[[], object]] = []

    def declare(self, places: Iterable[Place]) -> None:
        """Note base URLs; requests to them that follow are read with their headers."""
        before = len(self)
        self.update(places)
        for tell in self.changed if len(self) > before else ():
            tell()


STATED_IN_HEADERS = Declared()


def states_in_header(base_url: str) -> bool:
    """Whether a price book has declared that answers from there state their charge in a header."""
    return PlaceMap((place, True) for place in tuple(STATED_IN_HEADERS)).get(base_url) is True


REGIONAL = frozenset(f"{region}.api.openai.com" for region in ("us", "eu", "au", "in", "jp"))
"""OpenAI's hosts with data residency, where newer models cost 10 % more."""


def is_regional_vertex(host: str) -> bool:
    """Whether *host* keeps requests to Vertex within a region or jurisdiction."""
    return _VERTEX.fullmatch(host) is not None


class Place(NamedTuple):
    """The host, port and path of a URL, without scheme, user, password and query."""

    host: str
    port: str | None
    path: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}{self.path}" if self.port else f"{self.host}{self.path}"


@lru_cache(maxsize=1024)
def place_of(url: str) -> Place | None:
    """Read a base URL, `host` or `host:port`; `None` when it names no host."""
    rest = url.strip()
    if "://" in rest:
        rest = rest.partition("://")[2]
    elif rest.startswith("//"):
        rest = rest[2:]
    authority, path = (re.split(r"[/?#]", rest, maxsplit=1)[0], rest)
    path = re.split(r"[?#]", path[len(authority) :], maxsplit=1)[0].rstrip("/")
    host, _, port = authority.rpartition("@")[2].lower().partition(":")
    if authority.rpartition("@")[2].startswith("["):
        inner, bracket, port = authority.rpartition("@")[2].lower().partition("]")
        host, port = inner + bracket, port.removeprefix(":")
    host = host.removesuffix(".")
    if not _HOST.fullmatch(host) or (port and not (port.isascii() and port.isdigit())):
        return None
    return Place(host, port or None, path)


@lru_cache(maxsize=1024)
def known_provider(url: str) -> str | None:
    """Return the provider whose own host *url* names, else `None`."""
    place = place_of(url)
    if place is None:
        return None
    host = place.host
    if provider := HOSTS.get(host):
        return provider
    _, dot, parent = host.partition(".")
    while dot:
        if provider := HOSTS.get(f"*.{parent}"):
            return provider
        _, dot, parent = parent.partition(".")
    if _BEDROCK.fullmatch(host):
        return "aws"
    if _VERTEX.fullmatch(host):
        return "google"
    return next((id for id, (known, _) in _registered.items() if any(fnmatchcase(host, one) for one in known)), None)


class PlaceMap(Generic[T]):
    """Values by base URL. The longest path wins; a key with a port matches only this port; schemes are ignored."""

    __slots__ = ("rows",)

    def __init__(self, rows: Iterable[tuple[Place, T]]) -> None:
        self.rows = tuple(sorted(rows, key=lambda row: (row[0].port is not None, len(row[0].path)), reverse=True))

    def get(self, url: str) -> T | None:
        """Return the value for *url*, or `None`."""
        place = place_of(url) if self.rows else None
        if place is None:
            return None
        for key, value in self.rows:
            if (
                key.host == place.host
                and key.port in (None, place.port)
                and (place.path == key.path or place.path.startswith(f"{key.path}/"))
            ):
                return value
        return None
