"""Reads the body of a Responses request for counting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_meter.providers.openai.counting.read import Called, Prompt, Said, called_of, choice_of, format_of, mappings

_STATE = ("previous_response_id", "conversation", "prompt")


def read_responses(request: Mapping[str, Any]) -> Prompt:
    """Read the body of a Responses request."""
    prompt = Prompt()
    instructions = request.get("instructions")
    if isinstance(instructions, str) and instructions:
        prompt.items.append(Said("system", instructions))
    given = request.get("input")
    if isinstance(given, str):
        prompt.items.append(Said("user", given))
    items = mappings(given)
    asked = max((place for place, item in enumerate(items) if item.get("role") == "user"), default=-1)
    for place, item in enumerate(items):
        _read_item(prompt, item, is_earlier=place < asked)
    prompt.read_tools(request.get("tools"))
    prompt.choice = choice_of(request.get("tool_choice"))
    wanted = request.get("text")
    wanted = wanted.get("format") if isinstance(wanted, Mapping) else None
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        prompt.response_format = format_of(wanted)
    if request.get("truncation") == "auto" or request.get("context_management"):
        prompt.is_compacted = True
    if any(request.get(name) is not None for name in _STATE):
        prompt.unseen.add("server state")
    reasoning = request.get("reasoning")
    if isinstance(reasoning, Mapping) and reasoning.get("mode") == "pro":
        prompt.unseen.add("pro mode")
    return prompt


def _read_item(prompt: Prompt, item: Mapping[str, Any], *, is_earlier: bool) -> None:
    """Read one item; *is_earlier* items precede the last message of the user.

    The provider drops reasoning before the user's last message, which costs nothing (13 of 13 recorded requests,
    2026-11). Reasoning after it is billed, and cannot be read (24 of 24).
    """
    kind = str(item.get("type") or "message")
    if kind == "reasoning":
        if not is_earlier:
            prompt.unseen.add("reasoning items")
        return
    if kind == "message":
        prompt.items.append(Said(str(item.get("role") or ""), prompt.read_content(item.get("content"))))
    elif kind in ("function_call", "custom_tool_call"):
        _read_call(prompt, item)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        prompt.add_result("tool", prompt.read_content(item.get("output")))
    else:
        prompt.unseen.add("server items")
        prompt.is_compacted = prompt.is_compacted or kind.startswith("compaction")
    if kind.startswith("custom_tool"):
        prompt.unseen.add("custom tools")
    prompt.has_stored_items = prompt.has_stored_items or bool(item.get("id"))


def _read_call(prompt: Prompt, item: Mapping[str, Any]) -> None:
    """Read a call. Calls without a result between them belong to one turn."""
    last = prompt.items[-1] if prompt.items else None
    stored = 1 if item.get("id") else 0
    if isinstance(last, Called) and not last.results:
        prompt.items[-1] = Called((*last.calls, called_of(item)), last.results, last.n_stored + stored)
    else:
        prompt.items.append(Called((called_of(item),), [], stored))
