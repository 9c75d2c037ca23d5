"""Where a bill comes from: a saved file of any provider, or its admin endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from token_meter.bills import _anthropic, _openai, _others
from token_meter.bills._rows import Bill
from token_meter.exceptions import ConfigError, LedgerError

SCHEMA = "token-meter/bill/v1"
_PARSERS: Mapping[str, Callable[[Any], Bill]] = {
    "openai": _openai.parse,
    "anthropic": _anthropic.parse,
    "openrouter": lambda pages: _others.openrouter(row for page in pages["activity"] for row in page["data"]),
}
FETCHERS: Mapping[str, Callable[[int, int, str | None], dict[str, Any]]] = {
    "openai": _openai.fetch,
    "anthropic": _anthropic.fetch,
}


def saved(provider: str, pages: Mapping[str, Any]) -> str:
    """The text of a file that is read as the live answer was."""
    return json.dumps({"schema": SCHEMA, "provider": provider, "pages": pages}, indent=1, default=_exact) + "\n"


def _exact(value: Decimal) -> float:
    """A JSON number. Providers write at most 17 digits, which a float keeps."""
    return float(value)


def parse(provider: str, pages: Mapping[str, Any]) -> Bill:
    """The rows of the pages of one provider."""
    return _PARSERS[provider](pages)


def read_bill(path: Path) -> Bill:
    """Read what `--save` wrote, pages as a provider answers them (one, or a list), or a FOCUS export (CSV).

    Raises:
        LedgerError: it is none of these.
    """
    text = _text_of(path)
    if not text.lstrip().startswith(("{", "[")):
        return _others.focus(text, path.name)
    try:
        found = json.loads(text, parse_float=Decimal)
        if isinstance(found, dict) and "schema" in found:
            return _saved(found)
        return _bare(found if isinstance(found, list) else [found])
    except ConfigError as exc:
        msg = f"{str(path)!r}: {exc}"
        raise LedgerError(msg) from None
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as exc:
        why = f"{type(exc).__name__}: {exc}" if isinstance(exc, ValueError | ArithmeticError) else type(exc).__name__
        msg = f"{str(path)!r} is no bill that is known ({why}); expected saved pages of a provider, or a FOCUS export"
        raise LedgerError(msg) from None


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as exc:
        msg = f"{str(path)!r} cannot be read: {exc.strerror}"
        raise LedgerError(msg) from exc
    if not data.strip():
        msg = f"{str(path)!r} is empty"
        raise LedgerError(msg)
    if data.startswith(b"PAR1"):
        msg = f"{str(path)!r} is Parquet; a bill is JSON, or a FOCUS export as CSV"
        raise LedgerError(msg)
    try:
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        what = "compressed" if data[:2] == b"\x1f\x8b" else "no text"
        msg = f"{str(path)!r} is {what}; a bill is JSON, or a FOCUS export as CSV"
        raise LedgerError(msg) from None


def _saved(found: dict[str, Any]) -> Bill:
    if found["schema"] != SCHEMA:
        msg = f"it is {found['schema']}, not {SCHEMA}"
        raise ConfigError(msg)
    if found["provider"] not in _PARSERS:
        msg = f"bills of {found['provider']} are not known; those of {', '.join(_PARSERS)} are"
        raise ConfigError(msg)
    return parse(found["provider"], found["pages"])


def _bare(pages: list[dict[str, Any]]) -> Bill:
    """Pages as endpoints wrote them: the rows of each say which it was. A list may also be the rows of an activity."""
    if pages and "date" in pages[0]:
        return parse("openrouter", {"activity": [{"data": pages}]})
    bills = []
    for page in pages:
        if "data" not in page and "error" in page:
            msg = f"it is an error of the provider: {str(page['error'])[:200]}"
            raise ConfigError(msg)
        bucket: dict[str, Any] = next(iter(page["data"]), {})
        row: dict[str, Any] = next((row for bucket in page["data"] for row in bucket.get("results", ())), {})
        if "date" in bucket:
            bills.append(parse("openrouter", {"activity": [page]}))
        elif "starting_at" in bucket:
            bills.append(parse("anthropic", {"cost_report" if "amount" in row else "usage_report/messages": [page]}))
        elif "start_time" in bucket:
            bills.append(parse("openai", {"costs" if "amount" in row else "usage/completions": [page]}))
        elif bucket:
            msg = "its rows are of no shape that is known"
            raise ValueError(msg)
    return Bill().plus(bills)
