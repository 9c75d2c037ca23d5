"""Estimates a call's usage by the rules of prompts and answers.

Nothing here raises on odd input. If a request cannot be parsed, the estimate is a lower bound and says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from token_meter.estimate.count import counter
from token_meter.estimate.models import resolve_encoding
from token_meter.estimate.rules import Counted, CountingRules
from token_meter.types import Answer, Certainty, Usage

_log = logging.getLogger("token_meter")

_COUNTED_EXACTLY = 16_384
"""Bytes of a request up to which a reservation counts exactly. Above, a long text is one token for three bytes."""

_SHORT = 64


class Estimate(NamedTuple):
    """An estimated usage.

    Attributes:
        usage: the tokens; `None` when they cannot be estimated. Parts such as cached tokens are never estimated.
        certainty: `estimated`; `lower_bound` when part of the call is invisible; `unmeasured` without a usage.
        method: encoding and rules, for reports: `o200k_base: text, tools`; `o200k_base?` when the model's encoding
            is a guess; `approximate: items with an id` where the count may be off by some tokens; `at most: images of
            unknown size` for parts that are counted at their largest; `of unknown: file` for those not counted.
        kind: the class of the request (`text only`, `tool definitions`, ...); accuracy was measured for each class.
        approximate: the reasons why the prompt's count may be too high or too low by some tokens.
        uncounted: the parts that could not be counted; with any, the usage is a lower bound if `is_floor` holds.
        is_floor: nothing was counted too high: the encoding is the model's own, and no part is counted at its largest.
    """

    usage: Usage | None
    certainty: Certainty
    method: str
    kind: str = ""
    approximate: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()
    is_floor: bool = True


def estimate_usage(rules: CountingRules, request: bytes | None, answer: Answer, model: str | None) -> Estimate:
    """Estimate the usage of a call whose answer reports none. Never raises.

    *model* is the model in the answer, if any. Without a readable *request*, the tokens of the prompt are unknown.
    """
    try:
        return _estimate(rules, _parsed(request), answer, model)
    except Exception as exc:  # noqa: BLE001 - a failed estimate must not harm the call
        # The type alone: a message could quote the prompt.
        _log.warning("token_meter could not estimate a call: %s", type(exc).__name__)
        return Estimate(None, "unmeasured", f"failed: {type(exc).__name__}")


def prompt_tokens(rules: CountingRules, request: Mapping[str, Any], model: str | None = None) -> Estimate:
    """Estimate the prompt of a request before it is sent, as a usage with only `prompt_tokens`."""
    model = model or _model_of(request)
    language, n = _language(model)
    counted = rules.count_prompt(request, n, model)
    return _told(Usage(prompt_tokens=counted.tokens), counted, language, counted.unseen)


def reserve_tokens(rules: CountingRules, request: bytes) -> tuple[int | None, int | None]:
    """Return what a call may use, before it is sent: the tokens of its prompt, and its cap on output tokens.

    A small request is counted exactly. In a big one, every long text counts as one token for three bytes, which is
    more than prose, code and Chinese have (random characters may have more). Content that only the provider sees
    (files, earlier turns, fetched pages) makes the size unknown: `None`. The cap covers all choices together; it is 0
    for embeddings, and `None` where the request sets none. Never raises.
    """
    body = _parsed(request)
    if body is None:
        return len(request) // 3, None
    try:
        model = _model_of(body)
        _, exactly = _language(model)
        n = exactly if len(request) <= _COUNTED_EXACTLY else _at_most(exactly)
        counted = rules.count_prompt(body, n, model)
        if not rules.has_known_size(body, counted.unseen):
            return None, rules.output_cap(body)
        # Content that is sent but cannot be read, such as encrypted thoughts, has at most the tokens of its bytes.
        tokens = max(counted.tokens, len(request) // 3) if counted.unseen else counted.tokens
        return tokens, rules.output_cap(body)
    except Exception as exc:  # noqa: BLE001 - a malformed request must not pass a budget uncounted
        _log.warning("token_meter could not count a request: %s", type(exc).__name__)
        return len(request) // 3, None


def _estimate(rules: CountingRules, request: Mapping[str, Any] | None, answer: Answer, model: str | None) -> Estimate:
    model = model or _model_of(request or {})
    language, n = _language(model)
    counted = Counted(0, (), (), ("the request",)) if request is None else rules.count_prompt(request, n, model)
    unseen = (*counted.unseen, *rules.unseen_output(request or {}, answer, model))
    completion = rules.count_answer(answer, n, model)
    if not counted.tokens and not completion:
        return Estimate(None, "unmeasured", f"{language}: nothing to count")  # another api's request: unknown is not 0
    if request is not None and request.get("echo") is True:
        completion = max(0, completion - counted.tokens)
    prompt = None if request is None else counted.tokens
    return _told(Usage(prompt, completion, None if prompt is None else prompt + completion), counted, language, unseen)


def _told(usage: Usage, counted: Counted, language: str, unseen: tuple[str, ...]) -> Estimate:
    """Build an estimate with its method and its reasons for doubt."""
    is_foreign = language.endswith("?")
    approximate = (*counted.approximate, *(("unknown encoding",) if is_foreign else ()))
    is_floor = not (is_foreign or counted.at_most)
    certainty: Certainty = "lower_bound" if unseen and is_floor else "estimated"
    method = f"{language}: {', '.join(counted.rules)}" if counted.rules else language
    if off := [why for why in counted.approximate if why not in counted.at_most]:
        method += f"; approximate: {', '.join(off)}"
    if counted.at_most:
        method += f"; at most: {', '.join(counted.at_most)}"
    if unseen:
        method += f"; of unknown: {', '.join(unseen)}"
    return Estimate(usage, certainty, method, _kind_of(counted.rules), approximate, unseen, is_floor)


def _kind_of(rules: tuple[str, ...]) -> str:
    """Return the class of a request. Within one class, counts are exact about equally often."""
    if "images" in rules:
        return "images"
    has_calls, has_tools = "calls" in rules, "tools" in rules
    if "schema" in rules:
        return "tools and structured output" if has_calls or has_tools else "structured output"
    if has_calls:
        return "tool calls and results"
    return "tool definitions" if has_tools else "text only" if rules else ""


def _language(model: str | None) -> tuple[str, Callable[[str], int]]:
    """Return the encoding of *model*, with a question mark where it is a guess, and its counter."""
    encoding, approximate = resolve_encoding(model)
    return f"{encoding}?" if approximate else encoding, counter(encoding)


def _at_most(exactly: Callable[[str], int]) -> Callable[[str], int]:
    """Return a cheap counter: exact for short strings such as roles, and not too low for long natural text.

    In a schema, an escaped character such as `\\u73ab` can be five tokens in six bytes.
    """

    def n(text: str) -> int:
        if len(text) <= _SHORT:
            return exactly(text)
        return len(text.encode("utf-8", "replace")) // 3 + 3 * text.count("\\u")

    return n


def _parsed(request: bytes | None) -> dict[str, Any] | None:
    try:
        body = json.loads(request) if request else None
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _model_of(request: Mapping[str, Any]) -> str | None:
    model = request.get("model")
    return model if isinstance(model, str) else None
