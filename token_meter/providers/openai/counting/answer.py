"""Counts the tokens of an answer from its visible content.

The constants are tokens that providers report on top of the visible text: the marks that end a message or frame a call.
"""

from __future__ import annotations

from collections.abc import Callable

from token_meter.estimate.models import family_of, reasons
from token_meter.providers.openai.counting.calls import parallel_calls
from token_meter.types import Answer

_CUT = ("length", "incomplete", "max_output_tokens")

_TEXT_END = {"chat": 0, "responses": 1}
_ONE_CALL = {"chat": 7, "responses": 8}
_MANY_CALLS = {"chat": 10, "responses": 11}
_UNREASONED_TEXT_END = 3
_REASONED_TEXT_END = {"chat": 9, "responses": 6}
_REASONING_CALL = {"chat": 16, "responses": 13}


def count_answer(answer: Answer, n: Callable[[str], int], model: str | None, api: str) -> int:
    """Count the visible part of an *answer*; a reasoning model has generated more than that.

    A text that was cut, by its reader or by the token limit, has no end mark.
    """
    texts = sum(n(text) for text in answer.texts if text)
    is_cut = answer.finish is None or answer.finish in _CUT
    if api == "completions":
        return texts
    if family_of(model) == "classic":
        end = 0 if is_cut or not texts else _TEXT_END[api]
        return texts + end + _count_calls(answer, n, api)
    calls = sum(n(name) + n(arguments) + _REASONING_CALL[api] for name, arguments in answer.tool_calls)
    if is_cut or not texts:
        return texts + calls
    return texts + calls + (_REASONED_TEXT_END[api] if answer.reasoned else _UNREASONED_TEXT_END)


def _count_calls(answer: Answer, n: Callable[[str], int], api: str) -> int:
    if not answer.tool_calls:
        return 0
    if len(answer.tool_calls) > 1:
        return n(parallel_calls(answer.tool_calls)) + _MANY_CALLS[api]
    ((name, arguments),) = answer.tool_calls
    return n(name) + n(arguments) + _ONE_CALL[api]


def is_whole(answer: Answer, model: str | None, effort: str | None) -> bool:
    """Whether all generated tokens are visible: not for a reasoning model, unless the request disables reasoning."""
    return not answer.reasoned and (effort == "none" or not reasons(model))
