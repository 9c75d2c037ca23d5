"""Bills in other shapes: OpenRouter's activity, and FOCUS exports as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from token_meter.bills._rows import Bill, CostRow, Tokens, UsageRow
from token_meter.exceptions import LedgerError

_FOCUS_KINDS = (("cached", "cached input"), ("cache", "cached input"), ("output", "output"), ("completion", "output"),
                ("input", "input"), ("prompt", "input"))  # fmt: skip


def openrouter(rows: Iterable[Mapping[str, Any]]) -> Bill:
    """`/api/v1/activity`: finished UTC days by model and endpoint; what own keys cost is a part of the charge.

    Read 2026-11-27 in OpenRouter's reference.
    """
    usage, costs = [], []
    for row in rows:
        day, model = str(row["date"])[:10], str(row.get("model_permaslug") or row["model"])
        requests = int(row.get("requests") or 0)
        sent, made = int(row.get("prompt_tokens") or 0), int(row.get("completion_tokens") or 0)
        usage.append(UsageRow(day, "openrouter", model, Tokens(requests, sent, 0, 0, made), requests))
        amount = Decimal(str(row.get("usage") or 0)) + Decimal(str(row.get("byok_usage_inference") or 0))
        costs.append(CostRow(day, "openrouter", model, amount, model))
    return Bill(tuple(usage), tuple(costs))


def focus(text: str, name: str) -> Bill:
    """A FOCUS export: money by day and line, and tokens where the consumed unit is tokens.

    Raises:
        LedgerError: a column that FOCUS requires is missing.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    needed = ("ChargePeriodStart", "BilledCost", "BillingCurrency")
    if rows and (missing := [column for column in needed if column not in rows[0]]):
        msg = f"{name!r} is no FOCUS export: it has no column {', '.join(missing)}"
        raise LedgerError(msg)
    costs = []
    notes: list[str] = []
    for row in rows:
        if row["BillingCurrency"] != "USD":
            notes.append(f"rows in {row['BillingCurrency']} are left out: only US dollars can be compared")
            continue
        line = row.get("ChargeDescription") or row.get("SkuMeter") or row.get("SkuId") or "(no description)"
        provider = (row.get("ProviderName") or row.get("PublisherName") or "(unknown)").lower()
        is_tokens = "token" in (row.get("ConsumedUnit") or row.get("PricingUnit") or "").lower()
        model = row.get("x_Model") or row.get("x_ResponseModel") or row.get("ResourceName") if is_tokens else None
        meter = f"{row.get('x_TokenKind') or row.get('SkuMeter') or ''} {line}".lower()
        kind = next((kind for word, kind in _FOCUS_KINDS if word in meter), None)
        amount = _number(row["BilledCost"])
        if amount is None:
            notes.append(f"{name!r}: a row without an amount is left out")
            continue
        quantity = _number(row.get("ConsumedQuantity"))
        costs.append(
            CostRow(row["ChargePeriodStart"][:10], provider, line, amount, model or None, kind, None, False, quantity)
        )
    return Bill((), tuple(costs), tuple(dict.fromkeys(notes)))


def _number(text: str | None) -> Decimal | None:
    try:
        return Decimal(text) if text else None
    except InvalidOperation:
        return None
