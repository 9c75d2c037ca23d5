"""Anthropic's apis, which other services serve too."""

from __future__ import annotations

from token_meter.providers.anthropic.batches import BATCHES
from token_meter.providers.anthropic.complete import COMPLETE
from token_meter.providers.anthropic.messages import MESSAGES, MESSAGES_AT_VERTEX
from token_meter.providers.provider import Gate, Provider

ANTHROPIC = Provider(
    "anthropic",
    hosts=("api.anthropic.com", "aws-external-anthropic.*.api.aws", "claude.googleapis.com"),
    apis=(MESSAGES, MESSAGES_AT_VERTEX, COMPLETE, BATCHES),
    # https://docs.anthropic.com/en/api, 2026-11. The creation of a batch is not free: it is billed at its end.
    free=(
        "messages/count_tokens",
        "messages/batches/*/cancel",
        "files",
        "files/**",
        "skills",
        "skills/**",
        "organizations/**",
    ),
    marks=("anthropic-version",),
    gates=(Gate("anthropic._base_client"),),
)
