"""Reads a price book from TOML or JSON, whose keys are the arguments of `PriceBook` and `Rates`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from token_meter._text import suggestion
from token_meter.exceptions import ConfigError
from token_meter.prices._list_file import FileList, list_of, parse_json, read_list, text_of
from token_meter.prices._listed import Listed
from token_meter.prices._rates import Rates

T = TypeVar("T")
_KEYS = frozenset({
    "name", "on_unpriced", "overrides", "listed", "public", "multipliers", "models", "hosts", "web_search", "currency",
    "fees",
})  # fmt: skip
_MODEL_KEYS = frozenset({"base_url", "name", "model"})


def read_book(path: Path) -> dict[str, Any]:
    """Read the arguments of a `PriceBook` from *path*. Numbers keep their digits, and never become floats.

    Raises:
        ConfigError: the file cannot be read, or is not valid.
    """
    text, suffix = text_of(path), path.suffix.lower()
    if suffix == ".json" and (found := list_of(text, parse_json)) is not None:
        return {"public": found}  # a list of prices can be named as a book is
    data = _parse(text, suffix)
    if not isinstance(data, dict):
        msg = f"it must hold a table with {', '.join(sorted(_KEYS))}"
        raise ConfigError(msg)
    for key in data:
        if key not in _KEYS:
            msg = f"{key!r} is not a key{suggestion(key, sorted(_KEYS))}; keys are {', '.join(sorted(_KEYS))}"
            raise ConfigError(msg)
    _check_currency(data, "it")
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
        "overrides": [_row(row, Rates, "overrides") for row in _list(data, "overrides")],
        "listed": [_row(row, Listed, "listed") for row in _list(data, "listed")],
        "public": _public(data.get("public"), path),
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
        return parse_json(text)
    msg = "its name must end in .toml or .json"
    raise ConfigError(msg)


def _row(row: Any, kind: Callable[..., T], key: str) -> T:
    if not isinstance(row, dict) or "provider" not in row or "model" not in row:
        msg = f"each of {key} must be a table with provider, model and rates"
        raise ConfigError(msg)
    options = dict(row)
    _check_currency(options, f"{key}: {row['model']!r}")
    options.pop("currency", None)
    return kind(options.pop("provider"), options.pop("model"), **options)


def _check_currency(table: Mapping[str, Any], where: str) -> None:
    currency = table.get("currency", "USD")
    if currency != "USD":
        msg = f"{where} is in {currency!r}; prices are US dollars: convert the rates, and leave currency out"
        raise ConfigError(msg)


def _public(named: Any, book: Path) -> FileList | None:
    """The list that a book names, relative to the book."""
    if named is None:
        return None
    if not isinstance(named, str) or not named.strip():
        msg = f'public must be the path of a list of prices, such as "token-meter-prices.json", not {named!r}'
        raise ConfigError(msg)
    return read_list(book.parent / named)


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
