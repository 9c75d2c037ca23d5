"""Where a bill comes from: a saved file of any provider, or its admin endpoints."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from token_meter.bills import _anthropic, _openai, _others
from token_meter.bills._rows import Bill
from token_meter.exceptions import LedgerError

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
    """Read what `--save` wrote, a page as the provider answers it (or a list of pages), or a FOCUS export (CSV).

    Raises:
        LedgerError: it is none of these.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        msg = f"{str(path)!r} cannot be read: {exc.strerror}"
        raise LedgerError(msg) from exc
    if not text.lstrip().startswith(("{", "[")):
        return _others.focus(text, path.name)
    try:
        found = json.loads(text, parse_float=Decimal)
        if isinstance(found, dict) and found.get("schema") == SCHEMA:
            return parse(found["provider"], found["pages"])
        return _bare(found if isinstance(found, list) else [found])
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as exc:
        why = "expected saved pages of a provider, or a FOCUS export"
        msg = f"{str(path)!r} is no bill that is known ({type(exc).__name__}); {why}"
        raise LedgerError(msg) from None


def _bare(pages: list[dict[str, Any]]) -> Bill:
    """Pages as an endpoint wrote them: their rows say which it was."""
    bucket: dict[str, Any] = next((bucket for page in pages for bucket in page["data"]), {})
    if "date" in bucket:
        return parse("openrouter", {"activity": pages})
    row: dict[str, Any] = next(
        (row for page in pages for bucket in page["data"] for row in bucket.get("results", ())), {}
    )
    if "starting_at" in bucket:
        return parse("anthropic", {"cost_report" if "amount" in row else "usage_report/messages": pages})
    if "start_time" in bucket:
        return parse("openai", {"costs" if "amount" in row else "usage/completions": pages})
    raise ValueError
