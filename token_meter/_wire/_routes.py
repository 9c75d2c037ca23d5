"""Which paths are ours, and which flavour answers there. Knows no host and no body.

To add a flavour: one file beside this one, one row in ROUTES.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from token_meter._wire._flavour import Flavour
from token_meter._wire.anthropic import ANTHROPIC
from token_meter._wire.audio import SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from token_meter._wire.chat import CHAT
from token_meter._wire.compaction import COMPACTION
from token_meter._wire.completions import COMPLETIONS
from token_meter._wire.decisions import DECISIONS
from token_meter._wire.embeddings import EMBEDDINGS
from token_meter._wire.images import IMAGES
from token_meter._wire.moderations import MODERATIONS
from token_meter._wire.realtime import LIVE, REALTIME, REALTIME_TRANSLATIONS
from token_meter._wire.responses import RESPONSES
from token_meter._wire.runs import RUNS
from token_meter._wire.videos import VIDEOS

ROUTES: tuple[Flavour, ...] = (
    CHAT,
    RESPONSES,
    COMPLETIONS,
    EMBEDDINGS,
    IMAGES,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    SPEECH,
    VIDEOS,
    MODERATIONS,
    DECISIONS,
    COMPACTION,
    RUNS,
    ANTHROPIC,
    REALTIME,
    REALTIME_TRANSLATIONS,
    LIVE,
)
FLAVOURS: dict[str, Flavour] = {flavour.name: flavour for flavour in ROUTES}
UNKNOWN = Flavour("unknown")
SOCKET = "WS"
"""Stands where an HTTP request has its method: what is asked on a websocket is no POST to the same path."""

# Reports of other spending (/organization/usage/completions) and estimates (/responses/input_tokens).
_NEVER_BEFORE = ["organization", "usage"]
_VERSION = "v1"
_NO_IDS = frozenset({"", "input_tokens", "compact"})


class Route(NamedTuple):
    """What a path says about the call that goes there.

    Attributes:
        flavour: the name of the api flavour.
        action: `create`, or `retrieve` of what was created before.
        prefix: what stands before the suffix, and before Azure's `/deployments/…`.
        deployment: the Azure deployment that the path names.
        metered: an answer may carry usage.
    """

    flavour: str
    action: str
    prefix: str = ""
    deployment: str | None = None
    metered: bool = True


def _rows() -> dict[tuple[str, int], list[tuple[tuple[str, ...], Flavour, str]]]:
    """The suffixes by method and length; `{}` stands for one segment."""
    rows: dict[tuple[str, int], list[tuple[tuple[str, ...], Flavour, str]]] = {}
    for flavour in ROUTES:
        creates = [("POST", suffix, "create") for suffix in flavour.paths]
        connects = [(SOCKET, suffix, "create") for suffix in flavour.sockets]
        retrieves = [(method, suffix, "retrieve") for method, suffix in flavour.retrieves]
        for method, suffix, action in creates + connects + retrieves:
            segments = tuple(suffix.split("/"))
            rows.setdefault((method, len(segments)), []).append((segments, flavour, action))
    return rows


_ROWS = _rows()
_LONGEST = max(length for _, length in _ROWS)


@lru_cache(maxsize=1024)
def route_of(method: str, path: str) -> Route | None:
    """The route of a request, by the whole last segments of its path (without query); `None` when it is not ours."""
    segments = path.rstrip("/").split("/")
    for length in range(min(_LONGEST, len(segments)), 0, -1):  # the longest first: /chat/completions is no /completions
        last, before = segments[-length:], segments[:-length]
        for suffix, flavour, action in _ROWS.get((method.upper(), length), ()):
            if all(map(_fits, suffix, last)):
                if before[-2:] == _NEVER_BEFORE:
                    return None
                if suffix[0] == _VERSION:
                    before.append(_VERSION)
                return Route(flavour.name, action, *_deployment(before), flavour.metered)
    return None


def _fits(asked: str, given: str) -> bool:
    """Whether a segment of a path is the one that a suffix asks for."""
    return given not in _NO_IDS if asked == "{}" else asked == given


def _deployment(before: list[str]) -> tuple[str, str | None]:
    """Split Azure's `/openai/deployments/<name>` off."""
    if len(before) >= 3 and before[-2] == "deployments" and before[-3] == "openai" and before[-1]:
        return "/".join(before[:-2]), before[-1]
    return "/".join(before), None
