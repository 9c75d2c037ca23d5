"""Providers whose apis are OpenAI's: their hosts, what is free there, and the gates of their own SDKs."""

from __future__ import annotations

from token_meter.providers.provider import Gate, Provider

# Lists, files and the state of a batch; a batch that is created is paid when it ends.
_FREE = (
    "GET v1/models", "GET v1/models/{}",
    "* v1/files", "* v1/files/{}", "GET v1/files/{}/content",
    "GET v1/batches", "GET v1/batches/{}", "POST v1/batches/{}/cancel",
)  # fmt: skip

MISTRAL = Provider(
    "mistral",
    hosts=("api.mistral.ai",),
    free=(*_FREE, "GET v1/batch/jobs", "GET v1/batch/jobs/{}", "POST v1/batch/jobs/{}/cancel"),
)
GROQ = Provider("groq", hosts=("api.groq.com",), free=_FREE, gates=(Gate("groq._base_client"),))
TOGETHER = Provider(
    "together",
    hosts=("api.together.xyz", "api.together.ai"),
    free=_FREE,
    gates=(Gate("together._base_client"),),  # since 2.0; before, it has no such module
)
PERPLEXITY = Provider("perplexity", hosts=("api.perplexity.ai",), free=_FREE, gates=(Gate("perplexity._base_client"),))
CEREBRAS = Provider(
    "cerebras",
    hosts=("api.cerebras.ai",),
    free=(*_FREE, "GET v1/tcp_warming"),  # its SDK opens a connection so when a client is made
    gates=(Gate("cerebras.cloud.sdk._base_client"),),
)
FIREWORKS = Provider("fireworks", hosts=("api.fireworks.ai",), free=_FREE, gates=(Gate("fireworks._base_client"),))

COMPATIBLE = (MISTRAL, GROQ, TOGETHER, PERPLEXITY, CEREBRAS, FIREWORKS)
