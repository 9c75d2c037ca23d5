"""OpenAI's apis, which many other services serve too."""

from __future__ import annotations

from token_meter.providers.openai.audio import SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from token_meter.providers.openai.batches import BATCHES
from token_meter.providers.openai.chat import CHAT
from token_meter.providers.openai.compaction import COMPACTION
from token_meter.providers.openai.completions import COMPLETIONS
from token_meter.providers.openai.decisions import DECISIONS
from token_meter.providers.openai.embeddings import EMBEDDINGS
from token_meter.providers.openai.images import IMAGES
from token_meter.providers.openai.moderations import MODERATIONS
from token_meter.providers.openai.responses import RESPONSES
from token_meter.providers.openai.runs import RUNS
from token_meter.providers.openai.sockets import LIVE, REALTIME, REALTIME_TRANSLATIONS
from token_meter.providers.openai.videos import VIDEOS
from token_meter.providers.provider import Gate, Provider

OPENAI = Provider(
    "openai",
    hosts=("api.openai.com", "*.api.openai.com", "*.openai.azure.com"),
    apis=(
        CHAT, RESPONSES, COMPLETIONS, EMBEDDINGS, IMAGES, TRANSCRIPTIONS, TRANSLATIONS, SPEECH, VIDEOS, MODERATIONS,
        DECISIONS, COMPACTION, RUNS, BATCHES, REALTIME, REALTIME_TRANSLATIONS, LIVE,
    ),
    # Paths without a price in https://platform.openai.com/docs/pricing and the API reference (2026-11). Fine-tuning,
    # containers, eval runs, graders and realtime calls cost money that no answer tells: they are unmeasured. A search
    # in a vector store costs the storage; it has a fee as a tool of responses only.
    free=(
        # The Agents SDK sends its traces here (openai-agents-python, tracing/processors.py, 2026-11).
        "traces/**", "chat/completions/*",
        "files", "files/**", "uploads", "uploads/**", "vector_stores", "vector_stores/**", "assistants",
        "assistants/**", "threads", "threads/*", "threads/*/messages", "threads/*/messages/**", "conversations",
        "conversations/**", "responses/input_tokens", "responses/*/cancel", "realtime/client_secrets",
        "realtime/sessions", "realtime/transcription_sessions", "batches/*/cancel", "fine_tuning/jobs/*/cancel",
        "fine_tuning/jobs/*/pause", "fine_tuning/jobs/*/resume", "fine_tuning/checkpoints/**", "evals", "evals/*",
        "evals/*/runs/*", "chatkit/**", "organization/**", "projects/**", "webhooks/**", "containers/*/files",
        "videos/*/cancel",
    ),
    gates=(Gate("openai._base_client"),),
)  # fmt: skip
