"""Providers whose answers cannot be read yet. Their hosts are known, so that calls to them count as unmeasured."""

from __future__ import annotations

from token_meter.providers.provider import Provider

GOOGLE = Provider(
    "google",
    hosts=("generativelanguage.googleapis.com", "aiplatform.googleapis.com", "*-aiplatform.googleapis.com"),
    # https://ai.google.dev/api/tokens, /api/files, /api/caching (billed by hours of storage), 2026-11.
    free=("**:countTokens", "**:computeTokens", "files", "files/**", "upload/**", "**/operations/**", "**:cancel"),
)
AWS = Provider(
    "aws",
    hosts=("bedrock-runtime.*.amazonaws.com", "bedrock-agent-runtime.*.amazonaws.com"),
    free=("model/**/count-tokens", "guardrail/**", "knowledgebases/*/retrieve", "sessions", "sessions/**"),
)
COHERE = Provider("cohere", hosts=("api.cohere.com", "api.cohere.ai"), free=("tokenize", "detokenize", "check-api-key"))
XAI = Provider("x-ai", hosts=("api.x.ai", "*.api.x.ai"), free=("tokenize-text", "files", "files/**"))
VOYAGE = Provider("voyageai", hosts=("api.voyageai.com",))

ROWS = (GOOGLE, AWS, COHERE, VOYAGE, XAI)
