"""Cohere's apis, v1 and v2, which have the same names in records."""

from __future__ import annotations

from token_meter.providers.cohere.chat import CHAT
from token_meter.providers.cohere.embed import EMBED
from token_meter.providers.generated import read_fern
from token_meter.providers.provider import Gate, Provider
from token_meter.providers.rerank import RERANK

COHERE = Provider(
    "cohere",
    hosts=("api.cohere.com", "api.cohere.ai"),
    apis=(CHAT, EMBED, RERANK),
    # https://docs.cohere.com/reference, 2026-11. Embed jobs, fine-tuning and batches are billed at their end.
    free=("tokenize", "detokenize", "check-api-key", "datasets", "connectors", "connectors/**", "embed-jobs/*/cancel"),
    marks=("x-fern-sdk-name: cohere",),
    # Retries are inside of it, and carry no number. Streams pass another method, which makes no retries.
    gates=(
        Gate(
            "cohere.core.http_client",
            "HttpClient",
            "AsyncHttpClient",
            "request",
            read_fern,
            counts_attempts=True,
            again="retries",
        ),
    ),
)
