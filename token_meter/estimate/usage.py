"""Estimates a call's usage by the rules of prompts and answers. It knows no wire and no meter.

Nothing here raises on odd input: a request that cannot be read makes the estimate weaker, and the estimate says so.
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
"""A reservation counts requests up to this many bytes; above it, a long text is a token for every three bytes."""

_SHORT = 64


class Estimate(NamedTuple):
    """An estimated usage.

    Attributes:
        usage: the counts; `None` when nothing can be said. Parts such as cached tokens are never guessed.
        certainty: `estimated`; `lower_bound` when part of the call is invisible; `unmeasured` without a usage.
        method: encoding and rules, for reports: `o200k_base: text, tools`; `o200k_base?` when the model's encoding
            is not known; `approximate: items with an id` where the count may be some tokens off; `of unknown: file`
            names what is missing.
        kind: the class of the request, by which the rules' accuracy is known: `text only`, `tool definitions`, ...
        approximate: why the prompt's count may be some tokens off, in either direction.
        uncounted: what could not be counted; the usage is a lower bound.
    """

    usage: Usage | None
    certainty: Certainty
    method: str
    kind: str = ""
    approximate: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()


def estimate_usage(rules: CountingRules, request: bytes | None, answer: Answer, model: str | None) -> Estimate:
    """Estimate the usage of a call whose answer came without one; never raises.

    *model* is the one that the answer named, if any. Without a readable *request* the prompt is unknown.
    """
    try:
        return _estimate(rules, _parsed(request), answer, model)
    except Exception as exc:  # noqa: BLE001 - an estimate must not harm the call that it is about
        # The type alone: a message could quote the prompt.
        _log.warning("token_meter could not estimate a call: %s", type(exc).__name__)
        return Estimate(None, "unmeasured", f"failed: {type(exc).__name__}")


def prompt_tokens(rules: CountingRules, request: Mapping[str, Any], model: str | None = None) -> Estimate:
    """Estimate the prompt of a request before it is sent: a usage with nothing but `prompt_tokens`."""
    model = model or _model_of(request)
    language, n = _language(model)
    counted = rules.count_prompt(request, n, model)
    return _told(Usage(prompt_tokens=counted.tokens), counted, language, counted.unseen)


def reserve_tokens(rules: CountingRules, request: bytes) -> tuple[int | None, int | None]:
    """Say what a call may use before it is sent: tokens of its prompt, and the cap that it sets on its output.

    The prompt is counted when the request is small; in a big one every long text counts a token for three bytes,
    which is more than prose, code and Chinese have (random characters may have more). Content that only the provider
    sees (files, earlier turns, fetched pages) makes its size unknown: `None`. The cap is that of all choices together,
    0 for embeddings, and `None` where the request sets none. Never raises.
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
        # What is sent and cannot be read, encrypted thoughts say, has at most the tokens of its bytes.
        tokens = max(counted.tokens, len(request) // 3) if counted.unseen else counted.tokens
        return tokens, rules.output_cap(body)
    except Exception as exc:  # noqa: BLE001 - a budget must hold, whatever the request looks like
        _log.warning("token_meter could not count a request: %s", type(exc).__name__)
        return len(request) // 3, None


def _estimate(rules: CountingRules, request: Mapping[str, Any] | None, answer: Answer, model: str | None) -> Estimate:
    model = model or _model_of(request or {})
    language, n = _language(model)
    counted = Counted(0, (), (), ("the request",)) if request is None else rules.count_prompt(request, n, model)
    unseen = (*counted.unseen, *rules.unseen_output(request or {}, answer, model))
    completion = rules.count_answer(answer, n, model)
    if request is not None and request.get("echo") is True:
        completion = max(0, completion - counted.tokens)
    prompt = None if request is None else counted.tokens
    return _told(Usage(prompt, completion, None if prompt is None else prompt + completion), counted, language, unseen)


def _told(usage: Usage, counted: Counted, language: str, unseen: tuple[str, ...]) -> Estimate:
    """Put an estimate together with its method and its doubts."""
    approximate = (*counted.approximate, *(("unknown encoding",) if language.endswith("?") else ()))
    certainty: Certainty = "lower_bound" if unseen else "estimated"
    method = f"{language}: {', '.join(counted.rules)}" if counted.rules else language
    if counted.approximate:
        method += f"; approximate: {', '.join(counted.approximate)}"
    if unseen:
        method += f"; of unknown: {', '.join(unseen)}"
    return Estimate(usage, certainty, method, _kind_of(counted.rules), approximate, unseen)


def _kind_of(rules: tuple[str, ...]) -> str:
    """Name the class of a request; within one class counts are about equally often exact."""
    if "images" in rules:
        return "images"
    has_calls, has_tools = "calls" in rules, "tools" in rules
    if "schema" in rules:
        return "tools and structured output" if has_calls or has_tools else "structured output"
    if has_calls:
        return "tool calls and results"
    return "tool definitions" if has_tools else "text only" if rules else ""


def _language(model: str | None) -> tuple[str, Callable[[str], int]]:
    """Name the encoding of *model*, with a question mark where it is a guess, and give its counter."""
    encoding, approximate = resolve_encoding(model)
    return f"{encoding}?" if approximate else encoding, counter(encoding)


def _at_most(exactly: Callable[[str], int]) -> Callable[[str], int]:
    """Give a counter that is cheap for all but roles and names, and never too low for what people write.

    A character of a schema that is written `\\u73ab` has up to five tokens in its six bytes.
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
