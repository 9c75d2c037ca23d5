"""Counts tokens for the simulated provider. Its counts are correct by definition.

Only `count` converts text to a number, by the vocabularies in token_meter's wheel, without network. The rules for whole
prompts are this provider's own, so that tests compare our estimates with numbers from other code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from token_meter.estimate import count_text

_PIECE = re.compile(r" ?[A-Za-z]{1,8}| ?\d{1,3}|[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]{1,2}|\s+|[^\sA-Za-z\d]")
_IMAGE_TOKENS = 85  # a low-detail image of the gpt-4o family
_MESSAGE_TOKENS = 3
_PRIMING_TOKENS = 3
_TOOL_TOKENS = 8


@lru_cache(maxsize=4096)
def _count_short(text: str, model: str | None) -> int:
    return count_text(text, model).tokens


def count(text: str, model: str | None) -> int:
    """The tokens of *text* by this provider's count. Only this function converts text to a number."""
    if not text:
        return 0
    return _count_short(text, model) if len(text) < 2000 else count_text(text, model).tokens


def pieces(text: str) -> list[str]:
    """Cut *text* into the pieces of a stream's events: a word or less each."""
    return _PIECE.findall(text)


def cut(text: str, limit: int | None, model: str | None) -> tuple[str, bool]:
    """The longest start of *text* with at most *limit* tokens, and whether it was cut."""
    if limit is None or count(text, model) <= limit:
        return text, False
    parts = pieces(text)
    low, high = 0, len(parts)
    while low < high:
        middle = (low + high + 1) // 2
        if count("".join(parts[:middle]), model) <= limit:
            low = middle
        else:
            high = middle - 1
    return "".join(parts[:low]), True


def is_reasoning(model: str) -> bool:
    """Whether *model* generates reasoning tokens."""
    return bool(re.match(r"(?:.*/)?(?:o\d|gpt-[5-9])", model)) and "chat" not in model


def text_of(content: Any) -> str:
    """The text in a message's content: a string, or a list of parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else _part_text(part) for part in content)
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


def _part_text(part: Any) -> str:
    if not isinstance(part, dict):
        return ""
    return str(part.get("text") or part.get("refusal") or "")


def _images(content: Any) -> int:
    if not isinstance(content, list):
        return 0
    return sum(
        isinstance(part, dict) and str(part.get("type", "")).endswith(("image_url", "image")) for part in content
    )


def message_tokens(message: dict[str, Any], model: str | None) -> int:
    """Tokens of one chat message or Responses input item."""
    total = _MESSAGE_TOKENS + count(str(message.get("role", "")), model) + count(text_of(message.get("content")), model)
    total += _IMAGE_TOKENS * _images(message.get("content"))
    if message.get("name") and "arguments" not in message:
        total += count(f":{message['name']}", model)
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        total += call_tokens(str(function.get("name", "")), str(function.get("arguments", "")), model)
    if "arguments" in message:
        total += call_tokens(str(message.get("name", "")), str(message["arguments"]), model)
    return total + count(text_of(message.get("output")), model) if "output" in message else total


def call_tokens(name: str, arguments: str, model: str | None) -> int:
    """Tokens of one tool call, in an answer or a request."""
    return _TOOL_TOKENS + count(name, model) + count(arguments, model)


def prompt_tokens(messages: Iterable[dict[str, Any]], tools: Any, schema: Any, model: str | None) -> int:
    """Tokens of a whole prompt: messages, tool definitions, answer format."""
    total = _PRIMING_TOKENS + sum(message_tokens(message, model) for message in messages)
    for extra in (tools, schema):
        if extra:
            total += count(json.dumps(extra, ensure_ascii=False, sort_keys=True), model)
    return total
