"""Reads a request into the form that the counting rules take. Never raises on odd input.

Chat and Responses requests have the same form here: a sequence of messages and of function calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from token_meter.providers.openai.counting.functions import Custom, Function
from token_meter.providers.openai.counting.images import Image, image_of_url
from token_meter.providers.openai.counting.schema import ResponseFormat

_SYSTEM = ("system", "developer")


class Said(NamedTuple):
    """One message. The parts of its content are joined to one text, because a token may cross from part to part."""

    role: str
    text: str
    name: str | None = None


class Called(NamedTuple):
    """Functions that the model called in one turn, as `(name, arguments)`, with their results.

    `n_stored` of them have the id under which the Responses API stores them.
    """

    calls: tuple[tuple[str, str], ...]
    results: list[str]
    n_stored: int = 0


Item: TypeAlias = Said | Called


class Prompt:
    """A request, ready to be counted.

    Attributes:
        items: messages and calls, in order.
        functions: the functions that the model may call.
        customs: the tools that it may call with free text.
        response_format: the JSON schema for the answer.
        choice: the tool choice: `none`, `required`, `auto`, or `name:NAME`.
        is_legacy: the functions are in the old `functions` parameter.
        images: the images of all messages.
        has_stored_items: an item has an id, so that the provider reads its own copy of it.
        is_compacted: the provider may read fewer items than were sent, because it makes a summary of them.
        unseen: names of parts that no rule can count (`audio`, `file`, `hosted tools`, ...).
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.functions: list[Function] = []
        self.customs: list[Custom] = []
        self.response_format: ResponseFormat | None = None
        self.choice = "auto"
        self.is_legacy = False
        self.images: list[Image] = []
        self.has_stored_items = False
        self.is_compacted = False
        self.unseen: set[str] = set()

    @property
    def system(self) -> str | None:
        """The text of the first system message."""
        found = (item for item in self.items if isinstance(item, Said) and item.role in _SYSTEM)
        first = next(found, None)
        return None if first is None else first.text

    def read_content(self, content: Any) -> str:
        """Return the text of a message's content; record its images and the parts that cannot be counted."""
        if isinstance(content, str):
            return content
        texts = []
        for part in content if isinstance(content, list) else ():
            if isinstance(part, str):
                texts.append(part)
                continue
            if not isinstance(part, Mapping):
                continue
            kind = part.get("type")
            if kind in ("text", "input_text", "output_text", "refusal"):
                texts.append(text_in(part, "text") or text_in(part, "refusal") or "")
            elif kind == "image_url":
                url = part.get("image_url")
                url = url if isinstance(url, Mapping) else {"url": url}
                self.images.append(image_of_url(url.get("url"), url.get("detail")))
            elif kind == "input_image":
                self.images.append(image_of_url(part.get("image_url"), part.get("detail")))
            else:
                self.unseen.add("audio" if "audio" in str(kind) else "file" if "file" in str(kind) else "content")
        return "".join(texts)

    def add_result(self, role: str, text: str, name: str | None = None) -> None:
        """Add a function's result to the calls before it, or as a message if there are none."""
        last = self.items[-1] if self.items else None
        if isinstance(last, Called):
            last.results.append(text)
        else:
            self.items.append(Said(role, text, name))

    def read_tools(self, tools: Any) -> None:
        """Read the tools. Those that the provider runs itself are unseen: it adds texts that the request lacks."""
        for tool in mappings(tools):
            kind = tool.get("type", "function")
            if kind == "function":
                self.functions.append(function_of(tool.get("function", tool)))
            elif kind == "custom":
                self.customs.append(_custom_of(tool.get("custom", tool)))
                self.unseen.add("custom tools")
            else:
                self.unseen.add("hosted tools")


def function_of(given: Any) -> Function:
    """Read the definition of a function."""
    found = given if isinstance(given, Mapping) else {}
    parameters = found.get("parameters")
    return Function(
        str(found.get("name") or ""),
        text_in(found, "description"),
        parameters if isinstance(parameters, Mapping) else {},
    )


def _custom_of(given: Any) -> Custom:
    found = given if isinstance(given, Mapping) else {}
    shape = found.get("format")
    shape = shape if isinstance(shape, Mapping) else {}
    grammar = shape.get("grammar")  # Chat writes the grammar one level deeper than Responses
    shape = grammar if isinstance(grammar, Mapping) else shape
    return Custom(str(found.get("name") or ""), text_in(found, "description"), text_in(shape, "definition"))


def called_of(given: Mapping[str, Any]) -> tuple[str, str]:
    """Read the name and the arguments of a call."""
    inner = given.get("function", given.get("custom", given))
    inner = inner if isinstance(inner, Mapping) else {}
    return str(inner.get("name") or ""), text_in(inner, "arguments") or text_in(inner, "input") or ""


def choice_of(given: Any) -> str:
    """Read a tool choice: a word, or `name:NAME`."""
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        inner = given.get("function", given)
        name = inner.get("name") if isinstance(inner, Mapping) else None
        if isinstance(name, str):
            return f"name:{name}"
    return "auto"


def format_of(given: Any) -> ResponseFormat | None:
    """Read the JSON schema that an answer has to follow. `strict` does not change the count."""
    if not isinstance(given, Mapping):
        return None
    schema = given.get("schema")
    return ResponseFormat(
        str(given.get("name") or ""), text_in(given, "description"), schema if isinstance(schema, Mapping) else {}
    )


def text_in(found: Mapping[str, Any], key: str) -> str | None:
    """Return the text under *key*, or `None` for any other value."""
    value = found.get(key)
    return value if isinstance(value, str) else None


def mappings(given: Any) -> list[Mapping[str, Any]]:
    """Return the objects in a list; an empty list for any other value."""
    return [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []
