"""Anthropic's usage and cost reports of an organization, live or from saved pages.

Read 2026-11-27 in the Admin API's reference: usage counts cached and written tokens beside the input and says no number
of requests; amounts are decimal strings in **cents**; costs of the priority tier are not in the report.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from token_meter.bills._rows import Bill, CostRow, Tokens, UsageRow, amount_of, page_of, tier_of
from token_meter.exceptions import ConfigError, LedgerError

_URL = "https://api.anthropic.com"
_REPORTS = {
    "usage_report/messages": ("api_key_id", "workspace_id", "model", "service_tier"),
    "cost_report": ("workspace_id", "description"),
}
_KINDS = {
    "uncached_input_tokens": "input", "output_tokens": "output", "cache_read_input_tokens": "cached input",
    "cache_creation.ephemeral_5m_input_tokens": "cache write",
    "cache_creation.ephemeral_1h_input_tokens": "cache write",
}  # fmt: skip


def parse(pages: Mapping[str, list[dict[str, Any]]]) -> Bill:
    """The rows of saved pages, by report: `usage_report/messages`, `cost_report`."""
    usage: list[UsageRow] = []
    costs: list[CostRow] = []
    for report, found in pages.items():
        for page in found:
            for bucket in page["data"]:
                for row in bucket.get("results", ()):
                    day = bucket["starting_at"][:10]
                    if report == "cost_report":
                        costs.append(_cost(day, row))
                    elif any((made := _usage(day, row)).tokens):
                        usage.append(made)
    days = {bucket["starting_at"][:10] for found in pages.values() for page in found for bucket in page["data"]}
    return Bill(tuple(usage), tuple(costs), (), tuple(sorted(days)))


def _usage(day: str, row: dict[str, Any]) -> UsageRow:
    written = sum(value or 0 for value in (row.get("cache_creation") or {}).values())
    cached, tier = row.get("cache_read_input_tokens") or 0, row.get("service_tier")
    sent = (row.get("uncached_input_tokens") or 0) + cached + written
    tokens = Tokens(0, sent, cached, written, row.get("output_tokens") or 0)
    return UsageRow(
        day, "anthropic", row.get("model") or "(all models)", tokens, None, tier_of(tier), tier == "batch",
        row.get("api_key_id"), row.get("workspace_id"),
    )  # fmt: skip


def _cost(day: str, row: dict[str, Any]) -> CostRow:
    currency = str(row.get("currency", "USD")).upper()
    if currency != "USD":
        msg = f"the bill is in {currency}; only US dollars can be compared"
        raise ConfigError(msg)
    is_tokens, tier = row.get("cost_type") in (None, "tokens"), row.get("service_tier")
    return CostRow(
        day, "anthropic", row.get("description") or row.get("cost_type") or "(all lines)",
        amount_of(row["amount"]) / 100, row.get("model") if is_tokens else None,
        _KINDS.get(row.get("token_type") or ""), tier_of(tier), tier == "batch", None, None, row.get("workspace_id"),
    )  # fmt: skip


def fetch(since_s: int, until_s: int, base_url: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Ask for all pages of a period.

    Raises:
        ConfigError: there is no admin key.
        LedgerError: the endpoints refuse to answer, or cannot be reached.
    """
    key = os.environ.get("ANTHROPIC_ADMIN_KEY")
    if not key:
        msg = "ANTHROPIC_ADMIN_KEY is not set; usage and costs need the key of an administrator"
        raise ConfigError(msg)
    found: dict[str, list[dict[str, Any]]] = {}
    for report, by in _REPORTS.items():
        pages = found[report] = []
        query: list[tuple[str, str]] = [
            ("starting_at", _time(since_s)), ("ending_at", _time(until_s)), ("bucket_width", "1d"), ("limit", "31"),
            *(("group_by[]", name) for name in by),
        ]  # fmt: skip
        page: list[tuple[str, str]] = []
        while True:
            url = f"{base_url or _URL}/v1/organizations/{report}?{urlencode([*query, *page])}"
            request = Request(url, headers={"x-api-key": key, "anthropic-version": "2023-06-01"})
            pages.append(_answer(request))
            following = pages[-1].get("next_page") if pages[-1].get("has_more") else None
            if not following or page == [("page", following)]:
                break
            page = [("page", following)]
    return found


def _answer(request: Request) -> dict[str, Any]:
    try:
        with urlopen(request, timeout=60) as answer:
            return page_of(answer.read())
    except HTTPError as exc:
        with exc:
            said = exc.read(300).decode("utf-8", "replace")
        msg = f"Anthropic does not say what it billed: {exc.code} {exc.reason}: {said}"
    except (OSError, HTTPException, ValueError) as exc:
        msg = f"Anthropic does not say what it billed: {type(exc).__name__}: {exc}"
    raise LedgerError(msg)


def _time(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
