"""The packages that make calls or replace a server. Until one of them is imported, there is nothing to meter."""

from __future__ import annotations

CALLERS = frozenset({
    "anthropic", "cerebras", "fireworks", "groq", "httpx", "httpx2", "openai", "perplexity", "together", "vcr",
})  # fmt: skip
"""Every package that a transport or a provider's gate patches and that a program imports by its own name.

The list repeats names from transports and providers, because the pytest plugin needs it before it loads those. A test
compares them.
"""
