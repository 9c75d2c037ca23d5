"""How a call reads: on one line, for people who print it, and as a repr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from token_meter._text import visible

if TYPE_CHECKING:
    from decimal import Decimal


def call_line(call: Any) -> str:
    """`gpt-4o-mini: 10 + 5 tokens, $0.0000045, 0.31 s`, and whatever is not as usual."""
    usage = call.usage
    if usage is None:
        counts = "unknown tokens" if call.certainty == "unmeasured" else "no tokens"
    else:
        counts = f"{_n(usage.prompt_tokens)} + {_n(usage.completion_tokens)} tokens"
    parts = [counts]
    if call.cost is not None:
        parts.append(f"{'' if call.price.is_whole else '>= '}{_usd(call.cost)}")
    elif call.price is not None:
        parts.append("unpriced")
    parts.append(f"{call.duration_s:.2f} s")
    if call.certainty in ("estimated", "lower_bound"):
        parts.append(call.certainty.replace("_", " "))
    if call.outcome != "complete":
        parts.append(call.outcome)
    if call.error is not None:
        parts.append(visible(call.error))
    if call.attempt:
        parts.append(f"retry {call.attempt}")
    if call.source != "live":
        parts.append(call.source)
    return f"{visible(call.model or call.api)}: {', '.join(parts)}"


def short_repr(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> str:
    """A repr of the fields that are known."""
    known = (f"{field}={value!r}" for field, value in zip(fields, values, strict=False) if value not in (None, ()))
    return f"{name}({', '.join(known)})"


def _usd(cost: Decimal) -> str:
    """With at least two decimals and three digits that count."""
    return f"${cost:.{max(2, 2 - cost.adjusted()) if cost else 2}f}"


def _n(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
