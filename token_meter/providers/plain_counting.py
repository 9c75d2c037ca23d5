"""Counts the tokens of providers whose tokenizers are not at hand: each text by o200k, marked as such. Knows no api."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from token_meter.estimate.rules import Counted, Counter
from token_meter.types import Answer

PER_MESSAGE = 4
APPROXIMATE = ("another tokenizer",)
_TEXTS = ("text", "thinking", "content", "message")
_NO_TEXT = ("image", "image_url", "images", "audio", "input_audio", "document_url", "video_url", "file")


def said(value: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of what a message holds: a text, a part, or a list of these."""
    if isinstance(value, str):
        yield "text", value
    elif isinstance(value, list):
        for item in value:
            yield from said(item)
    elif isinstance(value, Mapping):
        kind = str(value.get("type"))
        if kind in _NO_TEXT:
            yield "image" if "image" in kind else kind, ""
            return
        if value.get("images"):
            yield "image", ""
        found = [value[name] for name in _TEXTS if value.get(name) is not None]
        for each in found:
            yield from said(each)
        calls = value.get("tool_calls")
        if calls or not found:
            yield "text", as_json(calls or value)


def counted(n: Counter, *given: Any, tools: Any = None, messages: int = 0, unseen: tuple[str, ...] = ()) -> Counted:
    """A prompt of texts, parts and definitions of tools, and of so many messages."""
    found = [pair for each in given for pair in said(each)]
    tokens = PER_MESSAGE * messages + sum(n(text) for _, text in found)
    rules = ["text"]
    if isinstance(tools, list) and tools:
        rules.append("tools")
        tokens += sum(n(as_json(tool)) for tool in tools)
    kinds = {kind for kind, _ in found if kind != "text"}
    return Counted(tokens, tuple(rules), APPROXIMATE, tuple(sorted({*kinds, *unseen})))


def count_answer(answer: Answer, n: Counter, model: str | None) -> int:
    """What an answer shows: thoughts, texts, calls."""
    calls = sum(n(name) + n(arguments) for name, arguments in answer.tool_calls)
    return n(answer.thoughts) + sum(map(n, answer.texts)) + calls


def listed(value: Any) -> list[Any]:
    """A list; of anything else, none."""
    return value if isinstance(value, list) else []


def no_output(request: Mapping[str, Any]) -> int:
    """Nothing is generated."""
    return 0


def no_answer(answer: Answer, n: Counter, model: str | None) -> int:
    """Nothing was generated."""
    return 0


def as_json(value: Any) -> str:
    """A value as JSON; what is none by its text."""
    return json.dumps(value, ensure_ascii=False, default=str)
