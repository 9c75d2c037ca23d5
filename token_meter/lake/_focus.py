"""Costs by day, model and tags in the columns of FOCUS 1.2, as CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from token_meter.lake._duck import NotEqualError, database, insert, is_installed
from token_meter.lake._export import write_parquet
from token_meter.lake._rows import EngineReader
from token_meter.ledger import read_run
from token_meter.report import parts_of, summarise

if TYPE_CHECKING:
    from token_meter.ledger import RunFacts
    from token_meter.prices import PriceBook
    from token_meter.report import Summary

_LONG = 60_000_000
_NO_LABEL = "(no label)"
_OTHER = "(other)"
_MONEY, _MOMENT, _COUNT = "DECIMAL(38, 12)", "TIMESTAMP", "BIGINT"
_TYPES = {
    **dict.fromkeys(("BilledCost", "ContractedCost", "EffectiveCost", "ListCost"), _MONEY),
    **dict.fromkeys(("ConsumedQuantity", "PricingQuantity"), _MONEY),
    **dict.fromkeys(("BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"), _MOMENT),
    **dict.fromkeys(("x_Calls", "x_UnpricedCalls", "x_PromptTokens", "x_CompletionTokens"), _COUNT),
}
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


def export_focus(
    shards: list[Path], to: Path, since_s: float | None, until_s: float | None, book: PriceBook
) -> tuple[int, int, int]:
    """Write a row for each day, model and set of tags to a file, *.csv or *.parquet; return how many calls and days
    are in it, and how many lines cannot be read. What has no price is left out of no row, and has no cost in it:
    `x_UnpricedCalls` says so. Where there are more sets of tags than a report has rows, `Tags` is empty.

    Raises:
        ConfigError: Parquet is wanted, and DuckDB is not installed.
    """
    summary, facts = _read(shards, since_s, until_s, book, "day,label")
    if any(group.id == _OTHER for group in summary.groups):
        summary, facts = _read(shards, since_s, until_s, book, "day")
    to.parent.mkdir(parents=True, exist_ok=True)
    rows = list(_rows(summary))
    if to.suffix == ".parquet":
        with database() as con:
            columns = ", ".join(f"{name} VARCHAR" for name in FOCUS)
            insert(con, "told", [[row.get(name) for name in FOCUS] for row in rows], columns)
            cells = ", ".join(f"nullif({n}, '')::{_TYPES.get(n, 'VARCHAR')} as {n}" for n in FOCUS)
            write_parquet(con, f"select {cells} from told", to)
    else:
        out = io.StringIO()
        writer = csv.DictWriter(out, FOCUS, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
        temporary = to.with_name(f".{to.name}.{os.getpid()}")
        try:
            temporary.write_text(out.getvalue(), encoding="utf-8")
            os.replace(temporary, to)
        finally:
            temporary.unlink(missing_ok=True)
    days = {row["ChargePeriodStart"] for row in rows}
    return summary.totals.calls, len(days), facts.skipped_records


def _read(
    shards: list[Path], since_s: float | None, until_s: float | None, book: PriceBook, by: str
) -> tuple[Summary, RunFacts]:
    if is_installed() and sum(shard.stat().st_size for shard in shards) > _LONG:
        engine = EngineReader(shards, since_s=since_s, until_s=until_s)
        try:
            return summarise(engine, by=by, book=book), engine.facts
        except NotEqualError:
            pass
    reader = read_run(shards, last=None, since_s=since_s, until_s=until_s)
    return summarise(reader, by=by, book=book), reader.facts


def _rows(summary: Summary) -> Iterator[dict[str, Any]]:
    for group in sorted(summary.groups, key=lambda group: group.id):
        name, *labels = summary.keys_of(group)
        day = date.fromisoformat(name)
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
                "ServiceSubcategory": "Generative AI", "SkuId": sku, "SkuPriceId": sku, "Tags": _tags(*labels),
                "x_Model": kind.model, "x_Api": kind.api, "x_ServiceTier": tier, "x_Calls": str(totals.calls),
                "x_UnpricedCalls": str(totals.unpriced), "x_PromptTokens": str(totals.tokens.prompt_tokens or ""),
                "x_CompletionTokens": str(totals.tokens.completion_tokens or ""),
            }  # fmt: skip


def _tags(label: str = "") -> str:
    """A set of tags as an object: `NAME=VALUE` is a pair, and what has no value is true, as FOCUS 1.2 says of tags.

    https://focus.finops.org/focus-specification/v1-2/ (Tags), read on 2026-11-27.
    """
    if label in ("", _NO_LABEL):
        return "{}" if label else ""
    pairs = (tag.partition("=") for tag in parts_of(label))
    return json.dumps({name: value if equals else True for name, equals, value in pairs}, ensure_ascii=False)


def _decimal(amount: Decimal) -> str:
    """With a decimal point: the official validator takes whole numbers for another type."""
    text = f"{amount:f}"
    return text if "." in text else f"{text}.0"
