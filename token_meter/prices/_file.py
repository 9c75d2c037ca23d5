"""Reads a price book from TOML or JSON, whose keys are the arguments of `PriceBook` and `Rates`."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from token_meter._text import suggestion
from token_meter.exceptions import ConfigError
from token_meter.prices._rates import Rates

_KEYS = frozenset({"name", "on_unpriced", "overrides", "multipliers", "models", "hosts", "web_search", "fees"})
_MODEL_KEYS = frozenset({"base_url", "name", "model"})


def read_book(path: Path) -> dict[str, Any]:
    """Read the arguments of a `PriceBook` from *path*. Numbers keep their digits, and never become floats.

    Raises:
        ConfigError: the file cannot be read, or is not valid.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        msg = f"it cannot be read: {exc.strerror if isinstance(exc, OSError) else 'it is not UTF-8'}"
        raise ConfigError(msg) from exc
    data = _parse(text, path.suffix.lower())
    if not isinstance(data, dict):
        msg = f"it must hold a table with {', '.join(sorted(_KEYS))}"
        raise ConfigError(msg)
    for key in data:
        if key not in _KEYS:
            msg = f"{key!r} is not a key{suggestion(key, sorted(_KEYS))}; keys are {', '.join(sorted(_KEYS))}"
            raise ConfigError(msg)
    models: dict[tuple[str, str], str] = {}
    for row in _list(data, "models"):
        deployment, model = _deployment(row)
        if deployment in models:
            msg = f"models names {deployment[1]!r} twice for one base_url"
            raise ConfigError(msg)
        models[deployment] = model
    return {
        "name": data.get("name", path.name),
        "on_unpriced": data.get("on_unpriced", "warn"),
        "overrides": [_row(row) for row in _list(data, "overrides")],
        "multipliers": data.get("multipliers"),
        "models": models,
        "hosts": data.get("hosts"),
        "web_search": data.get("web_search"),
        "fees": data.get("fees"),
    }


def _parse(text: str, suffix: str) -> Any:
    if suffix == ".toml":
        import tomllib

        try:
            return tomllib.loads(text, parse_float=Decimal)
        except (ValueError, RecursionError, ArithmeticError) as exc:
            msg = f"it is not valid TOML: {exc}"
            raise ConfigError(msg) from exc
    if suffix == ".json":
        import json

        try:
            return json.loads(text, parse_float=Decimal)
        except (ValueError, RecursionError, ArithmeticError) as exc:
            msg = f"it is not valid JSON: {exc}"
            raise ConfigError(msg) from exc
    msg = "its name must end in .toml or .json"
    raise ConfigError(msg)


def _row(row: Any) -> Rates:
    if not isinstance(row, dict) or "provider" not in row or "model" not in row:
        msg = "each of overrides must be a table with provider, model and rates"
        raise ConfigError(msg)
    options = dict(row)
    return Rates(options.pop("provider"), options.pop("model"), **options)


def _deployment(row: Any) -> tuple[tuple[str, str], str]:
    if not isinstance(row, dict) or set(row) != _MODEL_KEYS or not all(isinstance(word, str) for word in row.values()):
        msg = f"each of models must be a table with {', '.join(sorted(_MODEL_KEYS))}, all strings"
        raise ConfigError(msg)
    return (row["base_url"], row["name"]), row["model"]


def _list(data: Mapping[str, Any], key: str) -> list[Any]:
    rows = data.get(key, [])
    if not isinstance(rows, list):
        msg = f"{key} must be a list of tables, not {type(rows).__name__}"
        raise ConfigError(msg)
    return rows
