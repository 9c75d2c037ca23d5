"""The packages that make calls, or answer in the place of a server: until one is imported there is nothing to meter."""

from __future__ import annotations

CALLERS = frozenset({
    "aiobotocore", "aiohttp", "anthropic", "botocore", "cerebras", "dspy", "fireworks", "google.genai", "groq", "grpc",
    "httpx", "httpx2", "openai", "perplexity", "requests", "together", "vcr",
})  # fmt: skip
"""Every package that a transport or a provider's gate patches and that a program imports by its own name.

They stand here once more because a run of pytest asks before it loads any transport or provider; a test compares.
"""
