"""Bills in other shapes: OpenRouter's activity, and FOCUS exports as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from token_meter.bills._rows import Bill, CostRow, Tokens, UsageRow, amount_of
from token_meter.exceptions import LedgerError

_KINDS = (("cach", "cached input"), ("cchd", "cached input"), ("outp", "output"), ("completion", "output"),
          ("inp", "input"), ("prompt", "input"))  # fmt: skip
_PROVIDERS = (("microsoft", "azure"), ("azure", "azure"), ("amazon", "aws"), ("aws", "aws"), ("google", "google"),
              ("openai", "openai"), ("anthropic", "anthropic"), ("mistral", "mistral"))  # fmt: skip
_UNITS = re.compile(r"(?P<number>[\d.,]+)? ?(?P<factor>[kKmM])?\b.*")
_FACTORS = {"": 1, "k": 1_000, "m": 1_000_000}
_NEEDED = ("ChargePeriodStart", "BilledCost", "BillingCurrency")
_KIND_WORD = re.compile(r"\W(?:cached|cchd|input|inp|output|outp|opt)\b", re.IGNORECASE)


def openrouter(rows: Iterable[Mapping[str, Any]]) -> Bill:
    """`/api/v1/activity`: finished UTC days by model and endpoint; what own keys cost is a part of the charge.

    Read 2026-11-27 in OpenRouter's reference (ActivityItem): `usage` is credits spent, `byok_usage_inference` is spent
    outside, both in US dollars.
    """
    usage, costs = [], []
    for row in rows:
        day, model = str(row["date"])[:10], str(row.get("model_permaslug") or row["model"])
        requests = int(row.get("requests") or 0)
        sent, made = int(row.get("prompt_tokens") or 0), int(row.get("completion_tokens") or 0)
        usage.append(UsageRow(day, "openrouter", model, Tokens(requests, sent, 0, 0, made), requests))
        amount = amount_of(row.get("usage") or 0) + amount_of(row.get("byok_usage_inference") or 0)
        costs.append(CostRow(day, "openrouter", model, amount, model))
    return Bill(tuple(usage), tuple(costs))


def focus(text: str, name: str) -> Bill:
    """A FOCUS export: money by day and line, and tokens where the consumed unit is tokens.

    Raises:
        LedgerError: a column that FOCUS requires is missing, or a row cannot be read.
    """
    head = text.lstrip().partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text.lstrip()), delimiter=max(",;\t", key=head.count))
    if missing := [column for column in _NEEDED if column not in (reader.fieldnames or ())]:
        msg = f"{name!r} is no bill that is known: no JSON, and no FOCUS export, which has a column {missing[0]}"
        raise LedgerError(msg)
    costs: list[CostRow] = []
    notes: list[str] = []
    for number, row in enumerate(reader, 2):
        if row["BillingCurrency"] != "USD":
            notes.append(f"rows in {row['BillingCurrency']!r} are left out: only US dollars can be compared")
            continue
        try:
            costs.append(_focus_row(row))
        except (ValueError, InvalidOperation) as exc:
            msg = f"{name!r}, line {number}: {exc or 'an amount cannot be read'}"
            raise LedgerError(msg) from None
    return Bill((), tuple(costs), tuple(dict.fromkeys(notes)))


def _focus_row(row: Mapping[str, str | None]) -> CostRow:
    line = row.get("ChargeDescription") or row.get("SkuMeter") or row.get("SkuId") or "(no description)"
    meter = row.get("x_SkuMeterName") or row.get("SkuMeter") or ""
    unit = row.get("ConsumedUnit") or row.get("PricingUnit") or ""
    is_usage = (row.get("ChargeCategory") or "Usage") == "Usage"
    is_tokens = is_usage and ("token" in unit.lower() or "token" in meter.lower())
    provider = _provider_of(row.get("ProviderName") or row.get("PublisherName") or "(unknown)")
    model = row.get("x_Model") or row.get("x_ResponseModel")
    if model is None or not model:  # Azure names a meter; the name of its resource is no model
        model = _KIND_WORD.split(meter)[0].strip() if provider == "azure" else row.get("ResourceName")
    words = f"{row.get('x_TokenKind') or meter} {line}".lower()
    kind = next((kind for word, kind in _KINDS if word in words), None)
    quantity = row.get("ConsumedQuantity")
    return CostRow(
        _day_of(row, one_day=is_tokens), provider, line, _amount(row["BilledCost"]),
        (model or None) if is_tokens else None, kind, None, False,
        _amount(quantity) * _factor(unit) if quantity and is_tokens else None,
    )  # fmt: skip


def _provider_of(text: str) -> str:
    return next((name for word, name in _PROVIDERS if word in text.lower()), text.lower())


def _day_of(row: Mapping[str, str | None], *, one_day: bool) -> str:
    """The UTC day of a row."""
    start = _time(row["ChargePeriodStart"])
    end = row.get("ChargePeriodEnd")
    if one_day and end and _time(end) - start > timedelta(days=1, hours=1):
        msg = "a row covers more than a day; calls are compared by day, so export it by day"
        raise ValueError(msg)
    return f"{start:%Y-%m-%d}"


def _time(text: str | None) -> datetime:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        msg = f"{text!r} is no time such as 2026-11-20T00:00:00Z"
        raise ValueError(msg) from None
    return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _factor(unit: str) -> int:
    """Tokens of one unit: `Tokens`, `1K Tokens`, `1000 Tokens`, `1M`."""
    found = _UNITS.fullmatch(unit.strip())
    if found is None or found["number"] is None:
        return 1
    number = int(float(found["number"].replace(",", "")))
    return max(number, 1) * _FACTORS[(found["factor"] or "").lower()]


def _amount(text: str | None) -> Decimal:
    try:
        return amount_of(text or "0")
    except InvalidOperation:
        msg = f"{text!r} is no number"
        raise ValueError(msg) from None
