"""What a request asks, in the words that the counting rules need. It counts nothing, and never raises on odd input.

Chat and Responses requests come out in one form: a sequence of things said and of functions called.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from token_meter.estimate.images import Image, image_of_url
from token_meter.estimate.tools import Function, ResponseFormat, compact_json

_SYSTEM = ("system", "developer")
_STATE = ("previous_response_id", "conversation", "prompt")
_HOSTED_ITEMS = ("message", "function_call", "function_call_output")


class Said(NamedTuple):
    """One message: the text parts of its content."""

    role: str
    texts: tuple[str, ...]
    name: str | None = None


class Called(NamedTuple):
    """Functions that the model called in one turn, as `(name, arguments)`, with what they returned.

    `n_bare` of them came without the id that the Responses API gave them: those cost less.
    """

    calls: tuple[tuple[str, str], ...]
    results: list[tuple[str, ...]]
    n_bare: int = 0


Item: TypeAlias = Said | Called


class Prompt:
    """A request, ready to be counted.

    Attributes:
        items: what was said and called, in order.
        functions: the functions that the model may call.
        response_format: the JSON schema for the answer.
        choice: the tool choice: `none`, `required`, `auto`, or `name:NAME`.
        is_legacy: the functions came by the old `functions` parameter.
        images: the images of all messages.
        is_bound: the count holds an image of unknown size, taken for the largest possible.
        unseen: words for what no rule can count (`audio`, `file`, `hosted tools`, ...): the count is a lower bound.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.functions: list[Function] = []
        self.response_format: ResponseFormat | None = None
        self.choice = "auto"
        self.is_legacy = False
        self.images: list[Image] = []
        self.is_bound = False
        self.unseen: set[str] = set()

    @property
    def system(self) -> str | None:
        """The text of the first system message."""
        found = (item for item in self.items if isinstance(item, Said) and item.role in _SYSTEM)
        first = next(found, None)
        return None if first is None else "".join(first.texts)

    def read_content(self, content: Any) -> tuple[str, ...]:
        """Take the texts of a message's content, and note its images and whatever cannot be counted."""
        if isinstance(content, str):
            return (content,)
        texts = []
        for part in content if isinstance(content, list) else ():
            if isinstance(part, str):
                texts.append(part)
                continue
            if not isinstance(part, Mapping):
                continue
            kind = part.get("type")
            if kind in ("text", "input_text", "output_text", "refusal"):
                text = part.get("text", part.get("refusal"))
                texts.append(text if isinstance(text, str) else "")
            elif kind == "image_url":
                url = part.get("image_url")
                url = url if isinstance(url, Mapping) else {"url": url}
                self.images.append(image_of_url(url.get("url"), url.get("detail")))
            elif kind == "input_image":
                self.images.append(image_of_url(part.get("image_url"), part.get("detail")))
            else:
                self.unseen.add("audio" if "audio" in str(kind) else "file" if "file" in str(kind) else "content")
        return tuple(texts)


def read_chat(request: Mapping[str, Any]) -> Prompt:
    """Read the body of a Chat Completions request."""
    prompt = Prompt()
    for message in _mappings(request.get("messages")):
        _read_message(prompt, message)
    _read_tools(prompt, request.get("tools"))
    if functions := _mappings(request.get("functions")):
        prompt.functions += [_function(f) for f in functions]
        prompt.is_legacy = True
    choice = request.get("function_call") if prompt.is_legacy else request.get("tool_choice")
    prompt.choice = _choice(choice)
    wanted = request.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        prompt.response_format = _format(wanted.get("json_schema"))
    if request.get("web_search_options") is not None:
        prompt.unseen.add("hosted tools")
    return prompt


def _read_message(prompt: Prompt, message: Mapping[str, Any]) -> None:
    role = str(message.get("role") or "")
    texts = prompt.read_content(message.get("content"))
    if role in ("tool", "function"):
        last = prompt.items[-1] if prompt.items else None
        if isinstance(last, Called):
            last.results.append(texts)
        else:
            prompt.items.append(Said(role, texts, _name(message)))
        return
    calls = [_called(call) for call in _mappings(message.get("tool_calls"))]
    if isinstance(message.get("function_call"), Mapping):
        calls.append(_called(message["function_call"]))
    if not calls or any(texts):
        prompt.items.append(Said(role, texts, _name(message)))
    if calls:
        prompt.items.append(Called(tuple(calls), []))
    if message.get("audio") is not None:
        prompt.unseen.add("audio")


