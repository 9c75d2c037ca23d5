"""Which paths of a provider cost nothing, by patterns: of a request that matches no api."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_VERSION = re.compile(r"^(?:openai/)?(?:v\d+[a-z0-9]*/)?")


@lru_cache(maxsize=256)
def _path(pattern: str) -> re.Pattern[str]:
    """A pattern of paths: `*` is any part of one segment, `**` any number of segments."""
    shapes = {"**": ".*", "*": "[^/]*"}
    return re.compile("".join(shapes.get(part) or re.escape(part) for part in re.split(r"(\*\*|\*)", pattern)))


def is_free(path: str, patterns: Iterable[str]) -> bool:
    """Whether *path*, without a leading version, fits one of *patterns*."""
    rest = _VERSION.sub("", path.strip("/"))
    return any(_path(free).fullmatch(rest) for free in patterns)
