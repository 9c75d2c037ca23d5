"""OpenAI's counting rules: the tokens of a request and of its answer.

`count_request` takes a request and a function that counts strings, and returns a count and its reliability; no module
outside of this package depends on the shape of a request. Most rules are not documented: they were derived from
recorded requests and the usage that the API reported. `benchmarks/README.md` says how often they are exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from token_meter.estimate.models import family_of
from token_meter.estimate.rules import Counted, Counter, CountingRules, positive
from token_meter.providers.openai.counting.answer import count_answer, is_whole
from token_meter.providers.openai.counting.prompt import Kind, count_prompt
from token_meter.providers.openai.counting.read import Called, mappings, text_in
from token_meter.providers.openai.counting.read_chat import read_chat
from token_meter.providers.openai.counting.read_responses import read_responses
from token_meter.types import Answer

__all__ = ["CHAT", "COMPLETIONS", "EMBEDDINGS", "RESPONSES"]


def count_request(api: Kind, request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count the prompt of *request*; *n* counts the tokens of one string. Never raises on odd input."""
    prompt = read_chat(request) if api == "chat" else read_responses(request)
    tokens, is_bound = count_prompt(prompt, n, model, api)
    rules = {
        "text": True,
        "tools": bool(prompt.functions or prompt.customs),
        "calls": any(isinstance(item, Called) or item.role in ("tool", "function") for item in prompt.items),
        "schema": prompt.response_format is not None,
        "images": bool(prompt.images),
    }
    doubts = {
        "items with an id": prompt.has_stored_items,
        # Not in any recording (2026-11); the rule for classic models is used.
        "schema of a newer model": api == "chat" and rules["schema"] and family_of(model) != "classic",
    }
    # The most that a model's rules allow an image, and items that the server may have dropped.
    at_most = {"images of unknown size": is_bound, "compacted items": prompt.is_compacted}
    doubts.update(at_most)
    return Counted(tokens, _true(rules), _true(doubts), tuple(sorted(prompt.unseen)), _true(at_most))


def _true(facts: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, is_true in facts.items() if is_true)


def _unseen_output(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    """Name the output that was generated but not shown."""
    unseen = [] if is_whole(answer, model, _effort(request)) else ["reasoning"]
    return [*unseen, *_dropped(request, answer, model)]


def _dropped(request: Mapping[str, Any], answer: Answer, model: str | None) -> list[str]:
    unseen = []
    modalities = request.get("modalities")
    if isinstance(modalities, list) and "audio" in modalities:
        unseen.append("audio out")
    if (positive(request.get("best_of")) or 1) > (positive(request.get("n")) or 1):
        unseen.append("dropped choices")
    return unseen


def _effort(request: Mapping[str, Any]) -> str | None:
    reasoning = request.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, Mapping) else request.get("reasoning_effort")
    return effort if isinstance(effort, str) else None


_BOUNDED = frozenset({"custom tools", "reasoning items"})
"""What cannot be read, and has no more tokens than its bytes say."""


def _has_known_size(request: Mapping[str, Any], unseen: tuple[str, ...]) -> bool:
    """No earlier turns, stored prompts, files or hosted tools, nothing spoken, and no model that always searches."""
    if not _BOUNDED.issuperset(unseen) or _dropped(request, Answer(), None)[:1] == ["audio out"]:
        return False
    model = request.get("model")
    if isinstance(model, str) and ("-search-" in model or "deep-research" in model):
        return False
    thoughts = (item for item in mappings(request.get("input")) if item.get("type") == "reasoning")
    return "reasoning items" not in unseen or all(text_in(item, "encrypted_content") for item in thoughts)


def _chat_cap(request: Mapping[str, Any]) -> int | None:
    cap = positive(request.get("max_completion_tokens")) or positive(request.get("max_tokens"))
    return None if cap is None else cap * (positive(request.get("n")) or 1)


def _completions_cap(request: Mapping[str, Any]) -> int | None:
    cap = positive(request.get("max_completion_tokens")) or positive(request.get("max_tokens"))
    if cap is None:
        return None
    prompts = request.get("prompt")
    is_several = isinstance(prompts, list) and not all(isinstance(token, int) for token in prompts)
    n_prompts = len(prompts) if isinstance(prompts, list) and is_several else 1
    return cap * max(positive(request.get("n")) or 1, positive(request.get("best_of")) or 1) * n_prompts


def _responses_cap(request: Mapping[str, Any]) -> int | None:
    return positive(request.get("max_output_tokens"))


def _count_inputs(given: Any, n: Counter) -> int:
    """Count the input of embeddings and completions: a string, token ids, or a list of either."""
    if isinstance(given, str):
        return n(given)
    if not isinstance(given, list):
        return 0
    return sum(1 if isinstance(one, int) else _count_inputs(one, n) for one in given)


def _completions_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    return Counted(_count_inputs(request.get("prompt", "<|endoftext|>"), n))


def _embeddings_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    return Counted(_count_inputs(request.get("input"), n))


def _answer(kind: str, answer: Answer, n: Counter, model: str | None) -> int:
    return count_answer(answer, n, model, kind)


def _no_answer(answer: Answer, n: Counter, model: str | None) -> int:
    return 0


def _no_cap(request: Mapping[str, Any]) -> int | None:
    return 0


CHAT = CountingRules(
    partial(count_request, "chat"), _chat_cap, partial(_answer, "chat"), _unseen_output, _has_known_size
)
RESPONSES = CountingRules(
    partial(count_request, "responses"), _responses_cap, partial(_answer, "responses"), _unseen_output, _has_known_size
)
COMPLETIONS = CountingRules(_completions_prompt, _completions_cap, partial(_answer, "completions"), _dropped)
EMBEDDINGS = CountingRules(_embeddings_prompt, _no_cap, _no_answer, has_output=False)
