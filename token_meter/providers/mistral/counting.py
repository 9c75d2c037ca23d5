"""Counts what only Mistral's own apis have, for estimates and reservations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_meter.estimate.rules import Counted, Counter, CountingRules, positive
from token_meter.providers.openai import counting
from token_meter.providers.plain_counting import APPROXIMATE, count_answer, counted, listed
from token_meter.types import Answer


def _agents_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count the messages; the agent's own instructions and tools stay at the provider."""
    found = counting.CHAT.count_prompt(request, n, model)
    return found._replace(approximate=APPROXIMATE, unseen=(*found.unseen, "agent"))


def _fim_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    return counted(n, request.get("prompt"), request.get("suffix"))


def _vertex_prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count a chat, or what is filled in, which have the same path there; so have scanned documents."""
    if "messages" in request:
        return counting.CHAT.count_prompt(request, n, model)._replace(approximate=APPROXIMATE)
    found = _fim_prompt(request, n, model)
    return found if isinstance(request.get("prompt"), str) else found._replace(unseen=("document",))


def _cap(request: Mapping[str, Any]) -> int | None:
    return positive(request.get("max_tokens"))


def _conversation(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count instructions, inputs and functions."""
    inputs = request.get("inputs")
    tools = [tool for tool in listed(request.get("tools")) if isinstance(tool, Mapping)]
    functions = [tool for tool in tools if tool.get("type") == "function"]
    unseen = (*(("agent",) if request.get("agent_id") else ()), *(("hosted tools",) if functions != tools else ()))
    count = len(inputs) if isinstance(inputs, list) else 1
    return counted(n, request.get("instructions"), inputs, tools=functions, messages=count, unseen=unseen)


def _turn(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    found = _conversation(request, n, model)
    return found._replace(unseen=(*found.unseen, "earlier turns"))


def _conversation_cap(request: Mapping[str, Any]) -> int | None:
    options = request.get("completion_args")
    return positive(options.get("max_tokens")) if isinstance(options, Mapping) else None


def _fim_answer(answer: Answer, n: Counter, model: str | None) -> int:
    return sum(map(n, answer.texts))


AGENTS = counting.CHAT._replace(count_prompt=_agents_prompt, has_known_size=lambda *_: False)
AT_VERTEX = counting.CHAT._replace(count_prompt=_vertex_prompt)
FIM = CountingRules(_fim_prompt, _cap, _fim_answer)
CONVERSATIONS = CountingRules(_conversation, _conversation_cap, count_answer)
CONVERSATION_TURNS = CONVERSATIONS._replace(count_prompt=_turn)
