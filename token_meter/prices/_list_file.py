"""A list of prices in a file: dated and hashed by `token-meter prices update`, or as LiteLLM and genai-prices have it.

A dated file is a JSON object whose last key is `data`; the hash is that of the text behind it. Reading one never uses
the network; its rows are made when a price is first asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from token_meter.exceptions import ConfigError
from token_meter.prices import _public
from token_meter.prices._litellm import MOST, is_litellm, rows_of
from token_meter.prices._rate_card import RateTable
from token_meter.prices._validation import rate_of

MARK = '{"token_meter_prices": 1,'
"""What a dated file begins with."""
_DATA = '"data":'
_AGAIN = "write it again: token-meter prices update"
GENAI, LITELLM = "genai-prices", "litellm"
_HOLDERS = {GENAI: list, LITELLM: dict}
_Rates = dict[tuple[str, str], dict[tuple[str, str], RateTable]]


class FileList:
    """The prices of one file.

    Attributes:
        kind: `genai-prices` or `litellm`: whose data it is.
        as_of: the day of the data; `None` for a file without a date.
        digest: the start of the SHA-256 of the data.
        origin: where the data came from, as the update has noted it.
    """

    def __init__(self, kind: str, raw: Any, digest: str, as_of: date | None = None, origin: str = "") -> None:
        self.kind, self.digest, self.as_of, self.origin = kind, digest[:12], as_of, origin
        self.raw = raw
        self._is_read = False
        _public.unread += 1

    @property
    def label(self) -> str:
        """What the source of a price says."""
        what = "litellm file" if self.kind == LITELLM else "genai-prices data"
        return f"{what} of {self.as_of or 'an unknown day'} (sha256 {self.digest})"

    @property
    def stamp(self) -> str:
        return f"{self.label} + {_public.stamp()}"

    @property
    def current(self) -> object | None:
        return _public.current() if self._is_read else None

    @cached_property
    def data(self) -> Any:
        """The snapshot of genai-prices; `None` for other kinds."""
        found = snapshot_of(self.raw) if self.kind == GENAI else None
        if not self._is_read:
            self._is_read = True
            _public.unread -= 1
        return found

    @cached_property
    def rates(self) -> _Rates:
        """The rates by provider and model, then by tier; none for genai-prices' own data."""
        found: _Rates = {}
        if self.kind == LITELLM:
            rows = rows_of(self.raw) if is_litellm(self.raw) else _written(self.raw)
            for provider, model, tier, processing, sheet in rows:
                found.setdefault((provider, model), {})[tier, processing] = sheet
        return found

    def checked(self) -> FileList:
        """The list, after all of it was read.

        Raises:
            ConfigError: a row is not valid.
        """
        if self.kind == GENAI:
            _check_providers(self.raw)
        if self.data is None and not self.rates:
            msg = "it has no price per token"
            raise ConfigError(msg)
        return self

    def own(self, provider: str, model: str, tier: str, processing: str) -> RateTable | None:
        return self.rates.get((provider, model), {}).get((tier, processing))

    def pairs(self, provider: str, model: str) -> Iterable[tuple[str, str]]:
        return self.rates.get((provider, model), {})

    def names(self, provider: str) -> Iterable[str]:
        return [model for owner, model in self.rates if owner == provider]

    def providers(self) -> Iterable[str]:
        return {owner for owner, _ in self.rates}


def read_list(path: str | os.PathLike[str]) -> FileList:
    """Read a list of any kind.

    Raises:
        ConfigError: it cannot be read, is none, or is not as it was written.
    """
    file = Path(path)
    try:
        found = list_of(text_of(file), parse_json)
    except ConfigError as error:
        msg = f"price list {file.name}: {error}"
        raise ConfigError(msg) from None
    if found is None:
        msg = f"price list {file.name}: it is no list of prices; {EXPECTED}"
        raise ConfigError(msg)
    return found


EXPECTED = (
    "it must be a file of `token-meter prices update`, LiteLLM's model_prices_and_context_window.json, or "
    "genai-prices' data.json"
)


