"""Finds the api of a request by its method and path."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from token_meter.providers.api import Api
from token_meter.providers.provider import Provider

SOCKET = "WS"
"""The method of a request on a websocket, which is not a POST to the same path."""

# Reports on spending (/organization/usage/completions) and token counts (/responses/input_tokens) are not calls.
_NEVER_BEFORE = ["organization", "usage"]
_VERSION = "v1"
_NO_IDS = frozenset({"", "input_tokens", "compact"})
_MODEL = "{model}"


class Route(NamedTuple):
    """What a path says about the call that goes there.

    Attributes:
        api: the api of the path.
        dialect: the id of the provider that defined this api; another service may answer.
        action: `create`, or `retrieve` for an answer that was created before.
        prefix: the path before the suffix, and before Azure's `/deployments/...`.
        model: the model, or the Azure deployment, in the path.
    """

    api: Api
    dialect: str
    action: str
    prefix: str = ""
    model: str | None = None


class Routes:
    """The paths of all apis, indexed by method and length; a path with the model in it is a pattern."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._rows: dict[tuple[str, int], list[tuple[tuple[str, ...], Api, str, str]]] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Api, str, str]] = []
        for owner, api in ((provider.id, api) for provider in providers for api in provider.apis):
            for method, suffix, action in _suffixes(api):
                if _MODEL in suffix:
                    self._patterns.append((method, _pattern(suffix), api, owner, action))
                else:
                    segments = tuple(suffix.split("/"))
                    self._rows.setdefault((method, len(segments)), []).append((segments, api, owner, action))
        self._longest = max((length for _, length in self._rows), default=0)

    def find(self, method: str, path: str) -> Route | None:
        """The route of a request by the last segments of its path (without query); `None` when no api matches."""
        path = path.rstrip("/")
        for row_method, pattern, api, owner, action in self._patterns:
            found = pattern.fullmatch(path) if row_method == method.upper() else None
            if found is not None:
                return Route(api, owner, action, found["prefix"].rstrip("/"), found["model"])
        segments = path.split("/")
        # The longest first: /chat/completions also ends in /completions.
        for length in range(min(self._longest, len(segments)), 0, -1):
            last, before = segments[-length:], segments[:-length]
            for suffix, api, owner, action in self._rows.get((method.upper(), length), ()):
                if all(map(_fits, suffix, last)):
                    if before[-2:] == _NEVER_BEFORE:
                        return None
                    if suffix[0] == _VERSION:
                        before.append(_VERSION)
                    return Route(api, owner, action, *_deployment(before))
        return None


def _suffixes(api: Api) -> list[tuple[str, str, str]]:
    """Method, suffix and action of each path of *api*."""
    return [
        *(("POST", suffix, "create") for suffix in api.paths),
        *((SOCKET, suffix, "create") for suffix in api.sockets),
        *((method, suffix, "retrieve") for method, suffix in api.retrieves),
    ]


def _pattern(suffix: str) -> re.Pattern[str]:
    """A pattern for whole paths, unquoted: an ARN has slashes. `count-tokens` is no model (Claude at Vertex)."""
    parts = re.split(r"(\{model\}|\{\})", suffix)
    shapes = {_MODEL: "(?P<model>(?!count-tokens:).+)", "{}": "[^/]+"}
    return re.compile("(?P<prefix>(?:.*/)?)" + "".join(shapes.get(part) or re.escape(part) for part in parts))


def _fits(asked: str, given: str) -> bool:
    """Whether a segment of a path matches a segment of a suffix."""
    return given not in _NO_IDS if asked == "{}" else asked == given


def _deployment(before: list[str]) -> tuple[str, str | None]:
    """Split Azure's `/openai/deployments/<name>` off the prefix; return the rest and the deployment."""
    if len(before) >= 3 and before[-2] == "deployments" and before[-3] == "openai" and before[-1]:
        return "/".join(before[:-2]), before[-1]
    return "/".join(before), None
