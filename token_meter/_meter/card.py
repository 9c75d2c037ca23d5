"""A meter as a card in a notebook: HTML without scripts, every name escaped, in the page's own colours."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from token_meter._meter.rendering import NEVER, amount_of, cost_line, requests_of, with_parts
from token_meter._money import format_usd, scale_of
from token_meter._text import visible
from token_meter.totals.totals import SubTotal

_ROWS = 20
_LIMITS = ("max_cost", "max_tokens", "max_calls")
_NAME = "text-align:left;overflow-wrap:anywhere;min-width:4em"
_NUMBER = "text-align:right;font-variant-numeric:tabular-nums"
_TABLE = "<table style='border-collapse:separate;border-spacing:.4em .1em'>"
_BAR = "display:inline-block;width:12em;height:.7em;border:1px solid currentColor;border-radius:.35em;overflow:hidden"


def card(meter: Any, *, warns: bool = True) -> str:
    """The card. It names models without a price; with *warns*, reading it warns of them as reading the cost does."""
    still = meter._told() if warns else meter._frozen()
    counted, models, tags = still.sums, still.by_model.snapshot(), still.by_tag.snapshot()
    scale = scale_of([counted.cost, *(sub.cost for parts in (models, tags) for sub in parts.values())])
    facts = {
        "requests": requests_of(counted),
        "prompt tokens": with_parts(
            counted.prompt_tokens, cached=counted.cached_tokens, **{"cache written": counted.cache_write_tokens}
        ),
        "completion tokens": with_parts(counted.completion_tokens, reasoning=counted.reasoning_tokens),
    }
    title = escape(visible(meter.name)) if meter.name else "token_meter"
    state = NEVER if meter.never_opened else " · open" if meter.is_open else ""
    rows = "".join(
        f"<tr><th style='text-align:left' scope='row'>{name}</th><td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in facts.items()
    )
    return (
        f"<div><div style='overflow-wrap:anywhere'><b>{title}</b>{state} · {counted.total_tokens:,} tokens · "
        f"<b>{escape(cost_line(still, meter, scale))}</b></div>{_TABLE}{rows}{_bars(meter)}</table>"
        f"{_table('model', models, scale)}{_table('tag', tags, scale)}</div>"
    )


def _table(heading: str, parts: Mapping[str, SubTotal], scale: int | None) -> str:
    """Sub-totals, the largest first; nothing where there are none."""
    if not parts:
        return ""
    ordered = sorted(parts.items(), key=lambda item: -item[1].total_tokens)
    rows = "".join(
        f"<tr><td style='{_NAME}'>{escape(visible(name))}</td>"
        f"<td style='{_NUMBER}'>{sub.successful_requests + sub.failed_requests:,}</td>"
        f"<td style='{_NUMBER}'>{sub.total_tokens:,}</td>"
        f"<td style='{_NUMBER}'>{escape(amount_of(sub, scale))}</td></tr>"
        for name, sub in ordered[:_ROWS]
    )
    if len(ordered) > _ROWS:
        rows += f"<tr><td colspan='4'>… and {len(ordered) - _ROWS:,} more</td></tr>"
    heads = "".join(f"<th style='text-align:right' scope='col'>{head}</th>" for head in ("requests", "tokens", "cost"))
    return f"{_TABLE}<tr><th style='text-align:left' scope='col'>{heading}</th>{heads}</tr>{rows}</table>"


def _bars(meter: Any) -> str:
    """A bar for each limit: how much of it is used or reserved."""
    if meter.budget is None:
        return ""
    account, bars = meter.budget.account, ""
    for name, limit, rest in zip(_LIMITS, account.limits, account.remaining, strict=True):
        if limit is not None:
            used, share = limit - rest, round(100 * float(1 - rest / limit)) if limit else 100
            text = f"{format_usd(used)} of {format_usd(limit)}" if name == "max_cost" else f"{used:,} of {limit:,}"
            bars += (
                f"<tr><th style='text-align:left' scope='row'>{name}</th><td style='text-align:left'>"
                f"<span style='{_BAR}' role='img' aria-label='{share}% used'>"
                f"<span style='display:block;height:100%;width:{share}%;background:currentColor'></span></span>"
                f" {escape(text)} ({share}%)</td></tr>"
            )
    return bars