def list_of(text: str, parse: Any) -> FileList | None:
    """The list that a text holds; `None` when it is none. *parse* reads JSON.

    Raises:
        ConfigError: it is one, and cannot be read.
    """
    if text.startswith(MARK):
        return _dated(text)
    data = parse(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    if is_litellm(data):
        return FileList(LITELLM, data, digest).checked()
    if isinstance(data, list) and data and all(isinstance(row, dict) and "models" in row for row in data):
        return FileList(GENAI, json.loads(text), digest).checked()
    return None


def text_of(file: Path) -> str:
    """The text of a file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"it cannot be read: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8'}"
        raise ConfigError(msg) from None


def parse_json(text: str) -> Any:
    """Read JSON with its digits; a name that stands twice in one table is an error.

    Raises:
        ConfigError: it is not valid.
    """

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            msg = f"{next(name for name in names if names.count(name) > 1)!r} stands twice in one table; keep one"
            raise ConfigError(msg)
        return found

    try:
        return json.loads(text, parse_float=Decimal, object_pairs_hook=table)
    except (ValueError, RecursionError, ArithmeticError) as error:
        msg = f"it is not valid JSON: {error}"
        raise ConfigError(msg) from None


def dated(kind: str, rows: Iterable[Any], day: date, origin: str) -> str:
    """The text of a dated file: a row a line, so that a diff shows what has changed."""
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows]
    body = "[\n" + ",\n".join(lines) + "\n]"
    digest = hashlib.sha256(body.encode()).hexdigest()
    head = {"date": day.isoformat(), "format": kind, "from": origin, "sha256": digest}
    told = "\n".join(f"{json.dumps(name)}: {json.dumps(value)}," for name, value in head.items())
    return f"{MARK}\n{told}\n{_DATA}\n{body}\n}}\n"


def _dated(text: str) -> FileList:
    head, mark, body = text.partition(_DATA)
    body = body.rstrip()
    if not mark or not body.endswith("}"):
        msg = f"it ends before its data does; {_AGAIN}"
        raise ConfigError(msg)
    body = body[:-1].strip()
    try:
        told = json.loads(f"{head}{_DATA} 0}}")
        kind, day, digest = told["format"], date.fromisoformat(told["date"]), told["sha256"]
        if kind not in _HOLDERS or not isinstance(digest, str):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        msg = f"its first lines must name date, format and sha256; {_AGAIN}"
        raise ConfigError(msg) from None
    if hashlib.sha256(body.encode()).hexdigest() != digest:
        msg = (
            f"it was changed after it was written (its sha256 is another); put own rates in a price file, and {_AGAIN}"
        )
        raise ConfigError(msg)
    return FileList(kind, json.loads(body), digest, day, str(told.get("from", "")))


def _written(rows: list[Any]) -> Iterable[Any]:
    """The rows of a dated file, whose rates are strings."""
    try:
        for provider, model, tier, processing, bands in rows:
            sheet = tuple((int(start), {u: rate_of(rate, u) for u, rate in rates.items()}) for start, rates in bands)
            yield provider, model, tier, processing, sheet
    except (ValueError, TypeError, AttributeError) as error:
        msg = f"a row of it is none of ours ({error}); {_AGAIN}"
        raise ConfigError(msg) from None


def snapshot_of(raw: Any) -> Any:
    """genai-prices' own snapshot of its published data, for this process's reading only: nothing global changes.

    Raises:
        ConfigError: the installed version cannot read it.
    """
    from genai_prices import types
    from genai_prices.data_snapshot import DataSnapshot

    # 0.2.0 to 0.2.3 have no public way from data to providers but a fetch; `make compat` asks each release for it.
    read = getattr(types, "_providers_from_raw", None)
    if read is None:
        msg = f"genai-prices {_public.version()} cannot read a list from a file; install another version of it"
        raise ConfigError(msg)
    try:
        return DataSnapshot(providers=read(raw), from_auto_update=False)
    except Exception as error:  # noqa: BLE001  # foreign code over foreign data
        what = " ".join(str(error).split())[:200]
        msg = f"genai-prices {_public.version()} does not understand its rows ({what}); pip install -U genai-prices"
        raise ConfigError(msg) from None


def _check_providers(rows: list[Any]) -> None:
    """What genai-prices' own reading lets pass: a name that stands twice, a rate that cannot be, another currency."""
    seen: set[tuple[str, str]] = set()
    for provider in rows:
        _check_rates({**provider, "models": []}, str(provider.get("id")))
        for model in provider["models"] if isinstance(provider["models"], list) else ():
            pair = str(provider.get("id")), str(model.get("id")) if isinstance(model, dict) else ""
            if pair in seen:
                msg = f"it has {pair[1]} at {pair[0]} twice; keep one"
                raise ConfigError(msg)
            seen.add(pair)
            where = " at ".join(reversed(pair))
            if not isinstance(model, dict) or model.get("prices") in (None, []):
                msg = f"{where} has no prices"
                raise ConfigError(msg)
            _check_rates(model, where)


def _check_rates(value: Any, where: str) -> None:
    if isinstance(value, dict):
        if value.get("currency", "USD") != "USD":
            msg = f"{where} is priced in {value['currency']!r}; prices are US dollars: convert it, or take it out"
            raise ConfigError(msg)
        for key, inner in value.items():
            if isinstance(inner, (int, float)) and not inner >= 0:
                msg = f"{where}: {key} must be at least 0, not {inner}"
                raise ConfigError(msg)
            if isinstance(inner, (int, float)) and key.endswith("_mtok") and inner > MOST:
                msg = f"{where}: {key} is in US dollars per 1M tokens, and {inner} is more than {MOST}"
                raise ConfigError(msg)
            if key in ("regex", "api_pattern") and isinstance(inner, str):
                _check_pattern(inner, where)
            _check_rates(inner, where)
    elif isinstance(value, list):
        for inner in value:
            _check_rates(inner, where)


def _check_pattern(pattern: str, where: str) -> None:
    """Look at a pattern now, which genai-prices compiles at the first look-up of any model."""
    try:
        re.compile(pattern)
    except re.error as error:
        msg = f"{where}: {pattern!r:.80} is no pattern ({error})"
        raise ConfigError(msg) from None
