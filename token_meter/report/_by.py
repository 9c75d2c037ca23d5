"""What rows are by, and their names: several keys as one that people read and programs can take apart again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import TypeAlias

from token_meter._text import suggestion
from token_meter.exceptions import ConfigError

By: TypeAlias = str
"""One of `BY`, or `tag:NAME`; or two of them with a comma, such as `day,tag:customer`."""
BY = ("test", "model", "file", "label", "tag", "process", "day")
_BETWEEN = ", "
_read = json.JSONDecoder().raw_decode


def is_by(text: object) -> bool:
    """Whether rows can be grouped by it. A tag's name is one word: it stands in the headings of every format."""
    parts = text.split(",") if isinstance(text, str) else []
    are_known = all(part in BY or re.fullmatch(r"tag:[\w.-]{1,60}", part) for part in parts)
    return 1 <= len(parts) <= 2 and are_known and len(set(parts)) == len(parts)


def check_by(text: str) -> str:
    """Check what rows are grouped by, and return it.

    Raises:
        ConfigError: it is none of `BY`, nor `tag:NAME`.
    """
    if is_by(text):
        return text
    parts = text.split(",") if isinstance(text, str) else []
    wrong = next((part for part in parts if len(parts) <= 2 and not is_by(part)), text)
    # `customer` and `tags:customer` are what is tried first where `tag:customer` is meant.
    name = wrong.rpartition(":")[2]
    meant = suggestion(wrong, BY) or (f"; for a tag: 'tag:{name}'" if is_by(f"tag:{name}") else "")
    msg = f"a report is by {', '.join(BY)} or tag:NAME, or by two of them (day,model), not {text!r}{meant}"
    raise ConfigError(msg)


def joined(names: Iterable[str]) -> str:
    """The names with commas between them; one that has a comma itself, or begins as if quoted, stands in quotes."""
    return _BETWEEN.join(
        json.dumps(name, ensure_ascii=False) if _BETWEEN in name or name[:1] == '"' else name for name in names
    )


def parts_of(name: str) -> list[str]:
    """The names that were joined."""
    parts: list[str] = []
    rest: str | None = name
    while rest is not None:
        part, rest = _first(rest)
        parts.append(part)
    return parts


def _first(names: str) -> tuple[str, str | None]:
    """The first of them, and the others, if there are any."""
    if names.startswith('"'):
        try:
            part, end = _read(names)
        except ValueError:  # of a report that was written before names stood in quotes
            end = -1
        if end == len(names):
            return part, None
        if names.startswith(_BETWEEN, end) and end > 0:
            return part, names[end + len(_BETWEEN) :]
    part, comma, rest = names.partition(_BETWEEN)
    return part, rest if comma else None


def keys_of_row(by: By, name: str) -> tuple[str, ...]:
    """What a row of this name stands for: one key, or two where rows are by two things."""
    parts = parts_of(name) if "," in by else []
    return (parts[0], parts[1]) if len(parts) == 2 else (name,)  # (other) is one
