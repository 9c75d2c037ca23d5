"""OpenAI's usage and costs of an organization, live through the SDK's admin endpoints or from saved pages.

Read 2026-11-27 in openai 3.57: usage counts cached and written tokens inside of the input, costs have one row a line
item, whose name is free text: what is not understood stays a line of its own. Days are UTC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from token_meter.bills._rows import Bill, CostRow, Tokens, UsageRow, amount_of, page_of, tier_of
from token_meter.exceptions import ConfigError, LedgerError

USAGE = ("completions", "embeddings", "images", "moderations", "audio_speeches", "audio_transcriptions")
_LINE = re.compile(
    r"(?:(?P<tier>[\w ]+) \| )?(?P<model>[\w.:/@-]+)(?: (?:text|audio|image))?, (?P<kind>[\w ]+?)(?:, [\w ]+)?"
)
_KINDS = {
    "input": "input", "input_tokens": "input", "output": "output", "output_tokens": "output",
    "cached input": "cached input", "cached_input": "cached input", "cached_input_tokens": "cached input",
    "input_cached_tokens": "cached input", "cache write": "cache write", "input_cache_write_tokens": "cache write",
}  # fmt: skip


def parse(pages: Mapping[str, list[dict[str, Any]]]) -> Bill:
    """The rows of saved pages, by endpoint: `usage/completions`, `costs`."""
    usage: list[UsageRow] = []
    costs: list[CostRow] = []
    for endpoint, found in pages.items():
        for day, row in _results(found):
            if endpoint == "costs":
                costs.append(_cost(day, row))
            elif (used := _usage(day, row)) is not None:
                usage.append(used)
    days = {_day(bucket) for found in pages.values() for page in found for bucket in page["data"]}
    return Bill(tuple(usage), tuple(costs), (), tuple(sorted(days)))


def _day(bucket: Mapping[str, Any]) -> str:
    return datetime.fromtimestamp(int(bucket["start_time"]), UTC).strftime("%Y-%m-%d")


def _results(pages: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for page in pages:
        for bucket in page["data"]:
            for row in bucket.get("results", ()):
                yield _day(bucket), row


def _usage(day: str, row: dict[str, Any]) -> UsageRow | None:
    requests = row.get("num_model_requests")
    tokens = Tokens(
        requests or 0,
        row.get("input_tokens") or 0,
        row.get("input_cached_tokens") or 0,
        row.get("input_cache_write_tokens") or 0,
        row.get("output_tokens") or 0,
    )
    if not any(tokens):
        return None
    is_batch = row.get("batch") is True
    return UsageRow(
        day, "openai", row.get("model") or "(all models)", tokens, requests, tier_of(row.get("service_tier")), is_batch,
        row.get("api_key_id"), row.get("project_id"),
    )  # fmt: skip


def _cost(day: str, row: dict[str, Any]) -> CostRow:
    amount, line = row["amount"], row.get("line_item") or "(all lines)"
    currency = str(amount.get("currency", "usd")).lower()
    if currency != "usd":
        msg = f"the bill is in {currency.upper()}; only US dollars can be compared"
        raise ConfigError(msg)
    model = kind = tier = None
    is_batch = False
    found = _LINE.fullmatch(line)
    if found is not None and found["kind"].lower() in _KINDS:
        model, kind = found["model"], _KINDS[found["kind"].lower()]
        tier, is_batch = tier_of(found["tier"]), (found["tier"] or "").lower() == "batch"
    quantity = row.get("quantity")
    return CostRow(
        day, "openai", line, amount_of(amount["value"]), model, kind, tier, is_batch,
        None if quantity is None else amount_of(quantity), row.get("api_key_id"), row.get("project_id"),
    )  # fmt: skip


def fetch(since_s: int, until_s: int, base_url: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """Ask for all pages of a period, as they are written.

    Raises:
        ConfigError: the SDK has no admin endpoints, or there is no admin key.
        LedgerError: the endpoints refuse to answer, or cannot be reached.
    """
    try:
        import openai
    except ModuleNotFoundError:
        msg = "this needs OpenAI's SDK: pip install 'openai>=2.34'"
        raise ConfigError(msg) from None
    try:
        return _fetch(openai, since_s, until_s, base_url)
    except openai.OpenAIError as exc:
        msg = f"OpenAI does not say what it billed: {type(exc).__name__}: {str(exc)[:300]}"
        raise LedgerError(msg) from None


def _fetch(openai: Any, since_s: int, until_s: int, base_url: str | None) -> dict[str, list[dict[str, Any]]]:
    options: dict[str, Any] = _key(openai)
    with openai.OpenAI(base_url=base_url, **options) as client:
        admin = getattr(client, "admin", None)
        if admin is None:
            msg = f"openai {openai.__version__} has no admin endpoints; 2.34 is the first with usage and costs"
            raise ConfigError(msg)
        usage = admin.organization.usage.with_raw_response
        found: dict[str, list[dict[str, Any]]] = {}
        by = ["api_key_id", "project_id"]
        for name in USAGE:
            more = {"group_by": [*by, "model", "batch", "service_tier"] if name == "completions" else [*by, "model"]}
            endpoint = getattr(usage, name, None)
            if endpoint is not None:
                found[f"usage/{name}"] = _pages(endpoint, since_s, until_s, limit=31, **more)
        found["costs"] = _pages(usage.costs, since_s, until_s, limit=180, group_by=[*by, "line_item"])
    return found


def _key(openai: Any) -> dict[str, str]:
    import inspect
    import os

    key = os.environ.get("OPENAI_ADMIN_KEY")
    if not key:
        msg = "OPENAI_ADMIN_KEY is not set; usage and costs need the key of an administrator"
        raise ConfigError(msg)
    takes = inspect.signature(openai.OpenAI.__init__).parameters
    return {"admin_api_key": key} if "admin_api_key" in takes else {"api_key": key}


def _pages(ask: Any, since_s: int, until_s: int, **options: Any) -> list[dict[str, Any]]:
    pages: list[dict[str, Any]] = []
    page: dict[str, Any] = {}
    while True:
        answer = ask(start_time=since_s, end_time=until_s, bucket_width="1d", **options, **page)
        text = answer.text() if callable(answer.text) else answer.text
        pages.append(page_of(text))
        following = pages[-1].get("next_page") if pages[-1].get("has_more") else None
        if not following or following == page.get("page"):
            return pages
        page = {"page": following}
