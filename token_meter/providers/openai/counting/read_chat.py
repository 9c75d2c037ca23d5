"""Reads the body of a Chat Completions request for counting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_meter.providers.openai.counting.read import (
    Called,
    Prompt,
    Said,
    called_of,
    choice_of,
    format_of,
    function_of,
    mappings,
    text_in,
)

_HOSTED = ("web_search_options", "plugins", "search_parameters", "enable_search")
"""By which vendors are asked to search: OpenAI and Perplexity, OpenRouter, xAI, DashScope (their references, 2026-11).
Groq's compound systems, and OpenRouter's models that end in `:online`, need no option."""


def read_chat(request: Mapping[str, Any]) -> Prompt:
    """Read the body of a Chat Completions request."""
    prompt = Prompt()
    for message in mappings(request.get("messages")):
        _read_message(prompt, message)
    prompt.read_tools(request.get("tools"))
    if functions := mappings(request.get("functions")):
        prompt.functions += [function_of(given) for given in functions]
        prompt.is_legacy = True
    prompt.choice = choice_of(request.get("function_call" if prompt.is_legacy else "tool_choice"))
    wanted = request.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        prompt.response_format = format_of(wanted.get("json_schema"))
    model = str(request.get("model") or "")
    if (
        any(request.get(name) not in (None, False) for name in _HOSTED)
        or "compound" in model
        or model.endswith(":online")
    ):
        prompt.unseen.add("hosted tools")
    return prompt


def _read_message(prompt: Prompt, message: Mapping[str, Any]) -> None:
    role = str(message.get("role") or "")
    name = text_in(message, "name") or None
    text = prompt.read_content(message.get("content"))
    if role in ("tool", "function"):
        prompt.add_result(role, text, name)
        return
    given = mappings(message.get("tool_calls"))
    if isinstance(message.get("function_call"), Mapping):
        given = [*given, message["function_call"]]
    if not given or text:
        prompt.items.append(Said(role, text, name))
    if given:
        prompt.items.append(Called(tuple(map(called_of, given)), []))
    if any(call.get("type") == "custom" for call in given):
        prompt.unseen.add("custom tools")
    if message.get("audio") is not None:
        prompt.unseen.add("audio")
