"""Ollama's own apis. A model on this machine costs nothing, which a price book can say; its tokens count."""

from __future__ import annotations

from token_meter.providers.ollama.chat import CHAT, GENERATE
from token_meter.providers.ollama.embed import EMBED, EMBEDDINGS
from token_meter.providers.provider import Provider

OLLAMA = Provider(
    "ollama",
    hosts=("ollama.com",),
    apis=(CHAT, GENERATE, EMBED, EMBEDDINGS),
    free=("api/**",),  # models, and the searches that come with an account (https://docs.ollama.com/api, 2026-11)
    marks=("user-agent: ollama-python",),
)
