"""Counts Cohere's prompts and answers, for estimates and reservations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_meter.estimate.rules import Counted, Counter, CountingRules, positive
from token_meter.providers.plain_counting import count_answer, counted, listed, no_answer, no_output


def _prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count v2's messages, or v1's message, preamble and history; documents and tools of both."""
    messages = [*listed(request.get("messages")), *listed(request.get("chat_history"))]
    given = [request.get(name) for name in ("message", "preamble", "documents", "tool_results")]
    unseen = tuple(name for name in ("connectors", "conversation_id") if request.get(name))
    here = [each for each in given if each is not None]
    return counted(
        n, messages, *here, tools=request.get("tools"), messages=len(messages) + len(here), unseen=unseen
    )  # fmt: skip


def _cap(request: Mapping[str, Any]) -> int | None:
    return positive(request.get("max_tokens"))


def _embedded(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    unseen = ("image",) if request.get("images") else ()
    return counted(n, request.get("texts"), request.get("inputs"), unseen=unseen)


CHAT = CountingRules(_prompt, _cap, count_answer)
EMBED = CountingRules(_embedded, no_output, no_answer, has_output=False)
