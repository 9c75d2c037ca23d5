"""The bill as providers serve it to administrators: usage and costs by day, in pages, late and rounded on request.

OpenAI's `/organization/usage/...` and `/organization/costs`, Anthropic's `/organizations/usage_report/messages` and
`/organizations/cost_report`. Shapes as of their references and of openai 3.57, read 2026-11-27.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from token_meter.simulator.bill import Entry
from token_meter.simulator.options import Options
from token_meter.simulator.rates import rate_of
from token_meter.simulator.reply import RefusedError

PATH = re.compile(
    r"/(organization/(?:usage/(?P<kind>\w+)|costs)|organizations/(?:usage_report/messages|cost_report))/?$"
)
ADMIN_KEY = "sim-admin"
_DAY_S = 86_400
_KINDS = {"embeddings": ("embeddings",), "moderations": ("moderations",), "images": ("images",),
          "audio_speeches": ("speech",), "audio_transcriptions": ("transcriptions", "translations")}  # fmt: skip
_ELSEWHERE = frozenset(api for apis in _KINDS.values() for api in apis)
_USAGE_BY = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source")
_COSTS_BY = ("project_id", "user_id", "line_item", "api_key_id", "api_source")
_ANTHROPIC_BY = ("api_key_id", "workspace_id", "model", "service_tier", "context_window", "description")
_FACTORS = {"batch": Decimal("0.5"), "flex": Decimal("0.5"), "priority": Decimal(2)}


def report(
    path: str, query: dict[str, list[str]], key: str, entries: Iterable[Entry], options: Options
) -> dict[str, Any]:
    """One page of a report.

    Raises:
        RefusedError: the key is none of an administrator (401), or a parameter is not valid (400).
    """
    if not key.startswith(ADMIN_KEY):
        msg = "You have insufficient permissions for this operation: an admin key is needed."
        raise RefusedError(msg, 401)
    found = PATH.search(path)
    assert found is not None
    is_openai = found[1].startswith("organization/")
    late_s = time.time() - options.lag
    shown = [entry for entry in entries if entry.at_s < late_s]
    if not is_openai:
        is_usage = "usage_report" in path
        make: Callable[[list[Entry], list[str]], list[dict[str, Any]]]
        make = _anthropic_usage if is_usage else lambda some, by: _anthropic_costs(some, options)
        by = _group_by(query, _ANTHROPIC_BY)
        start = datetime.fromisoformat(query["starting_at"][0]).timestamp()
        end = query.get("ending_at")
        until = datetime.fromisoformat(end[0]).timestamp() if end else time.time()
        return _page(query, start, until, 31, lambda day: make(_of_day(shown, day), by), _anthropic_bucket)
    start = float(query.get("start_time", ["0"])[0])
    until = float(query.get("end_time", [str(time.time())])[0])
    if found["kind"] is None:
        by = _group_by(query, _COSTS_BY)
        return _page(query, start, until, 180, lambda day: _costs(_of_day(shown, day), by, options), _openai_bucket)
    by, kind = _group_by(query, _USAGE_BY), found["kind"]
    apis = _KINDS.get(kind)
    mine = [e for e in shown if (e.api in apis if apis else kind == "completions" and e.api not in _ELSEWHERE)]
    return _page(query, start, until, 31, lambda day: _usage(_of_day(mine, day), by, kind), _openai_bucket)


def _group_by(query: dict[str, list[str]], allowed: tuple[str, ...]) -> list[str]:
    by = query.get("group_by[]", []) + query.get("group_by", [])
    for name in by:
        if name not in allowed:
            msg = f"Invalid value for group_by: {name!r}. Supported values are: {', '.join(allowed)}."
            raise RefusedError(msg)
    return by


def _page(
    query: dict[str, list[str]], start: float, until: float, most: int,
    results: Callable[[float], list[dict[str, Any]]], bucket: Callable[[float, list[dict[str, Any]]], dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    limit = int(query.get("limit", ["7"])[0])
    if not 1 <= limit <= most:
        msg = f"Invalid limit: {limit}. It must be between 1 and {most}."
        raise RefusedError(msg)
    start -= start % _DAY_S
    first = int(query.get("page", ["page_0"])[0].removeprefix("page_"))
    days = [start + n * _DAY_S for n in range(max(0, int(-(-(until - start) // _DAY_S))))]
    data = [bucket(day, results(day)) for day in days[first : first + limit]]
    more = first + limit < len(days)
    return {"object": "page", "data": data, "has_more": more, "next_page": f"page_{first + limit}" if more else None}


def _of_day(entries: list[Entry], day: float) -> list[Entry]:
    return [entry for entry in entries if day <= entry.at_s < day + _DAY_S]


def _openai_bucket(day: float, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": int(day), "end_time": int(day) + _DAY_S, "results": results}


def _anthropic_bucket(day: float, results: list[dict[str, Any]]) -> dict[str, Any]:
    ends = [datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (day, day + _DAY_S)]
    return {"starting_at": ends[0], "ending_at": ends[1], "results": results}


def _identity(entry: Entry) -> dict[str, Any]:
    is_batch = entry.batch or entry.tier == "batch"
    return {
        "project_id": entry.project, "workspace_id": entry.project, "user_id": None, "api_key_id": entry.key_id,
        "model": entry.model, "batch": is_batch, "service_tier": "default" if is_batch else entry.tier,
        "api_source": None, "context_window": "0-200k",
    }  # fmt: skip


def _grouped(entries: list[Entry], by: list[str]) -> Iterator[tuple[dict[str, Any], list[Entry]]]:
    groups: dict[tuple[Any, ...], tuple[dict[str, Any], list[Entry]]] = {}
    for entry in entries:
        named = {name: value for name, value in _identity(entry).items() if name in by}
        groups.setdefault(tuple(named.values()), (named, []))[1].append(entry)
    yield from groups.values()


def _sum(entries: list[Entry], field: str) -> int:
    return sum(getattr(entry.usage, field) or 0 for entry in entries)


def _usage(entries: list[Entry], by: list[str], kind: str) -> list[dict[str, Any]]:
    nothing = dict.fromkeys(_USAGE_BY)
    return [
        {
            "object": f"organization.usage.{kind}.result",
            "input_tokens": _sum(some, "prompt_tokens"),
            "output_tokens": sum(entry.usage.billable_output_tokens or 0 for entry in some),
            "input_cached_tokens": _sum(some, "cached_tokens"),
            "input_audio_tokens": _sum(some, "input_audio_tokens"),
            "output_audio_tokens": _sum(some, "output_audio_tokens"),
            "num_model_requests": len(some),
            **nothing,
            **named,
        }
        for named, some in _grouped(entries, by)
    ]


def _parts(entry: Entry) -> Iterator[tuple[str, int, Decimal]]:
    """Kind of tokens, how many, and their cost in US dollars."""
    rate, usage = rate_of(entry.model), entry.usage
    if rate is None:
        return
    factor = _FACTORS.get("batch" if entry.batch else entry.tier or "", Decimal(1)) / 1_000_000
    cached = usage.cached_tokens or 0
    for kind, count, price in (
        ("input", (usage.prompt_tokens or 0) - cached, rate.prompt),
        ("cached input", cached, rate.cached or rate.prompt),
        ("output", usage.billable_output_tokens or 0, rate.completion),
    ):
        if count:
            yield kind, count, count * Decimal(price) * factor


def _lines(entries: list[Entry], options: Options) -> Iterator[tuple[str, str, int, Decimal]]:
    """Name of a line, model, tokens and cost; a wrong rate and fees as the options plant them."""
    sums: dict[tuple[str, str], tuple[int, Decimal]] = {}
    for entry in entries:
        prefix = "batch" if entry.batch else entry.tier if entry.tier in _FACTORS else ""
        for kind, count, cost in _parts(entry):
            key = (f"{prefix} | {entry.model}, {kind}" if prefix else f"{entry.model}, {kind}", entry.model)
            before = sums.get(key, (0, Decimal(0)))
            sums[key] = before[0] + count, before[1] + cost
    for (name, model), (count, cost) in sums.items():
        yield name, model, count, cost * Decimal(str(options.rate))
    if options.fee and entries:
        yield "web search tool calls", "", 1, Decimal(str(options.fee))


def _rounded(amount: Decimal, options: Options) -> Decimal:
    return amount if options.round is None else round(amount, options.round)


def _costs(entries: list[Entry], by: list[str], options: Options) -> list[dict[str, Any]]:
    nothing = dict.fromkeys(_COSTS_BY)
    found = []
    for named, some in _grouped(entries, by):
        lines = list(_lines(some, options))
        if "line_item" not in by:
            lines = [("", "", 0, sum((cost for *_, cost in lines), Decimal(0)))]
        for name, _, count, cost in lines:
            line = {"line_item": name, "quantity": count} if "line_item" in by else {"quantity": None}
            amount = {"value": float(_rounded(cost, options)), "currency": "usd"}
            found.append({"object": "organization.costs.result", "amount": amount, **nothing, **named, **line})
    return found


def _anthropic_usage(entries: list[Entry], by: list[str]) -> list[dict[str, Any]]:
    nothing = dict.fromkeys(_ANTHROPIC_BY[:-1])
    return [
        {
            "uncached_input_tokens": _sum(some, "prompt_tokens") - _sum(some, "cached_tokens"),
            "cache_read_input_tokens": _sum(some, "cached_tokens"),
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": _sum(some, "completion_tokens"),
            "server_tool_use": {"web_search_requests": 0},
            **nothing,
            **named,
        }
        for named, some in _grouped(entries, by)
    ]


def _anthropic_costs(entries: list[Entry], options: Options) -> list[dict[str, Any]]:
    """Amounts in cents, as decimal strings."""
    types = {"input": "uncached_input_tokens", "cached input": "cache_read_input_tokens", "output": "output_tokens"}
    return [
        {
            "amount": f"{_rounded(cost * 100, options):f}",
            "currency": "USD",
            "description": name,
            "model": model or None,
            "cost_type": "tokens" if model else "web_search",
            "token_type": types.get(name.rpartition(", ")[2]) if model else None,
            "service_tier": "batch" if name.startswith("batch |") else "standard",
            "workspace_id": None,
        }
        for name, model, _, cost in _lines(entries, options)
    ]
