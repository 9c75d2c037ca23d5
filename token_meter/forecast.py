"""What a request would cost, before it is sent: an estimate of its tokens, priced."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from token_meter._defaults import default_book
from token_meter.estimate import CountingRules, prompt_tokens
from token_meter.prices import BY_MODEL, DEFAULT_BASE_URL, PriceBook
from token_meter.providers import PROVIDERS, api_named
from token_meter.types import Call, Certainty, Price, Usage

EXPECTED_OUTPUT_TOKENS = 256
"""The assumed tokens of an answer if the caller gives none: a round figure, not a measurement."""


_SHAPES = {"inferenceConfig": "converse", "modelId": "converse", "system": "messages", "stop_sequences": "messages"}
"""Fields beside `messages` that only the requests of one api have; without one of them it is a chat."""


class CostEstimate(NamedTuple):
    """US dollars that a request would cost, at list or private prices; `None` where a price or a limit is missing.

    Attributes:
        low: the cost of the prompt alone, at the uncached rate.
        expected: the prompt and an answer of `expected_output_tokens`.
        high: the prompt and all the output that the request allows; `None` when it sets no limit.
        prompt_tokens: tokens of the prompt.
        expected_output_tokens: the assumed tokens of the answer, never above the limit.
        max_output_tokens: the request's own limit over all its choices, or the one given.
        certainty: how `prompt_tokens` is known; a `lower_bound` lacks files, hosted tools or earlier turns.
        method: the encoding and rules of the count.
        source: the source of the price.
        reason: why there is no price.
        api: the api, as given or recognised from the request's shape.
        kind: the class of the request: `text only`, `tool definitions`, `structured output`, ...;
            `benchmarks/README.md` says how often the rules are exact for each.
        approximate: why the count may be too high or too low by some tokens; empty where the rules are known.
        uncounted: the parts that could not be counted: `hosted tools`, `file`, `server state`, ...
    """

    low: Decimal | None
    expected: Decimal | None
    high: Decimal | None
    prompt_tokens: int
    expected_output_tokens: int
    max_output_tokens: int | None
    certainty: Certainty
    method: str
    source: str | None = None
    reason: str | None = None
    api: str = ""
    kind: str = ""
    approximate: tuple[str, ...] = ()
    uncounted: tuple[str, ...] = ()


def estimate_cost(
    request: Mapping[str, Any] | str | os.PathLike[str],
    model: str | None = None,
    *,
    prices: PriceBook | None = None,
    max_tokens: int | None = None,
    expected_tokens: int = EXPECTED_OUTPUT_TOKENS,
    base_url: str | None = None,
    api: str | None = None,
) -> CostEstimate:
    """Estimate what *request* would cost; nothing is sent.

    Args:
        request: the whole body of a request (chat, responses, completions, embeddings, messages, generate_content,
            converse), with its tools and schema; the `Path` of a JSON file with one; or a text, which counts as one
            user message.
        model: the model, if the request does not name it or names a deployment.
        prices: the price book; default: list prices.
        max_tokens: a limit on output tokens, instead of the request's own.
        expected_tokens: the probable tokens of the answer.
        base_url: the destination, which decides the provider; without it the api does, or the model's name.
        api: the name of the api, if the request's shape is ambiguous.

    Raises:
        ValueError: the file contains no JSON object, or *api* is not known.
    """
    body = _body_of(request)
    named = body.get("model", body.get("modelId"))
    chosen = model or (named if isinstance(named, str) else None)
    kind = api or _api_of(body, chosen)
    rules = _rules_of(kind)
    counted = prompt_tokens(rules, body, chosen)
    prompt = (counted.usage.prompt_tokens if counted.usage else None) or 0
    cap = rules.output_cap(body) if max_tokens is None or not rules.has_output else max_tokens
    expected = expected_tokens if cap is None else min(cap, expected_tokens)
    book = default_book() if prices is None else prices

    def price(output: int) -> Price:
        usage = Usage(prompt, output, prompt + output)
        call = Call("", time.time(), 0.0, None, kind, chosen, usage=usage, service_tier=_tier(body), base_url=base_url)
        return price_before(book, call)

    low = price(0)
    return CostEstimate(
        low=low.cost,
        expected=price(expected).cost,
        high=None if cap is None else price(cap).cost,
        prompt_tokens=prompt,
        expected_output_tokens=expected,
        max_output_tokens=cap,
        certainty=counted.certainty,
        method=counted.method,
        source=low.source,
        reason=low.reason,
        api=kind,
        kind=counted.kind,
        approximate=counted.approximate,
        uncounted=counted.uncounted,
    )


def price_before(book: PriceBook, call: Call) -> Price:
    """What a call that was not made costs: where it goes; else at whom its api belongs to, or who makes its model."""
    if call.base_url is not None:
        return book.price(call)
    api = PROVIDERS.apis.get(call.api)
    sellers = [provider.id for provider in PROVIDERS.providers.values() if api in provider.apis][:1]
    price = book.price(call._replace(base_url=DEFAULT_BASE_URL))
    for seller in (*sellers, BY_MODEL):
        if price.cost is not None:
            break
        found = book.price(call._replace(provider=seller))
        if found.cost is not None or seller != BY_MODEL:
            price = found
    return price


def request_in(data: bytes, *, by_shape: bool = True) -> dict[str, Any] | None:
    """Read the body of a request from a file's bytes; `None` if they are something else, such as a text.

    With *by_shape*, an object without a list of messages must also name its model: any JSON may have an `input`.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    is_request = isinstance(body.get("model"), str) and ("input" in body or "prompt" in body)
    is_request = is_request or any(isinstance(body.get(name), list) for name in ("messages", "contents"))
    return body if not by_shape or is_request else None


def _body_of(request: Mapping[str, Any] | str | os.PathLike[str]) -> Mapping[str, Any]:
    if isinstance(request, Mapping):
        return request
    if isinstance(request, str):
        return {"messages": [_user_message(request)]}
    body = request_in(Path(request).read_bytes(), by_shape=False)
    if body is None:
        msg = f"{os.fspath(request)} contains no request; expected a JSON object, the body of one"
        raise ValueError(msg)
    return body


def _rules_of(kind: str) -> CountingRules:
    rules = api_named(kind).rules
    if rules is None:
        known = ", ".join(name for name, api in PROVIDERS.apis.items() if api.rules is not None)
        msg = f"cannot count a prompt of api {kind!r}; known are {known}"
        raise ValueError(msg)
    return rules()


def _api_of(body: Mapping[str, Any], model: str | None) -> str:
    """Recognise the api from the shape of its request."""
    if "messages" in body:
        return next((api for name, api in _SHAPES.items() if name in body), "chat")
    if "contents" in body:
        return "generate_content"
    if "prompt" in body and "input" not in body and not isinstance(body["prompt"], Mapping):
        return "completions"
    is_embedding = "embed" in (model or "").lower() or "encoding_format" in body or "dimensions" in body
    return "embeddings" if is_embedding else "responses"


def _user_message(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _tier(body: Mapping[str, Any]) -> str | None:
    tier = body.get("service_tier")
    return tier if isinstance(tier, str) else None
