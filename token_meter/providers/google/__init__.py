"""Google's apis for Gemini and Imagen: the Gemini API and Vertex AI, which differ in paths and in little else."""

from __future__ import annotations

from token_meter.providers.google.embeddings import EMBED_CONTENT, PREDICT
from token_meter.providers.google.generate_content import GENERATE_CONTENT
from token_meter.providers.google.interactions import INTERACTIONS
from token_meter.providers.google.sdk import read_request
from token_meter.providers.provider import Gate, Provider

_CLIENT = "google.genai._api_client"

GOOGLE = Provider(
    "google",
    hosts=(
        "generativelanguage.googleapis.com",
        "aiplatform.googleapis.com",
        "*-aiplatform.googleapis.com",
        "aiplatform.*.rep.googleapis.com",
    ),
    apis=(GENERATE_CONTENT, EMBED_CONTENT, PREDICT, INTERACTIONS),
    # https://ai.google.dev/api/tokens, /api/files, 2026-11. Cached contents are billed by the hour, batches at the end.
    free=(
        "**:countTokens",
        "**:computeTokens",
        "**:fetchPredictOperation",
        "**:cancel",
        "**/operations/**",
        "auth_tokens",
        "files",
        "files/**",
        "interactions/*/cancel",
        "upload/**",
    ),
    marks=("x-goog-api-client",),
    # The class has both colours; retries (`HttpRetryOptions`) are inside of these methods.
    gates=(
        Gate(_CLIENT, "BaseApiClient", None, "_request", read_request),
        Gate(_CLIENT, None, "BaseApiClient", "_async_request", read_request),
    ),
)
