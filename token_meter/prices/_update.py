"""Writes a dated file of list prices, at a person's word: only `token-meter prices update` comes here.

This is the one module that may fetch anything, and nothing that runs in a program imports it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from token_meter.exceptions import ConfigError
from token_meter.prices import _list_file, _litellm, _overlay

_LARGEST = 64 * 1024 * 1024
_PATIENCE_S = 30
_FIRST = date(2023, 1, 1)
_KEPT = "nothing was changed"


class Updated(NamedTuple):
    """What an update has done: the list that holds now, and how its models differ from those of the one before."""

    held: _list_file.FileList
    models: int
    new: int
    changed: int
    gone: int


def update(source: str | None, target: Path, *, day: date | None = None, may_go_back: bool = False) -> Updated:
    """Write the list of *source* (a file, a URL; `None`: genai-prices' published data) to *target*.

    Where the list is refused, *target* stays as it is.

    Raises:
        ConfigError: the list cannot be read, is not valid, or is older than the one in *target*.
    """
    target = target.resolve()  # where a link leads to
    before = _held(target)
    today = _today() if day is None else day
    if source is not None and re.match(r"(?!https?:)[a-z]+://", source):
        msg = f"an address must begin with https:// or http://, not {source.partition('//')[0]}//; {_KEPT}"
        raise ConfigError(msg)
    if source is None or re.match(r"https?://", source):
        data, origin, found = _fetched(source or _published_at())
        dated_on = today
    else:
        data, origin, found = _read(Path(source))
        # A file is as old as its last change, unless its time is that of no file, as in an archive.
        dated_on = found if day is None and _FIRST <= found < today else today
    try:
        held, text = _dated(data, dated_on, origin)
    except ConfigError as error:
        msg = f"{origin}: {error}; {_KEPT}"
        raise ConfigError(msg) from None
    if before is not None and before.as_of and held.as_of and held.as_of < before.as_of and not may_go_back:
        msg = (
            f"{origin} is of {held.as_of}, older than {target.name}, which is of {before.as_of}; {_KEPT}; "
            "--force takes it all the same"
        )
        raise ConfigError(msg)
    _replace(target, text)
    now, then = _models(held), {} if before is None else _models(before)
    changed = sum(name in then and then[name] != row for name, row in now.items())
    return Updated(held, len(now), len(now.keys() - then.keys()), changed, len(then.keys() - now.keys()))


def _held(target: Path) -> _list_file.FileList | None:
    """The list that *target* holds; one that was cut or changed by hand may be replaced, any other file may not."""
    if not target.exists():
        return None
    text = "" if target.is_dir() else target.read_text(encoding="utf-8", errors="replace")
    if not text.startswith(_list_file.MARK):
        msg = f"{target} is there, and no list that token-meter has written; {_KEPT}; give another file by --to"
        raise ConfigError(msg)
    try:
        return _list_file.read_list(target)
    except ConfigError:
        return None


def _today() -> date:
    today = datetime.fromtimestamp(time.time(), UTC).date()
    if today < date.fromisoformat(_overlay.AS_OF):
        msg = (
            f"this machine's clock says {today}, before the day of this release ({_overlay.AS_OF}); {_KEPT}; "
            "set the clock, or give the day of the prices by --date"
        )
        raise ConfigError(msg)
    return today


def _published_at() -> str:
    from genai_prices.update_prices import DEFAULT_UPDATE_URL

    return DEFAULT_UPDATE_URL


def _fetched(url: str) -> tuple[bytes, str, date]:
    from http.client import HTTPException
    from urllib.error import URLError
    from urllib.parse import urlsplit
    from urllib.request import Request, urlopen

    parts = urlsplit(url)
    origin = f"{parts.hostname or ''}{parts.path}"  # no user, no password, no query
    try:
        with urlopen(Request(url, headers={"User-Agent": "token-meter"}), timeout=_PATIENCE_S) as answer:
            data: bytes = answer.read(_LARGEST + 1)
    except (URLError, HTTPException, OSError, ValueError) as error:
        why = getattr(error, "reason", None) or error
        msg = f"{origin} cannot be fetched ({why}); {_KEPT}; load it elsewhere, and give the file: --from FILE"
        raise ConfigError(msg) from None
    return _small_enough(data, origin), origin, date.max


def _read(file: Path) -> tuple[bytes, str, date]:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST + 1)
        changed = datetime.fromtimestamp(file.stat().st_mtime, UTC).date()
    except (OSError, OverflowError, ValueError) as error:
        msg = f"{file.name} cannot be read: {getattr(error, 'strerror', None) or error}; {_KEPT}"
        raise ConfigError(msg) from None
    return _small_enough(data, file.name), file.name, changed


def _small_enough(data: bytes, origin: str) -> bytes:
    if len(data) > _LARGEST:
        msg = f"{origin} has more than {_LARGEST // 1024 // 1024} MiB, which no list of prices has; {_KEPT}"
        raise ConfigError(msg)
    return data


def _dated(data: bytes, day: date, origin: str) -> tuple[_list_file.FileList, str]:
    """The list, read whole, and the text of its file."""
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        msg = f"byte {error.start} is not UTF-8, so it is no list of prices"
        raise ConfigError(msg) from None
    found = _list_file.list_of(text, _list_file.parse_json)
    if found is None:
        msg = f"it is no list of prices; {_list_file.EXPECTED}"
        raise ConfigError(msg)
    if found.as_of is not None:  # such a file already, with a day of its own
        return found.checked(), text
    if found.kind == _list_file.GENAI:
        rows: Any = found.raw
    else:
        rows = [
            [r.provider, r.model, r.tier, r.processing, [[start, _shown(rates)] for start, rates in r.sheet]]
            for r in _litellm.rows_of(found.raw)
        ]
    text = _list_file.dated(found.kind, rows, day, origin)
    written = _list_file.list_of(text, _list_file.parse_json)
    assert written is not None
    return written.checked(), text


def _shown(rates: Any) -> dict[str, str]:
    return {unit: f"{rate.normalize():f}" for unit, rate in rates.items()}


def _models(held: _list_file.FileList) -> dict[tuple[str, str], str]:
    """Each model of a list with what it costs, as a text that can be compared."""
    if held.kind == _list_file.GENAI:
        return {
            (provider.get("id"), model.get("id")): json.dumps([model.get("prices"), model.get("price_variants")])
            for provider in held.raw
            for model in provider["models"]
        }
    return {pair: repr(sorted(tiers.items())) for pair, tiers in held.rates.items()}


def _replace(target: Path, text: str) -> None:
    """Put *text* in the place of *target*, whole or not at all."""
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644 if not target.exists() else target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
