"""Providers that serve OpenAI's apis: their hosts, their free paths, and the gates of their own SDKs."""

from __future__ import annotations

from token_meter.providers.provider import Gate, Provider

# The creation of a batch is not free: the provider bills the batch at its end.
_FREE = ("files", "files/**", "batches/*/cancel")

GROQ = Provider("groq", hosts=("api.groq.com",), free=_FREE, gates=(Gate("groq._base_client"),))
TOGETHER = Provider(
    "together",
    hosts=("api.together.ai", "api.together.xyz"),
    free=_FREE,
    gates=(Gate("together._base_client"),),  # exists since together 2
)
PERPLEXITY = Provider("perplexity", hosts=("api.perplexity.ai",), free=_FREE, gates=(Gate("perplexity._base_client"),))
CEREBRAS = Provider(
    "cerebras", hosts=("api.cerebras.ai",), free=_FREE, gates=(Gate("cerebras.cloud.sdk._base_client"),)
)
FIREWORKS = Provider("fireworks", hosts=("api.fireworks.ai",), gates=(Gate("fireworks._base_client"),))
# Its router speaks OpenAI's apis; a model's own tasks (`/hf-inference/models/...`) state no usage.
HUGGING_FACE = Provider("huggingface", hosts=("router.huggingface.co", "api-inference.huggingface.co"))

ROWS = (GROQ, TOGETHER, PERPLEXITY, CEREBRAS, FIREWORKS, HUGGING_FACE)
