"""Counts prompts and answers for Bedrock by o200k, because its models have vocabularies of their own; marked as such.

A body of `InvokeModel` has the format of the model's vendor. Claude's is counted by Claude's rules; of all others the
texts are found under the names that these formats have for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from token_meter.estimate.rules import Counted, Counter, CountingRules, positive
from token_meter.providers.anthropic import counting as anthropic
from token_meter.types import Answer

_PER_MESSAGE = 4
_TOOLS = 530
_IMAGE = 4784
"""As for Claude, whose images and explanations of tools take the most tokens of all."""
_FILES = ("document", "video", "audio")
_NO_TEXT = ("cachePoint", "toolAddition", "toolRemoval")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _blocks(content: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of each block of a conversation; a block is an object with one key."""
    for block in _listed(content):
        if isinstance(block, str):
            yield "text", block
        for kind, value in _mapping(block).items():
            if kind == "text" and isinstance(value, str):
                yield "text", value
            elif kind == "image" or kind in _FILES:
                yield kind, ""
            elif kind == "toolUse":
                yield "calls", f"{_mapping(value).get('name')}{_text(_mapping(value).get('input'))}"
            elif kind == "toolResult":
                yield from _blocks(_mapping(value).get("content"))
            elif kind == "guardContent":
                inner = _mapping(value)
                yield from _blocks({"image": ""} if "image" in inner else _mapping(inner.get("text")))
            elif kind == "reasoningContent":
                inner = _mapping(value)
                yield (
                    "text",
                    str(_mapping(inner.get("reasoningText")).get("text") or inner.get("redactedContent") or ""),
                )
            elif kind not in _NO_TEXT and isinstance(value, Mapping | list):  # json, search results, citations
                yield "text", _text(value)


def _counted(found: Iterable[tuple[str, str]], tools: list[Any], messages: int, n: Counter) -> Counted:
    tokens, kinds = _PER_MESSAGE * messages, set()
    for kind, text in found:
        kinds.add(kind)
        tokens += _IMAGE if kind == "image" else n(text)
    if tools:
        tokens += _TOOLS + sum(n(_text(tool)) for tool in tools)
    rules = ("text", *(("tools",) if tools else ()), *(("images",) if "image" in kinds else ()))
    at_most = ("images",) if "image" in kinds else ()
    return Counted(tokens, rules, ("another tokenizer",), tuple(kind for kind in _FILES if kind in kinds), at_most)


def _answer(answer: Answer, n: Counter, model: str | None) -> int:
    calls = sum(n(name) + n(arguments) for name, arguments in answer.tool_calls)
    return n(answer.thoughts) + sum(map(n, answer.texts)) + calls


# Conversations.


def _prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count system, messages and tools."""
    messages = [_mapping(message).get("content") for message in _listed(request.get("messages"))]
    found = (part for content in (request.get("system"), *messages) for part in _blocks(content))
    counted = _counted(found, _listed(_mapping(request.get("toolConfig")).get("tools")), len(messages), n)
    if request.get("promptVariables"):
        counted = counted._replace(unseen=(*counted.unseen, "stored prompt"))
    return counted


def _cap(request: Mapping[str, Any]) -> int | None:
    """The most output tokens, thoughts included; fields of the model's own may set it too."""
    more = _mapping(request.get("additionalModelRequestFields"))
    return positive(_mapping(request.get("inferenceConfig")).get("maxTokens")) or positive(more.get("max_tokens"))


def _has_known_size(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    """No files, no stored prompt, and no tools that the provider runs."""
    tools = _listed(_mapping(request.get("toolConfig")).get("tools"))
    return not unseen and not any("systemTool" in _mapping(tool) for tool in tools)


def _unseen(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    return ["reasoning"] if answer.reasoned else []


# The formats of vendors.

_PROMPTS = ("prompt", "inputText", "message", "preamble", "system", "instructions", "input")
_LISTS = ("messages", "chat_history", "documents", "texts", "inputs", "queries")
_CAPS = (
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_tokens_to_sample", "max_gen_len", "maxTokens",
    "max_new_tokens", "maxTokenCount",
)  # fmt: skip
_CONFIGS = ("inferenceConfig", "textGenerationConfig")
_CHOICES = ("n", "num_generations", "numResults")
_VECTORS = ("texts", "inputs", "embeddingConfig", "embeddingParams", "dimensions", "embeddingTypes")


def _is_claude(request: Mapping[str, Any]) -> bool:
    return "anthropic_version" in request


def _said(value: Any) -> Iterator[tuple[str, str]]:
    """Kind and text of whatever a vendor's format has under the name of a prompt."""
    if isinstance(value, str):
        yield "text", value
    elif isinstance(value, list):
        for item in value:
            yield from _said(item)
    elif isinstance(value, Mapping):
        kind = str(value.get("type"))
        if "image" in kind or "image" in value:
            yield "image", ""
        elif any(name in value for name in _FILES) or kind in _FILES:
            yield next((name for name in _FILES if name in value or name == kind), "document"), ""
        else:
            for name, inner in value.items():
                if name not in ("role", "type", "id"):
                    yield from _said(inner)


def _invoke_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    if _is_claude(request):
        rules = anthropic.MESSAGES if "messages" in request else anthropic.COMPLETE
        return rules.count_prompt(request, n, model)
    found = [part for name in (*_PROMPTS, *_LISTS) for part in _said(request.get(name))]
    if "inputImage" in request or "images" in request:
        found.append(("image", ""))
    tools = _listed(request.get("tools")) or _listed(_mapping(request.get("toolConfig")).get("tools"))
    return _counted(found, tools, len(_listed(request.get("messages"))), n)


def _invoke_cap(request: Mapping[str, Any]) -> int | None:
    holders = (request, *(_mapping(request.get(name)) for name in _CONFIGS))
    cap = next((found for holder in holders for name in _CAPS if (found := positive(holder.get(name)))), None)
    if cap is None:
        return 0 if any(name in request for name in _VECTORS) else None
    return cap * next((found for name in _CHOICES if (found := positive(request.get(name)))), 1)


def _invoke_has_known_size(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    if _is_claude(request):
        return anthropic.MESSAGES.has_known_size(request, unseen)
    return not unseen


def _invoke_unseen(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    if _is_claude(request):
        return anthropic.MESSAGES.unseen_output(request, answer, model)
    return _unseen(request, answer, model)


CONVERSE = CountingRules(_prompt, _cap, _answer, _unseen, _has_known_size)
INVOKE = CountingRules(_invoke_prompt, _invoke_cap, _answer, _invoke_unseen, _invoke_has_known_size)
