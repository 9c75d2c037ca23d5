"""The packages that make calls or replace a server. Until one of them is imported, there is nothing to meter."""

from __future__ import annotations

CALLERS = frozenset({
    "aiobotocore", "aiohttp", "anthropic", "botocore", "cerebras", "cohere", "dspy", "fireworks", "google.ai",
    "google.cloud.aiplatform_v1", "google.cloud.aiplatform_v1beta1", "google.genai", "groq", "grpc", "httpx", "httpx2",
    "mistralai", "mistralai_azure", "mistralai_gcp", "openai", "perplexity", "requests", "together", "vcr",
    "websockets",
})  # fmt: skip
"""Every package that a transport or a provider's gate patches and that a program imports by its own name.

The list repeats names from transports and providers, because the pytest plugin needs it before it loads those. A test
compares them.
"""
