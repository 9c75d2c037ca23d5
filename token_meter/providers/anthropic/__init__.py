"""Anthropic's apis, and those of every service that speaks them."""

from __future__ import annotations

from token_meter.providers.anthropic.complete import COMPLETE
from token_meter.providers.anthropic.messages import MESSAGES
from token_meter.providers.provider import Gate, Provider

ANTHROPIC = Provider(
    "anthropic",
    hosts=("api.anthropic.com",),
    apis=(MESSAGES, COMPLETE),
    # A batch that is created is paid when it ends: asking for its state, or taking it back, is not.
    free=(
        "POST v1/messages/count_tokens",
        "GET v1/messages/batches", "* v1/messages/batches/{}", "* v1/messages/batches/{}/cancel",
        "GET v1/messages/batches/{}/results",
        "GET v1/models", "GET v1/models/{}",
        "* v1/files", "* v1/files/{}", "GET v1/files/{}/content",
    ),
    marks=("anthropic-version",),
    gates=(Gate("anthropic._base_client"),),
)  # fmt: skip
