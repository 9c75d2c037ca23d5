"""Counts Anthropic's prompts and answers by o200k, because Anthropic's own tokenizer is not public; marked as such.

Its newer models use more tokens for the same text than o200k, so that a count of the visible text is a lower bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from token_meter.estimate.rules import Counted, Counter, CountingRules, positive
from token_meter.types import Answer

_PER_MESSAGE = 4
_TOOLS = 530
"""Tokens of the prompt by which the provider explains tools to the model: 159 to 530, depending on the model
(https://docs.anthropic.com/en/docs/tool-use-pricing-and-tokens, stored copy read 2026-11)."""
_IMAGE = 4784
"""The largest number of tokens of an image, after the provider has shrunk it: 1,568, and 4,784 since Opus 4.7
(https://platform.claude.com/docs/en/build-with-claude/vision, as quoted in 2026)."""
_NOT_COUNTED = ("document", "container_upload")


def _prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count system, messages and tools, each text on its own."""
    tokens, kinds = 0, set()
    messages = request.get("messages")
    listed = messages if isinstance(messages, list) else []
    for given in (request.get("system"), *(_content(message) for message in listed)):
        for kind, text in _texts(given):
            kinds.add(kind)
            tokens += _IMAGE if kind == "image" else n(text)
    tokens += _PER_MESSAGE * len(listed)
    tools = request.get("tools")
    if isinstance(tools, list) and tools:
        kinds.add("tools")
        tokens += _TOOLS + sum(n(json.dumps(tool, ensure_ascii=False, default=str)) for tool in tools)
    unseen = tuple(kind for kind in _NOT_COUNTED if kind in kinds)
    rules = ("text", *(("tools",) if "tools" in kinds else ()), *(("images",) if "image" in kinds else ()))
    return Counted(tokens, rules, ("another tokenizer",), unseen)


def _content(message: Any) -> Any:
    return message.get("content") if isinstance(message, Mapping) else None


def _texts(content: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of each block, including the contents of tool calls and results."""
    if isinstance(content, str):
        yield "text", content
    elif isinstance(content, list):
        for block in content:
            yield from _texts_of(block)


def _texts_of(block: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(block, Mapping):
        return
    kind = str(block.get("type"))
    if kind.endswith("tool_use"):
        yield "text", f"{block.get('name')}{json.dumps(block.get('input'), ensure_ascii=False, default=str)}"
    elif kind.endswith("tool_result"):
        yield from _texts(block.get("content"))
    elif kind in ("image", *_NOT_COUNTED):
        source = block.get("source")
        text = source.get("data") if isinstance(source, Mapping) and source.get("type") == "text" else None
        yield ("text", text) if isinstance(text, str) else (kind, "")
    else:
        text = block.get("thinking") or block.get("text")
        yield kind, text if isinstance(text, str) else ""


def _cap(request: Mapping[str, Any]) -> int | None:
    """The request's `max_tokens`, which includes thinking: `budget_tokens` must be below it."""
    return positive(request.get("max_tokens"))


def _answer(answer: Answer, n: Counter, model: str | None) -> int:
    calls = sum(n(name) + n(arguments) for name, arguments in answer.tool_calls)
    return n(answer.thoughts) + sum(map(n, answer.texts)) + calls


def _unseen(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    """Name thinking, whose text is shown as a summary or not at all."""
    return ["reasoning"] if answer.reasoned or "thinking" in request else []


_HOSTED = ("web_search", "web_fetch", "code_execution", "advisor", "tool_search", "mcp_toolset")
"""How the types of tools begin that the provider runs itself (https://docs.anthropic.com/en/docs/agents-and-tools,
2026-11)."""


def _has_known_size(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    """No documents, and no tools that the provider runs and whose results only it sees."""
    tools = request.get("tools")
    kinds = [str(tool.get("type")) for tool in tools if isinstance(tool, Mapping)] if isinstance(tools, list) else []
    return not (unseen or request.get("mcp_servers") or any(kind.startswith(_HOSTED) for kind in kinds))


def _old_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    prompt = request.get("prompt")
    return Counted(n(prompt) if isinstance(prompt, str) else 0, approximate=("another tokenizer",))


def _old_cap(request: Mapping[str, Any]) -> int | None:
    return positive(request.get("max_tokens_to_sample"))


MESSAGES = CountingRules(_prompt, _cap, _answer, _unseen, _has_known_size)
COMPLETE = CountingRules(_old_prompt, _old_cap, _answer)
