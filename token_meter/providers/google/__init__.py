"""Google's apis for Gemini and Imagen: the Gemini API and Vertex AI, which differ in paths and in little else."""

from __future__ import annotations

from token_meter.providers.generated import read_speakeasy
from token_meter.providers.google.batches import BATCHES
from token_meter.providers.google.embeddings import EMBED_CONTENT, PREDICT
from token_meter.providers.google.gapic import GATES
from token_meter.providers.google.generate_content import GENERATE_CONTENT
from token_meter.providers.google.interactions import INTERACTIONS
from token_meter.providers.google.live import LIVE
from token_meter.providers.google.rpc import RPCS
from token_meter.providers.google.sdk import parts_of, read_built
from token_meter.providers.provider import Gate, Provider

_CLIENT = "google.genai._api_client"
_GENERATED = "google.genai._gaos.basesdk"

GOOGLE = Provider(
    "google",
    hosts=(
        "generativelanguage.googleapis.com",
        "aiplatform.googleapis.com",
        "*-aiplatform.googleapis.com",
        "aiplatform.*.rep.googleapis.com",
    ),
    apis=(GENERATE_CONTENT, EMBED_CONTENT, PREDICT, INTERACTIONS, BATCHES, LIVE),
    # https://ai.google.dev/api/tokens, /api/files, 2026-11. Cached contents are billed by the hour, batches at the end,
    # what is uploaded to a store for file search by the tokens that are indexed.
    free=(
        "**:countTokens",
        "**:computeTokens",
        "**/models/count-tokens:rawPredict",
        "**:fetchPredictOperation",
        "**:cancel",
        "**/operations/**",
        "auth_tokens",
        "files",
        "files/**",
        "interactions/*/cancel",
        "upload/*/files",
    ),
    marks=("x-goog-api-client",),
    rpcs=RPCS,
    # Retries are inside of each of these methods. The first class has both colours; interactions have a client of their
    # own, which was another one until 2.x.
    gates=(
        Gate(_CLIENT, "BaseApiClient", None, "_request", read_built, counts_attempts=True),
        Gate(_CLIENT, None, "BaseApiClient", "_async_request", read_built, counts_attempts=True),
        Gate(_GENERATED, "BaseSDK", None, "do_request", read_speakeasy, counts_attempts=True),
        Gate(_GENERATED, None, "AsyncBaseSDK", "do_request_async", read_speakeasy, counts_attempts=True),
        Gate("google.genai._interactions._base_client"),
        *GATES,
    ),
    parts_of=parts_of,
)
