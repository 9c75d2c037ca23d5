"""Mistral: OpenAI's apis, and those of its own."""

from __future__ import annotations

from token_meter.providers.generated import read_speakeasy
from token_meter.providers.mistral.completions import AGENTS, FIM
from token_meter.providers.mistral.conversations import CONVERSATION_TURNS, CONVERSATIONS
from token_meter.providers.provider import Gate, Provider

MISTRAL = Provider(
    "mistral",
    hosts=("api.mistral.ai",),
    apis=(AGENTS, FIM, CONVERSATIONS, CONVERSATION_TURNS),
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
    # Of 1.x and of 3.x, with both colours in one class. Retries are inside, and carry no number.
    gates=tuple(
        Gate(f"mistralai.{module}", sync, other, method, read_speakeasy, counts_attempts=True)
        for module in ("basesdk", "client.basesdk")
        for sync, other, method in (("BaseSDK", None, "do_request"), (None, "BaseSDK", "do_request_async"))
    ),
)
