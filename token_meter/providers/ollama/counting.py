"""Counts Ollama's prompts and answers, for estimates and reservations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from token_meter.estimate.rules import Counted, Counter, CountingRules, positive
from token_meter.providers.plain_counting import count_answer, counted, listed, no_answer, no_output


def _prompt(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    """Count a chat's messages, or the texts of one prompt."""
    messages = listed(request.get("messages"))
    texts = [request[name] for name in ("system", "prompt", "suffix") if isinstance(request.get(name), str)]
    unseen = tuple(name for name in ("images", "context") if request.get(name))
    return counted(
        n, messages, texts, tools=request.get("tools"), messages=len(messages) + len(texts), unseen=unseen
    )  # fmt: skip


def _cap(request: Mapping[str, Any]) -> int | None:
    """`num_predict`; -1 is no limit."""
    options = request.get("options")
    return positive(options.get("num_predict")) if isinstance(options, Mapping) else None


def _embedded(request: Mapping[str, Any], n: Counter, model: str | None) -> Counted:
    return counted(n, request.get("input"), request.get("prompt"))


CHAT = CountingRules(_prompt, _cap, count_answer)
EMBED = CountingRules(_embedded, no_output, no_answer, has_output=False)
