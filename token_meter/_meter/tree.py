"""Draws a meter and the meters inside of it, as a tree of tokens and US dollars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from token_meter._money import EXACT, add_usd, scale_of
from token_meter._text import visible
from token_meter.totals.totals import SubTotal, Totals, amount

_NAME_WIDTH = 44
_REST = "(outside of these)"
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens", "successful_requests", "failed_requests")


class _Node:
    """Meters of one name under one parent, and their sums."""

    def __init__(self, meters: Sequence[Any], seen: frozenset[int] = frozenset()) -> None:
        self.label = _label(meters)
        self.sums = _sum([meter._told().sums for meter in meters])
        seen |= {id(meter) for meter in meters}
        groups: dict[str | None, list[Any]] = {}
        for meter in meters:
            for inner in list(meter.inner):
                if id(inner) not in seen:  # a meter can be entered again inside of itself
                    groups.setdefault(inner.name, []).append(inner)
        self.inner = [_Node(group, seen) for group in groups.values()]

    def rest(self) -> Totals | None:
        """What no inner meter counted; `None` where that is nothing, or where inner meters counted more than this."""
        if not self.inner:
            return None
        inside = _sum([node.sums for node in self.inner])
        rest = Totals()
        for name, value in vars(self.sums).items():
            counted = getattr(inside, name)
            left = EXACT.subtract(value, counted) if name == "cost" else value - counted
            if left < 0:
                return None
            if left:
                setattr(rest, name, left)
        return rest if any(getattr(rest, name) for name in _COUNTS) else None

    def walk(self, lead: str = "", below: str = "") -> Iterator[tuple[str, Totals]]:
        """Lines from the top down: the label behind its branches, and the sums."""
        yield lead + self.label, self.sums
        rest = self.rest()
        for place, node in enumerate(self.inner, 1):
            is_last = place == len(self.inner) and rest is None
            yield from node.walk(below + ("└─ " if is_last else "├─ "), below + ("   " if is_last else "│  "))
        if rest is not None:
            yield f"{below}└─ {_REST}", rest


def drawn(meter: Any) -> str:
    """*meter* and those inside of it, at most 80 columns wide where names are short."""
    lines = list(_Node([meter]).walk())
    width = max(min(_NAME_WIDTH, max(len(label) for label, _ in lines)), 12)
    scale = scale_of(sums.cost for _, sums in lines)
    return "\n".join(
        f"{label:<{width}} {sums.total_tokens:>12,} tokens  {amount(SubTotal(sums), scale):>16}"
        for label, sums in lines
    )


def _label(meters: Sequence[Any]) -> str:
    name = visible(meters[0].name, 30) if meters[0].name else "(no name)"
    return f"{name} × {len(meters):,}" if len(meters) > 1 else name


def _sum(parts: Sequence[Totals]) -> Totals:
    sums = Totals()
    for part in parts:
        cost = add_usd(sums.cost, part.cost)
        sums.add(part)
        sums.cost = cost
    return sums
