"""What a call's usage probably was: the rules of prompts and answers, put together. It knows no wire and no meter.

Nothing here raises on odd input: a request that cannot be read makes the estimate weaker, and says so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from token_meter.estimate.count import counter
from token_meter.estimate.models import resolve_encoding
from token_meter.estimate.openai import Counted, count_answer, count_request, is_whole
from token_meter.types import Answer, Certainty, Usage

_log = logging.getLogger("token_meter")

ESTIMABLE = ("chat", "responses", "completions", "embeddings")
"""The apis that can be estimated; the tokens of images and audio cannot be told from their requests."""

_COUNTED_EXACTLY = 16_384
"""A reservation counts requests up to this many bytes; above it, a long text is a token for every three bytes."""

_SHORT = 64


class Estimate(NamedTuple):
    """A usage that was worked out.

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


def estimate_usage(api: str, request: bytes | None, answer: Answer, model: str | None) -> Estimate:
    """Estimate what a call used whose answer came without usage; never raises.

    *model* is the one that the answer named, if it did. Without a readable *request* the prompt is unknown.
    """
    if api not in ESTIMABLE:
        return Estimate(None, "unmeasured", f"no rule for {api}")
    try:
        return _estimate(api, _parsed(request), answer, model)
    except Exception as exc:  # noqa: BLE001 - an estimate must not harm the call that it is about
        # The type alone: a message could quote the prompt.
        _log.warning("token_meter could not estimate a %s call: %s", api, type(exc).__name__)
        return Estimate(None, "unmeasured", f"failed: {type(exc).__name__}")


def prompt_tokens(api: str, request: Mapping[str, Any], model: str | None = None) -> Estimate:
    """Estimate the prompt of a request before it is sent: a usage with nothing but `prompt_tokens`.

    Raises:
        ValueError: *api* is not one of `ESTIMABLE`.
    """
    if api not in ESTIMABLE:
        msg = f"cannot count a prompt of api {api!r}; known are {', '.join(ESTIMABLE)}"
        raise ValueError(msg)
    model = model or _model_of(request)
    language, n = _language(model)
    counted = _count(api, request, n, model)
    return _told(Usage(prompt_tokens=counted.tokens), counted, language, counted.unseen)


def reserve_tokens(api: str, request: bytes) -> tuple[int, int | None]:
    """Say what a call may use before it is sent: tokens of its prompt, and the cap that it sets on its output.

    The prompt is counted when the request is small; in a big one every long text counts a token for three bytes,
    which is more than prose, code and Chinese have (random characters may have more). What only the provider sees
    (files, earlier turns, fetched pages) is not in it. The cap is that of all choices together, 0 for embeddings,
    and `None` where the request sets none. Never raises.
    """
    body = _parsed(request)
    if body is None or api not in ESTIMABLE:
        return len(request) // 3 if api in ESTIMABLE else 0, None
    try:
        model = _model_of(body)
        _, exactly = _language(model)
        n = exactly if len(request) <= _COUNTED_EXACTLY else _at_most(exactly)
        return _count(api, body, n, model).tokens, output_cap(api, body)
    except Exception as exc:  # noqa: BLE001 - a budget must hold, whatever the request looks like
        _log.warning("token_meter could not count a %s request: %s", api, type(exc).__name__)
        return len(request) // 3, None


def output_cap(api: str, request: Mapping[str, Any]) -> int | None:
    """Read the most output tokens that a request allows, over all its choices; `None` when it sets no limit."""
    if api == "embeddings":
        return 0
    names = ("max_output_tokens",) if api == "responses" else ("max_completion_tokens", "max_tokens")
    cap = next((cap for name in names if (cap := _positive(request.get(name))) is not None), None)
    if cap is None:
        return None
    choices = 1 if api == "responses" else _positive(request.get("n")) or 1
    if api == "completions":
        prompts = request.get("prompt")
        is_several = isinstance(prompts, list) and not all(isinstance(token, int) for token in prompts)
        n_prompts = len(prompts) if isinstance(prompts, list) and is_several else 1
        choices = max(choices, _positive(request.get("best_of")) or 1) * n_prompts
    return cap * choices


def _estimate(api: str, request: Mapping[str, Any] | None, answer: Answer, model: str | None) -> Estimate:
    model = model or _model_of(request or {})
    language, n = _language(model)
    counted = Counted(0, (), (), ("the request",)) if request is None else _count(api, request, n, model)
    unseen = (*counted.unseen, *_unseen_output(api, request or {}, answer, model))
    completion = 0 if api == "embeddings" else count_answer(answer, n, model, api)
    if request is not None and request.get("echo") is True:
        completion = max(0, completion - counted.tokens)
    prompt = None if request is None else counted.tokens
    return _told(Usage(prompt, completion, None if prompt is None else prompt + completion), counted, language, unseen)


def _told(usage: Usage, counted: Counted, language: str, unseen: tuple[str, ...]) -> Estimate:
    """Put an estimate together with all that has to be said about it."""
    approximate = (*counted.approximate, *(("unknown encoding",) if language.endswith("?") else ()))
    certainty: Certainty = "lower_bound" if unseen else "estimated"
    method = f"{language}: {', '.join(counted.rules)}" if counted.rules else language
    if counted.approximate:
        method += f"; approximate: {', '.join(counted.approximate)}"
    if unseen:
        method += f"; of unknown: {', '.join(unseen)}"
    return Estimate(usage, certainty, method, _kind_of(counted.rules), approximate, unseen)


def _kind_of(rules: tuple[str, ...]) -> str:
    """Name the class of a request: requests of one class are about as often counted exactly."""
    if "images" in rules:
        return "images"
    has_calls, has_tools = "calls" in rules, "tools" in rules
    if "schema" in rules:
        return "tools and structured output" if has_calls or has_tools else "structured output"
    if has_calls:
        return "tool calls and results"
    return "tool definitions" if has_tools else "text only" if rules else ""


def _unseen_output(api: str, request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    """Name what was generated and not shown."""
    unseen = []
    if api in ("chat", "responses") and not is_whole(answer, model, _effort(request)):
        unseen.append("reasoning")
    modalities = request.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        unseen.append("audio out")
    if (_positive(request.get("best_of")) or 1) > (_positive(request.get("n")) or 1):
        unseen.append("dropped choices")
    return unseen


def _count(api: str, request: Mapping[str, Any], n: Callable[[str], int], model: str | None) -> Counted:
    if api == "embeddings":
        return Counted(_count_inputs(request.get("input"), n))
    if api == "completions":
        return Counted(_count_inputs(request.get("prompt", "<|endoftext|>"), n))
    return count_request("chat" if api == "chat" else "responses", request, n, model)


def _count_inputs(given: Any, n: Callable[[str], int]) -> int:
    """Count what embeddings and completions take: a string, token ids, or a list of either."""
    if isinstance(given, str):
        return n(given)
    if not isinstance(given, list):
        return 0
    return sum(1 if isinstance(one, int) else _count_inputs(one, n) for one in given)


def _language(model: str | None) -> tuple[str, Callable[[str], int]]:
    """Name the encoding of *model*, with a question mark where it is a guess, and give its counter."""
    encoding, approximate = resolve_encoding(model)
    return f"{encoding}?" if approximate else encoding, counter(encoding)


def _at_most(exactly: Callable[[str], int]) -> Callable[[str], int]:
    """Give a counter that is cheap for all but roles and names, and above the truth for anything that people write.

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


def _effort(request: Mapping[str, Any]) -> str | None:
    reasoning = request.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, Mapping) else request.get("reasoning_effort")
    return effort if isinstance(effort, str) else None


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
