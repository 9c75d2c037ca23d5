"""Embeddings, moderations and decisions: answers that are numbers."""

from __future__ import annotations

import base64
import hashlib
import sys
from array import array
from typing import Any

from token_meter.simulator.answers import digest
from token_meter.simulator.chat import model_of, prompts_of, whole
from token_meter.simulator.naming import new_id
from token_meter.simulator.options import Options
from token_meter.simulator.reply import RefusedError, Reply
from token_meter.simulator.tokens import count, prompt_tokens
from token_meter.simulator.usages import responses_usage
from token_meter.types import Usage

_DIMENSIONS = {"text-embedding-3-large": 3072}
_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


_MOST_DIMENSIONS, _MOST_INPUTS = 8192, 2048
"""Of one request (OpenAI's API reference: 2,048 inputs, 2026-11)."""


def embeddings_reply(body: dict[str, Any], options: Options, deployment: str | None = None) -> Reply:
    """Answer a request for embeddings."""
    model = model_of(body, deployment, options)
    size = whole(body.get("dimensions"), "dimensions", most=_MOST_DIMENSIONS) or _DIMENSIONS.get(model, 1536)
    inputs = prompts_of(body.get("input"))
    if len(inputs) > _MOST_INPUTS:
        msg = f"Invalid value for 'input': expected at most {_MOST_INPUTS} inputs."
        raise RefusedError(msg)
    tokens = sum(count(text, model) if given is None else given for text, given in inputs)
    usage = Usage(prompt_tokens=tokens, total_tokens=tokens)
    in_base64 = body.get("encoding_format") == "base64"

    def make() -> dict[str, Any]:
        vectors = [_vector(text, size, options.seed) for text, _ in inputs]
        data = [
            {"object": "embedding", "index": i, "embedding": _base64(v) if in_base64 else v.tolist()}
            for i, v in enumerate(vectors)
        ]
        found: dict[str, Any] = {"object": "list", "data": data, "model": model}
        if options.usage == "none":
            return found
        told = {"prompt_tokens": tokens, "total_tokens": tokens}
        return found | {"usage": None if options.usage == "null" else told}

    return Reply("embeddings", new_id("emb_", options), model, usage, json=make)


def _vector(text: str, size: int, seed: str) -> array[float]:
    """A vector of length 1 computed from *text*."""
    raw = hashlib.shake_128(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest(size)
    plain = [byte - 127.5 for byte in raw]
    length = sum(x * x for x in plain) ** 0.5
    return array("f", [x / length for x in plain])


def _base64(vector: array[float]) -> str:
    little = vector if sys.byteorder == "little" else array("f", vector)
    if little is not vector:
        little.byteswap()
    return base64.b64encode(little.tobytes()).decode()


def moderations_reply(body: dict[str, Any], options: Options) -> Reply:
    """Answer a request for moderation: free, and nothing is ever flagged."""
    given = body.get("input", "")
    inputs = given if isinstance(given, list) and all(isinstance(part, str) for part in given) else [given]
    result = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.0001),
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    model = options.model or str(body.get("model") or "omni-moderation-latest")
    id_ = new_id("modr-", options)
    answer = {"id": id_, "model": model, "results": [result] * len(inputs)}
    return Reply("moderations", id_, model, None, json=lambda: answer)


def decisions_reply(body: dict[str, Any], options: Options) -> Reply:
    """Answer a request for decisions: one answer for each question, and ten tokens for each answer."""
    model = model_of(body, None, options)
    questions = body.get("questions")
    if not isinstance(questions, list) or not all(isinstance(q, dict) for q in questions):
        msg = "Invalid type for 'questions': expected an array of objects."
        raise RefusedError(msg)
    given = body.get("input", "")
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else list(given)
    prompt = prompt_tokens(messages, questions, None, model)
    generated = 10 * len(questions)
    usage = Usage(prompt, generated, prompt + generated, cached_tokens=0, reasoning_tokens=0)
    answers = [_decide(question, digest(str(given), str(question), options.seed)) for question in questions]
    answer: dict[str, Any] = {"answers": answers, "model": model}
    if options.usage != "none":
        answer["usage"] = None if options.usage == "null" else responses_usage(usage, options.usage)
    return Reply("decisions", new_id("dec_", options), model, usage, json=lambda: answer)


def _decide(question: dict[str, Any], number: int) -> dict[str, Any]:
    name, probability = question.get("name"), number % 101 / 100
    kind = question.get("type")
    if kind == "choice":
        values = [c.get("value") if isinstance(c, dict) else c for c in question.get("choices") or [True, False]]
        shares = [{"value": value, "probability": 1 / len(values)} for value in values]
        best = values[number % len(values)]
        found = {"choice": best, "confidence": 1 / len(values), "probabilities": shares}
    elif kind == "score":
        shares = [{"label": "low", "value": 0, "probability": 1 - probability}]
        shares.append({"label": "high", "value": 1, "probability": probability})
        found = {"score": probability, "confidence": max(probability, 1 - probability), "probabilities": shares}
    else:
        kind, found = "predicate", {"probability": probability}
    return {"name": name, "type": kind, **found}
