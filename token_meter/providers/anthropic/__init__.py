"""Anthropic's apis."""

from __future__ import annotations

from token_meter.providers.anthropic.messages import MESSAGES
from token_meter.providers.provider import Gate, Provider

ANTHROPIC = Provider(
    "anthropic",
    hosts=("api.anthropic.com",),
    apis=(MESSAGES,),
    free=("POST v1/messages/count_tokens", "* v1/messages/batches", "GET v1/models"),
    marks=("anthropic-version",),
    gates=(Gate("anthropic._base_client"),),
)
