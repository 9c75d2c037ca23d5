"""OpenAI's rules: how many tokens a Chat or Responses request has, and its answer.

The room around it hands in a request and a function that counts strings, and gets a count and how far it can be trusted
(`count_request`); nothing else of a request's shape is known outside. Most rules are documented nowhere: they were
worked out from recorded requests with the usage that the API reported, and `benchmarks/README.md` says how often they
are right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from token_meter.estimate.models import family_of
from token_meter.estimate.openai.answer import count_answer, is_whole
from token_meter.estimate.openai.prompt import Api, count_prompt
from token_meter.estimate.openai.read import Called
from token_meter.estimate.openai.read_chat import read_chat
from token_meter.estimate.openai.read_responses import read_responses

__all__ = ["Counted", "count_answer", "count_request", "is_whole"]


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


def count_request(api: Api, request: Mapping[str, Any], n: Callable[[str], int], model: str | None) -> Counted:
    """Count the prompt of *request*; *n* counts the tokens of one string. It never raises on odd input."""
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
        # No recording has one (2026-11): the rule is that of classic models.
        "schema of a newer model": api == "chat" and rules["schema"] and family_of(model) != "classic",
        "images of unknown size": is_bound,
    }
    return Counted(tokens, _true(rules), _true(doubts), tuple(sorted(prompt.unseen)))


def _true(facts: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, is_true in facts.items() if is_true)
