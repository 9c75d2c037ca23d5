"""The prices in use against another table and against the SDK's own names: what differs, and is not known to.

    python -m tests.compat.price_conflicts model_prices_and_context_window.json

It exits with 1 when something differs that `known_price_conflicts.txt` does not have, and names what that file has in
vain. `prices.py` runs it with the newest releases of all three.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from token_meter.prices import _overlay, _public, describe
from token_meter.prices._list_file import snapshot_of
from token_meter.prices._litellm import named, rows_of
from token_meter.prices._lookup import published
from token_meter.prices._rate_card import UnpriceableError
from token_meter.prices._sdk_models import sdk_models

KNOWN = Path(__file__).with_name("known_price_conflicts.txt")
COMPARED = ("openai", "anthropic", "google", "mistral", "x-ai", "deepseek", "groq", "cohere", "moonshotai", "cerebras")
"""Providers whose rates are compared; the others are resellers, whose tables differ by the day."""
_TOLERATED = Decimal("0.002")


def differing(table: dict[str, Any], at_s: float | None = None) -> Iterator[str]:
    """Each rate that both have, and that is another one, by provider, model, tier, unit and band."""
    when = time.time() if at_s is None else at_s
    today = datetime.fromtimestamp(when, UTC).date()
    served = {name: row for name, row in table.items() if not _is_retired(row, today)}
    for provider, model, tier, processing, theirs in rows_of(served):
        if provider not in COMPARED:
            continue
        try:
            ours = published(provider, model, tier, processing, when).sheet
        except UnpriceableError:
            continue
        what = f"{provider} {model} {tier or processing or 'standard'}"
        for start, rates in theirs:
            there = next((own for begins, own in reversed(ours or ()) if begins <= start), {})
            for unit, rate in rates.items():
                if unit in there and abs(there[unit] - rate) > _TOLERATED * max(rate, there[unit]):
                    yield f"{what} {unit} above {start}: {there[unit].normalize():f} here, {rate.normalize():f} there"


def _is_retired(row: Any, today: date) -> bool:
    gone = row.get("deprecation_date") if isinstance(row, dict) else None
    return isinstance(gone, str) and gone[:4].isdigit() and gone < today.isoformat()


def lost_bands(at_s: float | None = None) -> Iterator[str]:
    """Tiers without a band for long inputs that the standard price of their model has."""
    when = time.time() if at_s is None else at_s
    data: Any = _public.snapshot()
    for provider in data.providers:
        for model in provider.models if provider.id in COMPARED else ():
            for tier, processing in _contexts(provider.id, model.id, when):
                try:
                    price = published(provider.id, model.id, tier, processing, when)
                except UnpriceableError:
                    continue
                if price.lost_above is not None:
                    yield f"{provider.id} {model.id} {tier or processing} lost its band above {price.lost_above}"


def _contexts(provider: str, model: str, when: float) -> tuple[tuple[str, str], ...]:
    try:
        return _public.look_up(provider, model, tier="", processing="", at_s=when).contexts
    except UnpriceableError:
        return ()


def stale_aliases(table: dict[str, Any], at_s: float | None = None) -> Iterator[str]:
    """Names ending in `-latest` that the list prices like a snapshot that the other table calls retired."""
    when = time.time() if at_s is None else at_s
    today = datetime.fromtimestamp(when, UTC).date()
    retired = {named(name, row) for name, row in table.items() if _is_retired(row, today)}
    data: Any = _public.snapshot()
    for provider in data.providers:
        for model in provider.models if provider.id in COMPARED else ():
            names = [getattr(clause, "equals", "") for clause in getattr(model.match, "or_", [model.match])]
            old = sorted(name for name in names if (provider.id, name) in retired)
            for alias in names:
                if alias and alias.endswith("-latest") and old and not _is_corrected(provider.id, alias):
                    yield f"{provider.id} {alias} has the price of {old[0]}, which is retired"


def _is_corrected(provider: str, model: str) -> bool:
    return any(row.is_whole for row in _overlay.rows_for(provider, model, "", ""))


def without_price() -> Iterator[str]:
    """Models in the types of the SDK that have no price."""
    for model in sdk_models()[1]:
        if not describe(model):
            yield f"openai {model} is in the SDK's types and has no price"


def of_the_release() -> Iterator[str]:
    """What this package must know of the installed genai-prices: its day, and how to read its data from a file."""
    if _public.version() not in _overlay.RELEASED:
        yield f"genai-prices {_public.version()} has no day in RELEASED (token_meter/prices/_overlay.py)"
    try:
        rates = {"input_mtok": 1, "output_mtok": 2}
        model = {"id": "m", "match": {"equals": "m"}, "prices": rates}
        snapshot_of([{"id": "p", "name": "P", "api_pattern": "https://p", "models": [model]}])
    except Exception as error:
        yield f"genai-prices {_public.version()} cannot read its data from a file: {error}"


def unknown_and_gone(found: Iterable[str], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """What was found and is not known, and what is known and was not found; without the numbers behind a colon."""
    expected = {line.partition(":")[0].strip() for line in known if line.strip() and not line.startswith("#")}
    seen = {line.partition(":")[0].strip(): line for line in found}
    return [line for name, line in seen.items() if name not in expected], sorted(expected - seen.keys())


def everything(table: dict[str, Any]) -> list[str]:
    """All that can be wrong."""
    return [*of_the_release(), *differing(table), *lost_bands(), *stale_aliases(table), *without_price()]


def main(argv: list[str]) -> int:
    """Print what is new, and what has gone; 1 where something is new."""
    table = json.loads(Path(argv[0]).read_text(encoding="utf-8"), parse_float=Decimal)
    found = everything(table)
    new, gone = unknown_and_gone(found, KNOWN.read_text(encoding="utf-8").splitlines())
    for line in new:
        print(f"NEW   {line}")
    for line in gone:
        print(f"gone  {line}")
    print(f"genai-prices {_public.version()}, {sdk_models()[0]}: {len(found)} conflicts, {len(new)} of them new")
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
