"""Anthropic's native messages: input in the first event, output in the last. No route leads here."""

from __future__ import annotations

from token_meter._wire._flavour import Flavour, Place
from token_meter._wire._json import Object


def _place(event: Object) -> Place:
    inner = event.get("message")
    holder = inner if isinstance(inner, dict) else event
    usage = holder.get("usage")
    return Place(usage if isinstance(usage, dict) else None, holder)


ANTHROPIC = Flavour("anthropic", place=_place, terminal=frozenset({"message_stop"}))
