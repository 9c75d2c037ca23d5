"""The types of an api's counting rules: for its prompts, for the cap on its output, for its answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from token_meter.types import Answer

Counter: TypeAlias = Callable[[str], int]
"""Counts the tokens of one string."""


class Counted(NamedTuple):
    """A counted prompt.

    Attributes:
        tokens: the number of tokens.
        rules: the rules that were applied: `text`, `tools`, `calls`, `schema`, `images`.
        approximate: the reasons why the count may be too high or too low by some tokens.
        unseen: the parts that could not be counted; with any, the count is a lower bound.
        at_most: the parts that were counted at their largest; with any, the count is no lower bound.
    """

    tokens: int
    rules: tuple[str, ...] = ("text",)
    approximate: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    at_most: tuple[str, ...] = ()


def all_is_seen(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    """Name no unseen output, for an api whose answers show all that was generated."""
    return []


def all_is_counted(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    """The size is known where the prompt's count lacks nothing."""
    return not unseen


class CountingRules(NamedTuple):
    """How the tokens of one api are counted. Functions never raise on odd input.

    Attributes:
        count_prompt: counts the prompt of `(request, counter, model)`.
        output_cap: the most output tokens that a request allows, over all its choices; `None` when it sets no limit.
        count_answer: counts the visible output of an answer: `(answer, counter, model)`.
        unseen_output: names output that was generated but not shown: `(request, answer, model)`.
        has_known_size: whether what a call may use can be told before it is sent: `(request, unseen)`, where *unseen*
            is what the prompt's count lacks.
        has_output: answers of this api have visible output, so that an answer without any was not one.
    """

    count_prompt: Callable[[Mapping[str, Any], Counter, str | None], Counted]
    output_cap: Callable[[Mapping[str, Any]], int | None]
    count_answer: Callable[[Answer, Counter, str | None], int]
    unseen_output: Callable[[Mapping[str, Any], Answer, str | None], list[str]] = all_is_seen
    has_known_size: Callable[[Mapping[str, Any], tuple[str, ...]], bool] = all_is_counted
    has_output: bool = True


def positive(value: Any) -> int | None:
    """Return *value* if it is a whole number above 0, else `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
