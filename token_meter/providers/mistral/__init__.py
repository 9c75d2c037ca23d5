"""Mistral: OpenAI's apis, and those of its own."""

from __future__ import annotations

from token_meter.providers.mistral.clouds import AT_VERTEX, GATES
from token_meter.providers.mistral.completions import AGENTS, FIM
from token_meter.providers.mistral.conversations import CONVERSATION_TURNS, CONVERSATIONS
from token_meter.providers.provider import Provider

MISTRAL = Provider(
    "mistral",
    hosts=("api.mistral.ai",),
    apis=(AGENTS, FIM, CONVERSATIONS, CONVERSATION_TURNS, AT_VERTEX),
    # https://docs.mistral.ai/api, 2026-11. OCR costs money that is not read yet; a document in a library, maybe.
    free=(
        "files",
        "files/**",
        "batch/jobs/*/cancel",
        "agents",
        "agents/**",
        "libraries",
        "libraries/*",
        "libraries/*/share",
    ),
    marks=("user-agent: mistral-client-python",),
    gates=GATES,
)
