"""Anthropic's apis."""

from __future__ import annotations

from token_meter.providers.anthropic.messages import MESSAGES
from token_meter.providers.provider import Gate, Provider

ANTHROPIC = Provider(
    "anthropic",
    hosts=("api.anthropic.com",),
    apis=(MESSAGES,),
    free=("messages/count_tokens", "messages/batches/*/cancel", "files", "files/**", "organizations/**"),
    marks=("anthropic-version",),
    gates=(Gate("anthropic._base_client"),),
)
