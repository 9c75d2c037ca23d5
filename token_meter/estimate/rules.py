"""The types of an api's counting rules: its prompts, the cap on its output, its answers. It knows no api by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from token_meter.types import Answer

Counter: TypeAlias = Callable[[str], int]
"""Counts the tokens of one string."""


class Counted(NamedTuple):
    """A counted prompt.

    Attributes:
        tokens: how many.
        rules: the rules that the count rests on: `text`, `tools`, `calls`, `schema`, `images`.
        approximate: why the count may be some tokens off, in either direction.
        unseen: what could not be counted; the count is a lower bound.
    """

    tokens: int
    rules: tuple[str, ...] = ("text",)
    approximate: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def all_is_seen(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    """No output is unseen: all that was generated is shown."""
    return []


def all_is_counted(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    """The size is known where the prompt's count lacks nothing."""
    return not unseen


class CountingRules(NamedTuple):
    """How the tokens of one api are counted. Functions never raise on odd input.

    Attributes:
        count_prompt: counts the prompt of `(request, counter, model)`.
        output_cap: the most output tokens that a request allows, over all its choices; `None` when it sets no limit.
        count_answer: counts what an answer has shown: `(answer, counter, model)`.
        unseen_output: names what was generated and not shown: `(request, answer, model)`.
        has_known_size: whether what a call may use can be told before it is sent: `(request, unseen)`, where *unseen*
            is what the prompt's count lacks.
        has_output: answers show something; an answer without anything visible was none.
    """

    count_prompt: Callable[[Mapping[str, Any], Counter, str | None], Counted]
    output_cap: Callable[[Mapping[str, Any]], int | None]
    count_answer: Callable[[Answer, Counter, str | None], int]
    unseen_output: Callable[[Mapping[str, Any], Answer, str | None], list[str]] = all_is_seen
    has_known_size: Callable[[Mapping[str, Any], tuple[str, ...]], bool] = all_is_counted
    has_output: bool = True


def positive(value: Any) -> int | None:
    """Return a whole number above 0, and `None` for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
