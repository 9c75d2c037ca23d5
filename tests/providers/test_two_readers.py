"""Where the public price list can read a provider's body itself, it and we read the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from genai_prices import extract_usage

from tests.providers import anthropic_fake as claude
from tests.providers import bedrock_fake as bedrock
from tests.providers import google_fake as google
from token_meter.providers import api_named
from token_meter.wire import read_body

WRITTEN = {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10}
CLAUDES: dict[str, Any] = {
    "plain": claude.usage(),
    "cached": claude.usage(cache_read_input_tokens=50, cache_creation_input_tokens=30, cache_creation=WRITTEN),
}
GEMINIS: dict[str, Any] = {
    "plain": google.usage(),
    "thoughts": google.usage(thoughtsTokenCount=30),
    "tools": google.usage(toolUsePromptTokenCount=300),
    "cached": google.usage(cachedContentTokenCount=100),
    "sound": google.usage(
        promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 60}, {"modality": "TEXT", "tokenCount": 47}]
    ),
}
CONVERSED: dict[str, Any] = {
    "plain": bedrock.usage(),
    "cached": bedrock.usage(cacheReadInputTokens=50, cacheWriteInputTokens=30),
    "written for an hour": bedrock.usage(
        cacheWriteInputTokens=30, cacheDetails=[{"ttl": "5m", "inputTokens": 20}, {"ttl": "1h", "inputTokens": 10}]
    ),
}
BODIES: list[Any] = [
    *(pytest.param("anthropic", "default", "messages", claude.message(usage=said), id=f"messages {name}")
      for name, said in CLAUDES.items()),
    *(pytest.param("aws", "anthropic", "invoke_model", claude.message(usage=said), id=f"Claude at Bedrock {name}")
      for name, said in CLAUDES.items()),
    *(pytest.param("google", "default", "generate_content", google.answer(said=said), id=f"generate_content {name}")
      for name, said in GEMINIS.items()),
    *(pytest.param("google", "anthropic", "messages", claude.message(usage=said), id=f"Claude at Vertex {name}")
      for name, said in CLAUDES.items()),
    *(pytest.param("aws", "default", "converse", bedrock.conversation(usage=said), id=f"converse {name}")
      for name, said in CONVERSED.items()),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "flavor", "api", "body"), BODIES)
def test_the_public_lists_reader_agrees(provider: str, flavor: str, api: str, body: Any) -> None:
    """In all that both of them know; it reads whole answers only."""
    ours = read_body(api_named(api).format, json.dumps(body).encode()).usage
    theirs = extract_usage(body, provider_id=provider, api_flavor=flavor).usage

    assert ours is not None
    for name, mine in {
        "input_tokens": ours.prompt_tokens,
        "output_tokens": ours.completion_tokens,
        "cache_read_tokens": ours.cached_tokens,
        "cache_write_tokens": ours.cache_write_tokens,
        "cache_write_1h_tokens": ours.cache_write_long_tokens,
        "input_audio_tokens": ours.input_audio_tokens,
    }.items():
        assert (getattr(theirs, name, None) or 0) == (mine or 0), name
