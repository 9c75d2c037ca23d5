"""Every name that a model goes by finds its encoding, or says that it is a guess."""

from __future__ import annotations

import pytest

from token_meter.estimate import resolve_encoding
from token_meter.estimate.models import family_of, reasons

O200K, CL100K = "o200k_base", "cl100k_base"


@pytest.mark.parametrize(
    ("model", "encoding", "approximate"),
    [
        ("gpt-4o", O200K, False),
        ("gpt-4o-mini-2024-07-18", O200K, False),
        ("chatgpt-4o-latest", O200K, False),
        ("gpt-4.1-nano", O200K, False),
        ("gpt-4.5-preview", O200K, False),
        ("gpt-5", O200K, False),
        ("gpt-5.6-sol", O200K, False),
        ("o1", O200K, False),
        ("o4-mini-2025-04-16", O200K, False),
        ("openai/gpt-oss-20b", O200K, False),
        ("gpt-4", CL100K, False),
        ("gpt-4-turbo-2024-04-09", CL100K, False),
        ("gpt-3.5-turbo-0125", CL100K, False),
        ("gpt-35-turbo", CL100K, False),  # Azure's spelling
        ("text-embedding-3-large", CL100K, False),
        ("text-embedding-ada-002", CL100K, False),
        ("davinci-002", CL100K, False),
        ("GPT-4o", O200K, False),
        (" azure/gpt-4 ", CL100K, False),
        ("openrouter/openai/gpt-4o", O200K, False),
        ("ft:gpt-4.1-mini-2025-04-14:acme::id", O200K, False),  # tiktoken says cl100k
        ("ft:gpt-5-mini:acme::id", O200K, False),
        ("ft:gpt-4o:acme/lab:x:id", O200K, False),
        ("openai/ft:gpt-4:acme::id", CL100K, False),
        ("ft:gpt-3.5-turbo", CL100K, False),
        ("gpt-6", O200K, True),  # not published
        ("gpt-realtime", O200K, True),
        ("Qwen/Qwen3-32B", O200K, True),
        ("deepseek-chat", O200K, True),
        ("prod-chat", O200K, True),
        ("ollama", O200K, True),
        ("", O200K, True),
        (None, O200K, True),
    ],
)
def test_encoding_of_a_model(model: str | None, encoding: str, approximate: bool) -> None:
    """A guess is marked."""
    assert resolve_encoding(model) == (encoding, approximate)


@pytest.mark.parametrize(
    ("model", "family", "is_reasoning"),
    [
        ("gpt-3.5-turbo", "classic", False),
        ("gpt-35-turbo", "classic", False),
        ("gpt-4.1", "classic", False),
        ("o3", "o", True),
        ("codex-mini-latest", "o", True),
        ("gpt-5-nano", "gpt-5", True),
        ("gpt-5-chat-latest", "gpt-5", False),
        ("ft:o4-mini:acme::id", "o", True),
        ("gpt-6", "gpt-5", True),
        ("gpt-12.1", "gpt-5", True),
        ("mistral-large", "classic", False),
        (None, "classic", False),
    ],
)
def test_rules_of_a_model(model: str | None, family: str, is_reasoning: bool) -> None:
    """Whoever imitates the protocol counts like its older models."""
    assert (family_of(model), reasons(model)) == (family, is_reasoning)
