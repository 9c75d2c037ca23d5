"""Providers whose answers cannot be read yet. Their hosts are known, so that calls to them count as unmeasured."""

from __future__ import annotations

from token_meter.providers.provider import Provider

AWS = Provider(
    "aws",
    hosts=("bedrock-runtime.*.amazonaws.com", "bedrock-agent-runtime.*.amazonaws.com"),
    free=("model/**/count-tokens", "guardrail/**", "knowledgebases/*/retrieve", "sessions", "sessions/**"),
)

ROWS = (AWS,)
