"""Counts that do not come from the code under test: tiktoken itself, on a whole string at once.

`Case` is a request written by hand, its count, and the arithmetic behind the count: the text that the models see, as it
stands here and never as our code writes it, and the marks around it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from tests.estimate.by_name import prompt_tokens
from token_meter.estimate import Estimate, resolve_encoding
from token_meter.estimate.vocab import encoding

Count: TypeAlias = Callable[[str], int]


def o200k(text: str) -> int:
    """Tokens of *text* in o200k_base."""
    return len(encoding("o200k_base").encode(text, disallowed_special=()))


def cl100k(text: str) -> int:
    """Tokens of *text* in cl100k_base."""
    return len(encoding("cl100k_base").encode(text, disallowed_special=()))


BY_NAME: dict[str, Count] = {"o200k_base": o200k, "cl100k_base": cl100k}


class Case(NamedTuple):
    """A request with its count and the arithmetic of it."""

    name: str
    api: str
    model: str
    request: dict[str, Any]
    count: int
    arithmetic: Callable[[Count], int]


def estimate_of(case: Case) -> Estimate:
    """Estimate a case's request; the count must be the case's own, and so must its arithmetic."""
    estimate = prompt_tokens(case.api, case.request, case.model)

    assert estimate.usage is not None
    assert case.arithmetic(BY_NAME[resolve_encoding(case.model)[0]]) == case.count
    assert estimate.usage.prompt_tokens == case.count
    return estimate


HI = [{"role": "user", "content": "Hi there"}]
SYSTEM = {"role": "system", "content": "Be brief."}


def said(n: Count, role: str = "user", text: str = "Hi there") -> int:
    """Tokens of one message: three go round it."""
    return 3 + n(role) + n(text)


def tool(name: str, description: str | None = None, /, **properties: Any) -> dict[str, Any]:
    """A function whose parameters are all required."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def flat(given: dict[str, Any]) -> dict[str, Any]:
    """The same tool, as the Responses API takes it."""
    return {"type": "function", **given["function"]}


def namespace(*functions: str) -> str:
    """What the models see of functions."""
    return "namespace functions {\n\n" + "".join(f"{text}\n\n" for text in functions) + "} // namespace functions"
