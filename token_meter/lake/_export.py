"""Exports: Parquet by day, and costs by day in the columns of FOCUS 1.2."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from token_meter.lake._table import make_table
from token_meter.ledger import RunFacts

if TYPE_CHECKING:
    from token_meter.report import Summary


def export_parquet(shards: list[Path], to: Path, since_s: float | None = None) -> tuple[int, int, RunFacts]:
    """Write one file for each UTC day; return how many files and calls, and what is known of the ledger.

    A file has the name of what it was made from, so that an export of the same ledger replaces it, and one of another
    machine stands beside it. Each is written whole or not at all.

    Raises:
        NotEqualError: the ledger holds what the engine cannot read as the plain reader would.
    """
    con, facts = make_table(shards, since_s)
    name = hashlib.sha256("\n".join(sorted(shard.parent.name for shard in shards)).encode()).hexdigest()[:12]
    try:
        days = con.execute("select day, count(*) from calls group by day order by day").fetchall()
        for day, _ in days:
            folder = to / f"day={day}"
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"part-{name}.parquet"
            temporary = folder / f".{target.name}.{os.getpid()}"
            try:
                query = f"select * from calls where day = DATE '{day}' order by started_at, id"
                quoted = str(temporary).replace("'", "''")
                con.execute(f"copy ({query}) to '{quoted}' (format parquet, compression zstd)")
                os.replace(temporary, target)
            finally:
                temporary.unlink(missing_ok=True)
    finally:
        con.close()
    return len(days), sum(calls for _, calls in days), facts


FOCUS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost", "ContractedUnitPrice", "EffectiveCost",
    "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice", "PricingCategory", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuPriceId",
    "SubAccountId", "SubAccountName", "Tags", "x_Model", "x_Api", "x_ServiceTier", "x_Calls", "x_UnpricedCalls",
    "x_PromptTokens", "x_CompletionTokens",
)  # fmt: skip
"""The columns of FOCUS 1.2 that a meter can fill, and ours."""


def export_focus(by_day: Summary) -> str:
    """A report by day as CSV of FOCUS 1.2: a row for each day and model. What has no price is left out of no row, and
    has no cost in it: `x_UnpricedCalls` says so.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, FOCUS, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(_rows(by_day))
    return out.getvalue()


def _rows(by_day: Summary) -> Iterator[dict[str, str]]:
    for group in sorted(by_day.groups, key=lambda group: group.id):
        day = date.fromisoformat(group.id)
        month = day.replace(day=1)
        after = (month + timedelta(days=32)).replace(day=1)
        for line in group.models:
            kind, totals = line.kind, line.totals
            cost, tokens = _decimal(totals.known_cost() or Decimal(0)), totals.total_tokens
            provider = kind.provider or kind.host or "(unknown)"
            tier = kind.tier or "default"
            sku = f"{kind.model}/{kind.api}/{tier}{f'/{kind.processing}' if kind.processing else ''}"
            yield {
                "BilledCost": cost, "EffectiveCost": cost, "ListCost": cost, "ContractedCost": cost,
                "BillingAccountId": provider, "BillingAccountName": provider, "BillingAccountType": "Provider",
                "BillingCurrency": "USD", "BillingPeriodStart": f"{month}T00:00:00Z",
                "BillingPeriodEnd": f"{after}T00:00:00Z", "ChargeCategory": "Usage",
                "ChargeDescription": f"{totals.calls} calls of {kind.model} ({kind.api}, {tier})",
                "ChargeFrequency": "Usage-Based", "ChargePeriodStart": f"{day}T00:00:00Z",
                "ChargePeriodEnd": f"{day + timedelta(days=1)}T00:00:00Z",
                "ConsumedQuantity": _decimal(Decimal(tokens)),
                "ConsumedUnit": "Tokens", "InvoiceIssuerName": provider, "PricingCategory": "Standard",
                "PricingQuantity": _decimal(Decimal(tokens)), "PricingUnit": "Tokens", "ProviderName": provider,
                "PublisherName": provider, "ServiceCategory": "AI and Machine Learning", "ServiceName": kind.api,
                "ServiceSubcategory": "Generative AI", "SkuId": sku, "SkuPriceId": sku, "x_Model": kind.model,
                "x_Api": kind.api, "x_ServiceTier": tier, "x_Calls": str(totals.calls),
                "x_UnpricedCalls": str(totals.unpriced), "x_PromptTokens": str(totals.tokens.prompt_tokens or ""),
                "x_CompletionTokens": str(totals.tokens.completion_tokens or ""),
            }  # fmt: skip


def _decimal(amount: Decimal) -> str:
    """With a decimal point: the official validator takes whole numbers for another type."""
    text = f"{amount:f}"
    return text if "." in text else f"{text}.0"