def read_responses(request: Mapping[str, Any]) -> Prompt:
    """Read the body of a Responses request."""
    prompt = Prompt()
    instructions = request.get("instructions")
    if isinstance(instructions, str) and instructions:
        prompt.items.append(Said("system", (instructions,)))
    given = request.get("input")
    if isinstance(given, str):
        prompt.items.append(Said("user", (given,)))
    for item in _mappings(given):
        _read_item(prompt, item)
    _read_tools(prompt, request.get("tools"))
    prompt.choice = _choice(request.get("tool_choice"))
    wanted = request.get("text")
    wanted = wanted.get("format") if isinstance(wanted, Mapping) else None
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        prompt.response_format = _format(wanted)
    if any(request.get(name) is not None for name in _STATE):
        prompt.unseen.add("server state")
    reasoning = request.get("reasoning")
    if isinstance(reasoning, Mapping) and reasoning.get("mode") == "pro":
        prompt.unseen.add("pro mode")
    return prompt


def _read_item(prompt: Prompt, item: Mapping[str, Any]) -> None:
    kind = item.get("type") or "message"
    last = prompt.items[-1] if prompt.items else None
    if kind == "message":
        prompt.items.append(Said(str(item.get("role") or ""), prompt.read_content(item.get("content"))))
    elif kind == "function_call":
        call = _called(item)
        n_bare = 0 if item.get("id") else 1
        if isinstance(last, Called) and not last.results:
            prompt.items[-1] = Called((*last.calls, call), last.results, last.n_bare + n_bare)
        else:
            prompt.items.append(Called((call,), [], n_bare))
    elif kind == "function_call_output":
        texts = prompt.read_content(item.get("output"))
        if isinstance(last, Called):
            last.results.append(texts)
        else:
            prompt.items.append(Said("tool", texts))
    else:
        prompt.unseen.add("reasoning items" if kind == "reasoning" else "server items")


def _read_tools(prompt: Prompt, tools: Any) -> None:
    for tool in _mappings(tools):
        if tool.get("type", "function") == "function":
            prompt.functions.append(_function(tool.get("function", tool)))
        else:
            prompt.unseen.add("hosted tools")


def _function(given: Any) -> Function:
    found = given if isinstance(given, Mapping) else {}
    parameters = found.get("parameters")
    description = found.get("description")
    return Function(
        str(found.get("name") or ""),
        description if isinstance(description, str) else None,
        parameters if isinstance(parameters, Mapping) else {},
    )


def _called(given: Mapping[str, Any]) -> tuple[str, str]:
    inner = given.get("function", given.get("custom", given))
    inner = inner if isinstance(inner, Mapping) else {}
    arguments = inner.get("arguments", inner.get("input"))
    return str(inner.get("name") or ""), arguments if isinstance(arguments, str) else ""


def compact_arguments(arguments: str) -> str:
    """Write a call's arguments as the models see them, without spaces; what is no JSON stays as it is."""
    try:
        return compact_json(json.loads(arguments))
    except (ValueError, RecursionError):
        return arguments


def _choice(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        inner = given.get("function", given)
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if isinstance(name, str):
            return f"name:{name}"
    return "auto"


def _format(given: Any) -> ResponseFormat | None:
    if not isinstance(given, Mapping):
        return None
    schema, description = given.get("schema"), given.get("description")
    return ResponseFormat(
        str(given.get("name") or ""),
        description if isinstance(description, str) else None,
        schema if isinstance(schema, Mapping) else {},
        given.get("strict") is True,
    )


def _name(message: Mapping[str, Any]) -> str | None:
    name = message.get("name")
    return name if isinstance(name, str) and name else None


def _mappings(given: Any) -> list[Mapping[str, Any]]:
    return [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
