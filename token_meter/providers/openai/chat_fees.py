"""What an answer of the chat api shows beside its usage: tools that its vendor ran, and a gateway's own charge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from token_meter.wire.json_scan import Object
from token_meter.wire.numbers import NumberReader
from token_meter.wire.safe_access import objects, text_of

MARKS = (b'"executed_tools"', b'"$web_search"', b'"provider_metadata"', b'"web_search"')
"""Groq's compound systems; Moonshot's search; Vercel's gateway; Z.AI's search results (their references, 2026-11)."""
_SEARCH = "$web_search"


def chat_fees(events: Sequence[Object]) -> dict[str, Any]:
    """The fees of an answer, whole or in pieces."""
    found: dict[str, Any] = {}
    for event in events:
        for said in _messages(event):
            for tool in objects(said.get("executed_tools")):
                name = f"executed {text_of(tool.get('type')) or 'tool'}"
                found[name] = found.get(name, 0) + 1
            for call in objects(said.get("tool_calls")):
                function = call.get("function")
                if isinstance(function, dict) and function.get("name") == _SEARCH:
                    found[_SEARCH] = found.get(_SEARCH, 0) + 1
            found.update(_charge(said))
        found.update(_charge(event))
        if event.get("web_search") and isinstance(event["web_search"], list):
            found["search results"] = None
    return found


def _messages(event: Object) -> Iterator[Object]:
    for choice in objects(event.get("choices")):
        said = choice.get("delta") or choice.get("message")
        if isinstance(said, dict):
            yield said


def _charge(holder: Object) -> dict[str, Any]:
    """What Vercel's gateway says it charged, in US dollars, as a text."""
    metadata: Any = holder.get("provider_metadata")
    gateway = metadata.get("gateway") if isinstance(metadata, dict) else None
    amount = NumberReader().dollars(gateway.get("cost")) if isinstance(gateway, dict) else None
    return {} if amount is None else {"charge": amount}
