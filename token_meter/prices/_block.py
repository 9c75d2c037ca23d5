"""Rows of a price file as TOML text: what `prices add` and `prices init` write."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from token_meter._money import parse_usd
from token_meter.exceptions import ConfigError

_START = """\
# Private prices of token_meter, in US dollars per 1M tokens. docs/prices.md has every key.
# name = "acme 2026"
# on_unpriced = "warn"
{public}
# A contract price: it replaces the list price of that model and tier as a whole.
# [[overrides]]
# provider = "openai"
# model = "gpt-6.1-terra"
# input = "0.80"
# cached_input = "0.04"
# output = "4.00"
# as_of = "2026-11-01"
# note = "contract 4711"

# A list price that the public list does not have yet. What is not named is as at `like`.
# [[listed]]
# provider = "openai"
# model = "gpt-7"
# like = "gpt-6.1-sol"
# input = "2"
# output = "10"

# A discount, or the type of an Azure deployment: Data Zone 1.1.
# [multipliers]
# "https://acme.openai.azure.com/" = "1.1"

# Who is paid behind a gateway.
# [hosts]
# "https://gw.corp/v1" = "openai"
"""


def block(
    model: str,
    *,
    provider: str,
    like: str | None,
    input_: str | None,
    cached_input: str | None,
    cache_write: str | None,
    output: str | None,
    times: Iterable[str],
    until: date | None,
    note: str | None,
) -> str:
    """One row of `[[listed]]`, checked as a price book would.

    Raises:
        ConfigError: a value is not valid.
    """
    from token_meter.prices import Listed

    rates = {"input": input_, "cached_input": cached_input, "cache_write": cache_write, "output": output}
    given: dict[str, Any] = {name: text for name, text in rates.items() if text is not None}
    factors = dict(_factor(text) for text in times)
    row = Listed(provider, model, like=like, times=factors, until=until, note=note, **given)
    words = {"provider": row.provider, "model": row.model, "like": row.like, **given}
    lines = [f"{name} = {_text(value)}" for name, value in words.items() if value is not None]
    if factors:
        lines.append(f"times = {{ {', '.join(f'{_key(tier)} = {_text(by)}' for tier, by in factors.items())} }}")
    lines += [f"until = {_text(row.until)}"] if row.until else []
    lines += [f"note = {_text(note)}"] if note else []
    return "\n[[listed]]\n" + "\n".join(lines) + "\n"


def with_block(file: Path, text: str, row: str) -> None:
    """Add a row to the text of a price file; the file changes only if the whole of it is valid then.

    Raises:
        ConfigError: it would not be.
    """
    from token_meter.prices import PriceBook

    if file.suffix.lower() != ".toml":
        msg = f"{file.name}: rows are added to TOML files only; put this in by hand:\n{row}"
        raise ConfigError(msg)
    handle, temporary = tempfile.mkstemp(prefix=".prices-", suffix=".toml", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as out:
            out.write(text.rstrip("\n") + "\n" * bool(text.strip()) + row)
            out.flush()
            os.fsync(out.fileno())
        try:
            PriceBook.from_file(temporary)
        except ConfigError as error:
            msg = f"{str(error).replace(Path(temporary).name, file.name)}; nothing was added"
            raise ConfigError(msg) from None
        os.chmod(temporary, file.stat().st_mode & 0o777 if file.exists() else 0o644)
        os.replace(temporary, file)
    finally:
        Path(temporary).unlink(missing_ok=True)


def beginning(named: str | None, file: Path) -> str:
    """The first line of a new price file, where a list is in use that would not be read any more: it names the list."""
    from token_meter.prices._list_file import MARK, text_of

    if named is None or not Path(named).exists() or not text_of(Path(named)).startswith(MARK):
        return ""
    return f"public = {_text(os.path.relpath(named, file.resolve().parent))}\n"


def begin(rows: Iterable[tuple[str, str]], named: str | None, file: Path) -> str:
    """The text of a new price file, with a row to fill in for each model."""
    more = [
        f"\n# No price is known for this model. Fill it in, and take the signs out:\n# [[listed]]\n"
        f'# provider = {_text(provider)}\n# model = {_text(model)}\n# input = ""\n# output = ""\n'
        for provider, model in rows
    ]
    return _START.format(public=beginning(named, file)) + "".join(more)


def _factor(text: str) -> tuple[str, str]:
    tier, equals, factor = text.partition("=")
    if not equals or not tier.strip():
        msg = f"--times must be TIER=FACTOR such as batch=0.5, not {text!r}"
        raise ConfigError(msg)
    parse_usd(factor, name=f"--times {tier.strip()}")
    return tier.strip().lower(), factor.strip()


def _text(value: Any) -> str:
    """A TOML string: JSON's escapes are a part of TOML's."""
    return json.dumps(str(value), ensure_ascii=False)


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("-", "").replace("_", "").isalnum() else _text(name)
